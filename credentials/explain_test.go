package credentials_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
)

// issue is an issuer with a mistake: it signs what it is told, with the hash it is told.
func issue(newHash func() hash.Hash, key, username string) []byte {
	h := hmac.New(newHash, []byte(key))
	h.Write([]byte(username))
	return h.Sum(nil)
}

func b64(mac []byte) string { return base64.StdEncoding.EncodeToString(mac) }

func TestExplain(t *testing.T) {
	const (
		malformed   = credentials.ReasonMalformedUsername
		expired     = credentials.ReasonExpired
		skew        = credentials.ReasonClockSkew
		notBase64   = credentials.ReasonPasswordNotBase64
		wrongLength = credentials.ReasonPasswordWrongLength
		wrongSecret = credentials.ReasonWrongSecret
	)
	secrets := secretsOf(t, newKey, oldKey)
	at := func(d time.Duration) string { return fmt.Sprintf("%d:alice", noon.Add(d).Unix()) }
	sign := func(key, username string) string { return b64(issue(sha1.New, key, username)) }
	soon := at(time.Hour)
	tests := []struct {
		name, username, password string
		faults                   []credentials.Reason
		signedBy                 int
		text, hint               string
	}{
		{
			"newest secret", soon, sign(newKey, soon), nil, 1,
			"Good for another 1h0m0s, until 2026-03-01T13:00:00Z; signed by secret 1 of 2.", "",
		},
		{"older secret", soon, sign(oldKey, soon), nil, 2, "signed by secret 2 of 2", ""},
		{
			"unknown secret", soon, sign("north", soon),
			[]credentials.Reason{wrongSecret},
			0, "none of the 2 secrets here signed it", "Compare the secret",
		},
		{
			"expired, rightly signed", at(-312 * time.Second), sign(oldKey, at(-312*time.Second)),
			[]credentials.Reason{expired},
			2, "Expired 5m12s ago, at 2026-03-01T11:54:48Z; signed by secret 2 of 2.", "Ask for a new",
		},
		{
			"expired and wrong", at(-72 * time.Hour), sign("north", at(-72*time.Hour)),
			[]credentials.Reason{expired, wrongSecret},
			0, "Expired 3 days ago", "Compare the secret",
		},
		{
			"SEC-15 in ten years", at(3652 * 24 * time.Hour), sign(newKey, at(3652*24*time.Hour)),
			[]credentials.Reason{skew},
			1, "Expires in 3652 days, at 2036-02-29T12:00:00Z, but the longest lifetime is 24h0m0s", "date -u",
		},
		{
			"too far ahead and wrong", at(48 * time.Hour), sign("north", at(48*time.Hour)),
			[]credentials.Reason{skew, wrongSecret},
			0, "Expires in 48h0m0s", "date -u",
		},
		{
			"no colon, rightly signed", "1772370000", sign(newKey, "1772370000"),
			[]credentials.Reason{malformed},
			1, "it has no colon; signed by secret 1", "expiry alone",
		},
		{
			"swapped", "alice:1772370000", sign(newKey, "alice:1772370000"),
			[]credentials.Reason{malformed},
			1, "Malformed username", "USER:EXPIRY",
		},
		{
			"swapped after signing", "alice:1772370000", sign(newKey, "1772370000:alice"),
			[]credentials.Reason{malformed, wrongSecret},
			0, "Malformed username", "its two parts exchanged",
		},
		{
			"milliseconds", "1772370000000:alice", sign(newKey, "1772370000000:alice"),
			[]credentials.Reason{malformed},
			1, "1 to 10 digits", "divide it by 1000",
		},
		{
			"username with a line end", soon + "\n", sign(newKey, soon),
			[]credentials.Reason{malformed, wrongSecret},
			0, "control characters", "white space around the username.",
		},
		{
			"username with a space", soon + " ", sign(newKey, soon),
			[]credentials.Reason{wrongSecret},
			0, "", "The secret is right, but there is white space around the username.",
		},
		{
			"username with a space in front", " " + soon, sign(newKey, soon),
			[]credentials.Reason{malformed, wrongSecret},
			0, "", "There is white space around the username.",
		},
		{
			"username too long", strings.Repeat("9", 600), "x",
			[]credentials.Reason{malformed},
			0, "longer than 508 bytes; its password was not looked at", "EXPIRY:USER",
		},
		{
			"both exchanged", sign(newKey, soon), soon,
			[]credentials.Reason{malformed, notBase64},
			0, "", "look exchanged",
		},
		{
			"password with a line end", soon, sign(newKey, soon) + "\n",
			[]credentials.Reason{notBase64},
			0, "", "The secret is right, but there is white space around the password.",
		},
		{
			"password with a space", soon, sign(newKey, soon) + " ",
			[]credentials.Reason{notBase64},
			0, "", "white space around the password.",
		},
		{
			"hexadecimal", soon, hex.EncodeToString(issue(sha1.New, newKey, soon)),
			[]credentials.Reason{notBase64},
			0, "", "The secret is right, but the password is in hexadecimal",
		},
		{
			"hexadecimal of another secret", soon, hex.EncodeToString(issue(sha1.New, "north", soon)),
			[]credentials.Reason{notBase64},
			0, "", "The password is in hexadecimal and must be in base64, and no secret here gives it even so.",
		},
		{
			"no padding", soon, strings.TrimRight(sign(newKey, soon), "="),
			[]credentials.Reason{notBase64},
			0, "", "The secret is right, but the password lacks the =",
		},
		{
			"no text", soon, "",
			[]credentials.Reason{wrongLength},
			0, "", "28 characters",
		},
		{
			"not base64", soon, "correct horse battery staple",
			[]credentials.Reason{notBase64},
			0, "the password is not base64", "28 characters",
		},
		{
			"stray bits", soon, sign(newKey, soon)[:26] + "x=",
			[]credentials.Reason{notBase64},
			0, "", "28 characters",
		},
		{
			"wrong length", soon, "AAAA",
			[]credentials.Reason{wrongLength},
			0, "not 20 bytes", "28 characters",
		},
		{
			"endless password", soon, strings.Repeat("A", 1<<20),
			[]credentials.Reason{wrongLength},
			0, "not 20 bytes", "28 characters",
		},
		{
			"SHA-256", soon, b64(issue(sha256.New, newKey, soon)),
			[]credentials.Reason{wrongLength},
			0, "", "The secret is right, but the password is an HMAC-SHA256",
		},
		{
			"SHA-256 of another secret", soon, b64(issue(sha256.New, "north", soon)),
			[]credentials.Reason{wrongLength},
			0, "", "sign with HMAC-SHA1",
		},
		{
			"secret with its line end", soon, sign(oldKey+"\n", soon),
			[]credentials.Reason{wrongSecret},
			0, "", "The secret is right, but the issuer takes the line end after the secret",
		},
		{
			"only the user signed", soon, sign(newKey, "alice"),
			[]credentials.Reason{wrongSecret},
			0, "", "signs only the part after the colon",
		},
		{
			"only the expiry signed", soon, sign(newKey, "1772370000"),
			[]credentials.Reason{wrongSecret},
			0, "", "signs only the part before the colon",
		},
		{
			"username signed with a line end, in hexadecimal", soon, hex.EncodeToString(issue(sha1.New, newKey, soon+"\n")),
			[]credentials.Reason{notBase64},
			0, "", "hexadecimal and must be in base64, and the issuer signs the username with a line end",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := secrets.Explain(tt.username, tt.password, noon)
			want := credentials.ReasonOK
			if len(tt.faults) > 0 {
				want = tt.faults[0]
			}
			if e.Reason != want || e.Valid != (tt.faults == nil) || !slices.Equal(e.Faults, tt.faults) {
				t.Errorf("valid %v, reason %s, faults %q, want %q", e.Valid, e.Reason, e.Faults, tt.faults)
			}
			if e.SignedBy != tt.signedBy || e.Secrets != 2 {
				t.Errorf("signed by %d of %d, want %d of 2", e.SignedBy, e.Secrets, tt.signedBy)
			}
			if !strings.Contains(e.Text, tt.text) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("text %q\nhint %q\nwant %q\n     %q", e.Text, e.Hint, tt.text, tt.hint)
			}
			if (e.Hint == "") != e.Valid {
				t.Errorf("valid %v, but the hint is %q", e.Valid, e.Hint)
			}
		})
	}
}

