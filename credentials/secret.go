package credentials

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MinSecretBytes is the length below which a secret is refused. Whoever holds one
	// credential can try secrets against it offline, so the secret must outlast that.
	MinSecretBytes = 32

	// MaxSecretBytes bounds a secret. HMAC-SHA1 hashes longer keys than 64 bytes down
	// to 20, so that more buys nothing.
	MaxSecretBytes = 1024

	// MaxSecrets bounds how many secrets are accepted at once: a request with a wrong
	// password costs an HMAC for each.
	MaxSecrets = 16

	// maxSecretsFileBytes holds MaxSecrets of the longest secrets, with comments.
	maxSecretsFileBytes = 64 << 10

	// maxPatternBytes is the longest pattern whose repetition is recognised. No secret
	// drawn at random repeats one so short from beginning to end.
	maxPatternBytes = 16
)

// Errors of [NewSecret], [ParseSecrets], [ParseSecretList], [NewSecrets] and
// [Secrets.Rotate]. None carries a byte of a secret.
var (
	ErrSecretTooShort = errors.New("secret is shorter than 32 bytes")
	ErrSecretTooLong  = errors.New("secret is longer than 1024 bytes")
	ErrSecretExample  = errors.New("secret is an example or a repeated pattern, not a random value")
	ErrSecretNotText  = errors.New("secret is not one line of UTF-8 text without white space at its ends")
	ErrSecretComment  = errors.New("secret is followed by a comment, which needs a line of its own")
	ErrNoSecrets      = errors.New("no secret given")
	ErrTooMany        = errors.New("more than 16 secrets, or more than 64 KiB")
)

// placeholders are what documentation writes where a secret should go. Each has
// seven letters or more, which no random secret holds by accident.
var placeholders = []string{
	"changeme", "change-me", "change_me", "example", "placeholder",
	"yoursecret", "your-secret", "your_secret", "abcdefghijklmnop", "1234567890",
}

// Secret is the HMAC key an issuer and the server share. It prints as "***" however
// it is printed, marshalled or logged. The zero Secret is no secret and is refused by
// [NewSecrets]. Secrets are immutable and safe for concurrent use.
type Secret struct {
	// A function, because fmt calls no method on a Secret inside an unexported field and
	// prints what it finds: a pointer it may follow, of a function it has but the address.
	key func() []byte
}

// NewSecret returns the secret with the bytes of s. It refuses what is too short or
// too long, what is no line of text, and what is an example from documentation or a
// short pattern repeated.
func NewSecret(s string) (Secret, error) {
	switch {
	case !isLine(s):
		return Secret{}, ErrSecretNotText
	case len(s) < MinSecretBytes:
		return Secret{}, ErrSecretTooShort
	case len(s) > MaxSecretBytes:
		return Secret{}, ErrSecretTooLong
	case isExample(s):
		return Secret{}, ErrSecretExample
	}
	return UnsafeSecret(s), nil
}

// UnsafeSecret returns a secret without checking it: for published test vectors and
// tests, whose secrets are short. A server must use [NewSecret].
func UnsafeSecret(s string) Secret {
	key := []byte(s)
	return Secret{key: func() []byte { return key }}
}

// RandomSecret returns a fresh secret of 32 random bytes, as base64 text.
func RandomSecret() Secret {
	b := make([]byte, MinSecretBytes)
	rand.Read(b) // Never fails: crypto/rand ends the process instead.
	return UnsafeSecret(base64.StdEncoding.EncodeToString(b))
}

// String returns "***".
func (Secret) String() string { return "***" }

// GoString returns "***".
func (Secret) GoString() string { return "***" }

// Format writes "***" for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// MarshalText returns "***", so that no encoder writes the secret out.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue returns "***".
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// password returns the password this secret gives a username.
func (s Secret) password(username string) string {
	mac := hmac.New(sha1.New, s.key())
	_, _ = io.WriteString(mac, username)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ParseSecrets reads secrets from r, one a line, newest first. Blank lines and lines
// that begin with # are skipped, as are a byte order mark and white space at the ends
// of a line. It reads at most 64 KiB. Errors name the line, never its content, and no
// secret is returned with an error.
func ParseSecrets(r io.Reader) ([]Secret, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSecretsFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if len(text) > maxSecretsFileBytes {
		return nil, ErrTooMany
	}
	lines := strings.Split(strings.TrimPrefix(string(text), "\uFEFF"), "\n")
	for i, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			lines[i] = ""
		} else if strings.Contains(line, " #") || strings.Contains(line, "\t#") {
			return nil, fmt.Errorf("line %d: %w", i+1, ErrSecretComment)
		}
	}
	return parseEach(lines, "line")
}

// ParseSecretList reads secrets from a comma separated list, newest first, as an
// environment variable carries them. Empty entries are skipped. Errors name the entry
// by its number, never its content.
func ParseSecretList(list string) ([]Secret, error) {
	if len(list) > maxSecretsFileBytes {
		return nil, ErrTooMany
	}
	return parseEach(strings.Split(list, ","), "entry")
}

func parseEach(entries []string, what string) ([]Secret, error) {
	var secrets []Secret
	for i, entry := range entries {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		secret, err := NewSecret(entry)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i+1, err)
		}
		secrets = append(secrets, secret)
	}
	if err := checkCount(secrets); err != nil {
		return nil, err
	}
	return secrets, nil
}

func checkCount(secrets []Secret) error {
	switch {
	case len(secrets) == 0:
		return ErrNoSecrets
	case len(secrets) > MaxSecrets:
		return ErrTooMany
	}
	return nil
}

// isLine reports whether s can stand on a line of a file and be read back the same.
func isLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) && strings.TrimSpace(s) == s
}

// isExample reports whether s repeats a short pattern, or holds a word that
// documentation puts in the place of a secret.
func isExample(s string) bool {
	for n := 1; n <= maxPatternBytes; n++ {
		if s[n:] == s[:len(s)-n] {
			return true
		}
	}
	lower := strings.ToLower(s)
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return true
		}
	}
	return false
}
