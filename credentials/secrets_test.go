package credentials_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/credentials"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The vector is the one that implementations of the TURN REST draft publish.
const (
	vectorSecret   = "north"
	vectorUsername = "12334939:mbzrxpgjys"
	vectorPassword = "Iq7YXkRon8YXJfdN1Ke9EZOw1UE="
	vectorExpiry   = 12334939
)

func secretsOf(t testing.TB, keys ...string) *credentials.Secrets {
	t.Helper()
	var list []credentials.Secret
	for _, key := range keys {
		list = append(list, credentials.UnsafeSecret(key))
	}
	secrets, err := credentials.NewSecrets(list...)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

func mint(t testing.TB, secrets *credentials.Secrets, user string, ttl time.Duration) credentials.Credential {
	t.Helper()
	c, err := secrets.Mint(user, ttl, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVector(t *testing.T) {
	secrets := secretsOf(t, vectorSecret)
	expiry := time.Unix(vectorExpiry, 0)
	c, err := secrets.Mint("mbzrxpgjys", time.Hour, expiry.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if c.Username != vectorUsername || c.Password != vectorPassword || !c.ExpiresAt.Equal(expiry) || c.TTL != time.Hour {
		t.Errorf("got %q %q %v", c.Username, c.Password, c.ExpiresAt)
	}
	candidates, err := secrets.Verify(vectorUsername, expiry.Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if got := passwords(candidates); len(got) != 1 || got[0] != vectorPassword {
		t.Errorf("candidates %q", got)
	}
}

func passwords(c credentials.Candidates) []string {
	var all []string
	for i, password := range c.Passwords() {
		if i != len(all) {
			panic("candidates are not in order")
		}
		all = append(all, password)
	}
	return all
}

func TestMint(t *testing.T) {
	secrets := secretsOf(t, newKey, oldKey)
	tests := []struct {
		name, user string
		ttl        time.Duration
		want       error
	}{
		{"shortest", "a", credentials.MinTTL, nil},
		{"longest", strings.Repeat("u", 256), credentials.MaxTTL, nil},
		{"any text", `"><script> %s%n 名前 `, time.Hour, nil},
		{"no user", "", time.Hour, credentials.ErrInvalidUser},
		{"long user", strings.Repeat("u", 257), time.Hour, credentials.ErrInvalidUser},
		{"SEC-45 10 KB user", strings.Repeat("u", 10<<10), time.Hour, credentials.ErrInvalidUser},
		{"SEC-45 colon", "a:b", time.Hour, credentials.ErrInvalidUser},
		{"SEC-40 newline", "\n2026 ERROR root login", time.Hour, credentials.ErrInvalidUser},
		{"SEC-40 escape", "\x1b[31m", time.Hour, credentials.ErrInvalidUser},
		{"C1 control", "a\u009b31m", time.Hour, credentials.ErrInvalidUser},
		{"not UTF-8", "a\xff", time.Hour, credentials.ErrInvalidUser},
		{"no ttl", "a", 0, credentials.ErrInvalidTTL},
		{"SEC-45 negative ttl", "a", -time.Second, credentials.ErrInvalidTTL},
		{"short ttl", "a", time.Second - 1, credentials.ErrInvalidTTL},
		{"long ttl", "a", credentials.MaxTTL + 1, credentials.ErrInvalidTTL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := secrets.Mint(tt.user, tt.ttl, noon)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if tt.user != "" && strings.Contains(err.Error(), tt.user) && len(tt.user) > 1 {
					t.Errorf("the error %q quotes the user", err)
				}
				if c != (credentials.Credential{}) {
					t.Error("a credential beside an error")
				}
				return
			}
			if e := secrets.Explain(c.Username, c.Password, noon); !e.Valid || e.SignedBy != 1 || e.User != tt.user {
				t.Errorf("what was minted explains as %+v", e)
			}
		})
	}
}

func TestMintLastsAtLeastTTL(t *testing.T) {
	secrets := secretsOf(t, newKey)
	now := noon.Add(time.Nanosecond)
	c, err := secrets.Mint("alice", credentials.MinTTL, now)
	if err != nil {
		t.Fatal(err)
	}
	if left := c.ExpiresAt.Sub(now); left < credentials.MinTTL || left >= credentials.MinTTL+time.Second {
		t.Errorf("good for %v, want 1s to 2s", left)
	}
}

func TestCredentialHidesPassword(t *testing.T) {
	c := mint(t, secretsOf(t, newKey), "alice", time.Hour)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q", c, c, c, c, c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("minted", "credential", c)
	if printed := out.String(); strings.Contains(printed, c.Password) || !strings.Contains(printed, "alice") {
		t.Errorf("printed %s", printed)
	}
}

func TestParseUsername(t *testing.T) {
	tests := []struct {
		username string
		seconds  int64
		user     string
		bad      bool
	}{
		{username: "1772366400:alice", seconds: 1772366400, user: "alice"},
		{username: "0:u", user: "u"},
		{username: "9999999999:u", seconds: 9999999999, user: "u"},
		{username: "9:@alice:example.org", seconds: 9, user: "@alice:example.org"},
		{username: "9::", seconds: 9, user: ":"},
		{username: "9: ", seconds: 9, user: " "},
		{username: "9:" + strings.Repeat("u", 506), seconds: 9, user: strings.Repeat("u", 506)},
		{username: "9:" + strings.Repeat("u", 507), bad: true},
		{username: "-1:u", bad: true},
		{username: "+9:u", bad: true},
		{username: " 9:u", bad: true},
		{username: "9 :u", bad: true},
		{username: "9e9:u", bad: true},
		{username: "0x9:u", bad: true},
		{username: "9_0:u", bad: true},
		{username: "9.0:u", bad: true},
		{username: "09:u", bad: true},
		{username: "00:u", bad: true},
		{username: "٩:u", bad: true},
		{username: "12345678901234567890:u", bad: true},
		{username: "18446744073709551617:u", bad: true},
		{username: "10000000000:u", bad: true},
		{username: "1772366400", bad: true},
		{username: "1772366400:", bad: true},
		{username: ":u", bad: true},
		{username: ":", bad: true},
		{username: "", bad: true},
		{username: "alice:1772366400", bad: true},
		{username: "9:u\n", bad: true},
		{username: "9:u\x00", bad: true},
		{username: "9:\xff", bad: true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.30q", tt.username), func(t *testing.T) {
			expires, user, err := credentials.ParseUsername(tt.username)
			if tt.bad {
				if !errors.Is(err, credentials.ErrMalformed) {
					t.Fatalf("parsed as %v, %q, %v", expires, user, err)
				}
				return
			}
			if err != nil || expires.Unix() != tt.seconds || user != tt.user {
				t.Errorf("got %v, %q, %v", expires, user, err)
			}
		})
	}
}

// TestVerifyTime is SEC-15: each username has a password its secret really gives.
func TestVerifyTime(t *testing.T) {
	secrets := secretsOf(t, newKey)
	tests := []struct {
		name string
		left time.Duration
		want error
	}{
		{"ten years", 10 * 365 * 24 * time.Hour, credentials.ErrTooFarAhead},
		{"a second too far", credentials.MaxTTL + credentials.ClockSkew + time.Second, credentials.ErrTooFarAhead},
		{"the longest lifetime of a fast clock", credentials.MaxTTL + credentials.ClockSkew, nil},
		{"the last second", time.Second, nil},
		{"now", 0, credentials.ErrExpired},
		{"a second ago", -time.Second, credentials.ErrExpired},
		{"long ago", -10 * 365 * 24 * time.Hour, credentials.ErrExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expires := noon.Add(tt.left)
			candidates, err := secrets.Verify(fmt.Sprintf("%d:u", expires.Unix()), noon)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && (candidates.User != "u" || !candidates.ExpiresAt.Equal(expires)) {
				t.Errorf("got %q until %v", candidates.User, candidates.ExpiresAt)
			}
			if err != nil && len(passwords(candidates)) != 0 {
				t.Error("candidates beside an error")
			}
		})
	}
}

func TestVerifyErrorsTellTime(t *testing.T) {
	secrets := secretsOf(t, newKey)
	_, err := secrets.Verify(fmt.Sprintf("%d:u", noon.Add(-312*time.Second).Unix()), noon)
	var expired *credentials.ExpiredError
	if !errors.As(err, &expired) || expired.Ago != 312*time.Second || !expired.ExpiresAt.Equal(noon.Add(-expired.Ago)) {
		t.Errorf("got %#v", err)
	}
	if got, want := err.Error(), "credential expired 5m12s ago"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = secrets.Verify(fmt.Sprintf("%d:u", noon.Add(48*time.Hour).Unix()), noon)
	var ahead *credentials.TooFarAheadError
	if !errors.As(err, &ahead) || ahead.Ahead != 48*time.Hour || !ahead.ExpiresAt.Equal(noon.Add(ahead.Ahead)) {
		t.Errorf("got %#v", err)
	}
	if got, want := err.Error(), "credential expires too far ahead: in 48h0m0s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReasonOf(t *testing.T) {
	_, _, malformed := credentials.ParseUsername("x")
	tests := []struct {
		err  error
		want credentials.Reason
	}{
		{nil, credentials.ReasonOK},
		{malformed, credentials.ReasonMalformedUsername},
		{fmt.Errorf("wrapped: %w", &credentials.ExpiredError{}), credentials.ReasonExpired},
		{&credentials.TooFarAheadError{}, credentials.ReasonClockSkew},
		{errors.New("other"), ""},
	}
	for _, tt := range tests {
		if got := credentials.ReasonOf(tt.err); got != tt.want {
			t.Errorf("ReasonOf(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestNewSecretsRefuses(t *testing.T) {
	tooMany := make([]credentials.Secret, credentials.MaxSecrets+1)
	for i := range tooMany {
		tooMany[i] = credentials.RandomSecret()
	}
	tests := []struct {
		name    string
		secrets []credentials.Secret
		want    error
	}{
		{"none", nil, credentials.ErrNoSecrets},
		{"zero", []credentials.Secret{credentials.RandomSecret(), {}}, credentials.ErrNoSecrets},
		{"too many", tooMany, credentials.ErrTooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := credentials.NewSecrets(tt.secrets...); !errors.Is(err, tt.want) {
				t.Errorf("NewSecrets: %v, want %v", err, tt.want)
			}
			secrets := secretsOf(t, newKey)
			c := mint(t, secrets, "alice", time.Hour)
			if err := secrets.Rotate(tt.secrets); !errors.Is(err, tt.want) {
				t.Errorf("Rotate: %v, want %v", err, tt.want)
			}
			if !secrets.Explain(c.Username, c.Password, noon).Valid {
				t.Error("a refused rotation changed the secrets")
			}
		})
	}
}

// TestRotate goes through a whole rotation, as SEC-20 has it.
func TestRotate(t *testing.T) {
	oldSecret, newSecret := credentials.UnsafeSecret(oldKey), credentials.UnsafeSecret(newKey)
	secrets := secretsOf(t, oldKey)
	c := mint(t, secrets, "alice", time.Hour)
	before, err := secrets.Verify(c.Username, noon)
	if err != nil {
		t.Fatal(err)
	}

	both := []credentials.Secret{newSecret, oldSecret}
	if err := secrets.Rotate(both); err != nil {
		t.Fatal(err)
	}
	both[0], both[1] = credentials.RandomSecret(), credentials.RandomSecret()
	if e := secrets.Explain(c.Username, c.Password, noon); !e.Valid || e.SignedBy != 2 || e.Secrets != 2 {
		t.Errorf("old credential: %+v", e)
	}
	minted := mint(t, secrets, "alice", time.Hour)
	if e := secrets.Explain(minted.Username, minted.Password, noon); e.SignedBy != 1 {
		t.Errorf("new credential: %+v", e)
	}

	if err := secrets.Rotate([]credentials.Secret{newSecret}); err != nil {
		t.Fatal(err)
	}
	if e := secrets.Explain(c.Username, c.Password, noon); e.Reason != credentials.ReasonWrongSecret {
		t.Errorf("after the old secret has gone: %+v", e)
	}
	if got := passwords(before); len(got) != 1 || got[0] != c.Password {
		t.Error("candidates changed under the feet of a request")
	}
}

// TestRotateUnderLoad is SEC-20: no credential is refused while secrets change places.
func TestRotateUnderLoad(t *testing.T) {
	a, b := credentials.UnsafeSecret(newKey), credentials.UnsafeSecret(oldKey)
	secrets := secretsOf(t, newKey, oldKey)
	var workers, rotator sync.WaitGroup
	done := make(chan struct{})
	rotator.Go(func() {
		for order := []credentials.Secret{b, a}; ; order[0], order[1] = order[1], order[0] {
			select {
			case <-done:
				return
			default:
				if err := secrets.Rotate(order); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 4 {
		workers.Go(func() {
			for range 2000 {
				c, err := secrets.Mint("alice", time.Hour, noon)
				if err != nil || !accepted(secrets, c) {
					t.Errorf("refused %v: %v", c, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(done)
	rotator.Wait()
}

func accepted(secrets *credentials.Secrets, c credentials.Credential) bool {
	candidates, err := secrets.Verify(c.Username, noon)
	if err != nil {
		return false
	}
	for _, password := range candidates.Passwords() {
		if password == c.Password {
			return true
		}
	}
	return false
}

// TestMalformedCostsNoMemory is the part of SEC-22 that is ours: what anyone can send
// leaves nothing behind.
func TestMalformedCostsNoMemory(t *testing.T) {
	secrets := secretsOf(t, newKey)
	for _, username := range []string{"", "x", "-1:u", "9:\xff", strings.Repeat("9", 60<<10)} {
		if n := testing.AllocsPerRun(100, func() { _, _ = secrets.Verify(username, noon) }); n != 0 {
			t.Errorf("%.10q: %v allocations", username, n)
		}
	}
}

// Derived keys are as many as the secrets, in their order, and differ by secret and by purpose.
func TestDerive(t *testing.T) {
	a, b := credentials.UnsafeSecret("north"), credentials.UnsafeSecret("south")
	secrets, err := credentials.NewSecrets(a, b)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, purpose := range []string{"one", "two"} {
		for _, key := range secrets.Derive(purpose) {
			if len(key) != 32 {
				t.Errorf("a key of %d bytes", len(key))
			}
			seen[string(key)] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d different keys, want 4", len(seen))
	}
	first := string(secrets.Derive("one")[1])
	if err := secrets.Rotate([]credentials.Secret{b}); err != nil {
		t.Fatal(err)
	}
	if string(secrets.Derive("one")[0]) != first {
		t.Error("a key changed with its place")
	}
}