// TestExplainAlphabets has secrets and passwords whose encoding depends on the value.
func TestExplainAlphabets(t *testing.T) {
	hexKey := "0f1e2d3c4b5a69788796a5b4c3d2e1f01029384756abcdef"
	rawKey, _ := hex.DecodeString(hexKey)
	base64Key := b64(append(rawKey, 0xff))
	secrets := secretsOf(t, hexKey, base64Key)
	username := fmt.Sprintf("%d:alice", noon.Add(time.Hour).Unix())
	for i := 0; ; i++ { // until a password has a letter that base64url writes otherwise
		name := fmt.Sprintf("%s%d", username, i)
		password := b64(issue(sha1.New, hexKey, name))
		if !strings.ContainsAny(password, "+/") {
			continue
		}
		e := secrets.Explain(name, strings.NewReplacer("+", "-", "/", "_").Replace(password), noon)
		if e.Reason != credentials.ReasonPasswordNotBase64 || !strings.Contains(e.Hint, "The secret is right, but the password is in base64url") {
			t.Errorf("base64url: %+v", e)
		}
		e = secrets.Explain(name, strings.TrimRight(password, "="), noon)
		if !strings.Contains(e.Hint, "The secret is right, but the password lacks the =") {
			t.Errorf("unpadded: %+v", e)
		}
		break
	}
	e := secrets.Explain(username, b64(issue(sha1.New, string(rawKey), username)), noon)
	if !strings.Contains(e.Hint, "decodes the secret from hexadecimal") {
		t.Errorf("hexadecimal secret: %+v", e)
	}
	e = secrets.Explain(username, b64(issue(sha1.New, string(append(rawKey, 0xff)), username)), noon)
	if !strings.Contains(e.Hint, "decodes the secret from base64") {
		t.Errorf("base64 secret: %+v", e)
	}
}

func TestExplainOneSecret(t *testing.T) {
	e := secretsOf(t, newKey).Explain(fmt.Sprintf("%d:u", noon.Add(time.Minute).Unix()), vectorPassword, noon)
	if !strings.Contains(e.Text, "the one secret here did not sign it") {
		t.Errorf("got %q", e.Text)
	}
}

func TestExplanationJSON(t *testing.T) {
	tests := []struct{ username, want string }{
		{
			"1772366400:alice",
			`{"valid":false,"reason":"expired","faults":["expired","wrong-secret"],"user":"alice","expiresAt":"2026-03-01T12:00:00Z","secrets":1,`,
		},
		{"x", `{"valid":false,"reason":"malformed-username","faults":["malformed-username","wrong-secret"],"secrets":1,`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(secretsOf(t, newKey).Explain(tt.username, vectorPassword, noon))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(got), tt.want) {
			t.Errorf("got  %s\nwant %s…", got, tt.want)
		}
	}
}
