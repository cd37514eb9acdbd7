package credentials_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
)

// FuzzParseUsername: what parses renders back to the same bytes, and nothing else is
// half accepted.
func FuzzParseUsername(f *testing.F) {
	for _, username := range []string{
		vectorUsername, "0:u", "9:@alice:example.org", "-1:u", "+9:u", " 9:u", "9e9:u",
		"12345678901234567890:u", "nocolon", "", ":", "9:\x00", "9:\xff", "007:bond",
	} {
		f.Add(username)
	}
	f.Fuzz(func(t *testing.T, username string) {
		expires, user, err := credentials.ParseUsername(username)
		if err != nil {
			if !errors.Is(err, credentials.ErrMalformed) || user != "" || !expires.IsZero() {
				t.Errorf("refused as %v with %v, %q", err, expires, user)
			}
			return
		}
		if again := fmt.Sprintf("%d:%s", expires.Unix(), user); again != username {
			t.Errorf("%q renders back as %q", username, again)
		}
		if len(username) > credentials.MaxUsernameBytes || user == "" {
			t.Errorf("accepted %q", username)
		}
	})
}

// FuzzMint: what is minted verifies with the newest of its secrets, and with no other.
func FuzzMint(f *testing.F) {
	f.Add("alice", int64(3600), int64(1772366400))
	f.Add("a:b", int64(3600), int64(1772366400))
	f.Add("名前", int64(1), int64(0))
	f.Add("\xff", int64(86400), int64(1<<32))
	f.Add("u", int64(86401), int64(-5))
	secrets, other := secretsOf(f, newKey, oldKey), secretsOf(f, "north")
	f.Fuzz(func(t *testing.T, user string, ttl, seconds int64) {
		now := time.Unix(seconds&(1<<32-1), seconds&0x3fffffff)
		c, err := secrets.Mint(user, time.Duration(ttl)*time.Second, now)
		if err != nil {
			if !errors.Is(err, credentials.ErrInvalidUser) && !errors.Is(err, credentials.ErrInvalidTTL) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		candidates, err := secrets.Verify(c.Username, now)
		if err != nil || candidates.User != user || !candidates.ExpiresAt.Equal(c.ExpiresAt) {
			t.Fatalf("%v verifies as %q, %v", c, candidates.User, err)
		}
		if all := passwords(candidates); len(all) != 2 || all[0] != c.Password || all[1] == c.Password {
			t.Errorf("%v has other candidates", c)
		}
		if e := secrets.Explain(c.Username, c.Password, now); !e.Valid || e.SignedBy != 1 {
			t.Errorf("%v explains as %+v", c, e)
		}
		if e := other.Explain(c.Username, c.Password, now); e.Valid || e.SignedBy != 0 {
			t.Errorf("%v explains as %+v to a stranger", c, e)
		}
	})
}

// FuzzExplain: Explain agrees with Verify and always has words for what is wrong.
func FuzzExplain(f *testing.F) {
	f.Add(vectorUsername, vectorPassword, int64(vectorExpiry-1))
	f.Add(vectorUsername, vectorPassword, int64(vectorExpiry))
	f.Add("mbzrxpgjys:1772366400", "22aed85e44689fc61725f74dd4a7bd1193b0d541", int64(1772366000))
	f.Add("1772366400000:u", "Iq7YXkRon8YXJfdN1Ke9EZOw1UE", int64(1772366000))
	f.Add("9:u\n", "Iq7YXkRon8YXJfdN1Ke9EZOw1UE=\n", int64(1))
	f.Add("\xff", "-_-_-_-_-_-_-_-_-_-_-_-_-_8", int64(1))
	secrets := secretsOf(f, vectorSecret, newKey)
	f.Fuzz(func(t *testing.T, username, password string, seconds int64) {
		now := time.Unix(seconds&(1<<34-1), 0)
		e := secrets.Explain(username, password, now)
		candidates, err := secrets.Verify(username, now)
		known := err == nil && strings.Contains(strings.Join(passwords(candidates), " "), password) && len(password) == 28
		if e.Valid != known || e.Valid != (e.Reason == credentials.ReasonOK) || e.Valid != (len(e.Faults) == 0) {
			t.Errorf("Verify %v, known %v, but explained as %+v", err, known, e)
		}
		if reason := credentials.ReasonOf(err); err != nil && e.Reason != reason {
			t.Errorf("Verify says %s, Explain %s", reason, e.Reason)
		}
		if e.Text == "" || e.Valid != (e.Hint == "") {
			t.Errorf("no words: %+v", e)
		}
	})
}

// FuzzParseSecrets: a file that is accepted is one of secrets that NewSecret accepts,
// and an error tells nothing of the file.
func FuzzParseSecrets(f *testing.F) {
	f.Add([]byte("# newest first\n" + newKey + "\r\n\n" + oldKey))
	f.Add([]byte("\uFEFF" + newKey))
	f.Add([]byte("north\n"))
	f.Add([]byte(newKey + " # comment"))
	f.Add(bytes.Repeat([]byte("x"), 40))
	f.Fuzz(func(t *testing.T, text []byte) {
		secrets, err := credentials.ParseSecrets(bytes.NewReader(text))
		if err != nil {
			if secrets != nil {
				t.Error("secrets beside an error")
			}
			return
		}
		lines := strings.Split(strings.TrimPrefix(string(text), "\uFEFF"), "\n")
		accepted := 0
		for _, line := range lines {
			if _, err := credentials.NewSecret(strings.TrimSpace(line)); err == nil && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				accepted++
			}
		}
		if accepted != len(secrets) {
			t.Errorf("%d secrets of %d good lines", len(secrets), accepted)
		}
	})
}
