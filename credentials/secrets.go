package credentials

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// DefaultTTL is the lifetime of a credential when its issuer names none.
	DefaultTTL = time.Hour

	// MinTTL is the shortest lifetime: the username counts in seconds.
	MinTTL = time.Second

	// MaxTTL is the longest lifetime of a credential.
	MaxTTL = 24 * time.Hour

	// ClockSkew is how far an issuer's clock may run ahead of the server's: a credential
	// of the longest lifetime is then still accepted. Nothing is allowed after the
	// expiry, where a slow clock of an issuer only shortens the lifetime.
	ClockSkew = time.Minute
)

// Errors of [Secrets.Mint] and [Secrets.Verify], beside [ErrMalformed] and
// [ErrInvalidUser].
var (
	// ErrInvalidTTL is a lifetime outside of MinTTL to MaxTTL.
	ErrInvalidTTL = errors.New("lifetime is not between 1s and 24h")

	// ErrExpired is what errors.Is finds in an [*ExpiredError].
	ErrExpired = errors.New("credential expired")

	// ErrTooFarAhead is what errors.Is finds in a [*TooFarAheadError].
	ErrTooFarAhead = errors.New("credential expires too far ahead")
)

// ExpiredError is a credential whose expiry is not after now.
type ExpiredError struct {
	ExpiresAt time.Time
	Ago       time.Duration // from ExpiresAt to now, 0 or more
}

// Error names the time since the expiry.
func (e *ExpiredError) Error() string { return fmt.Sprintf("%v %v ago", ErrExpired, e.Ago) }

// Is makes every ExpiredError an [ErrExpired].
func (e *ExpiredError) Is(target error) bool { return target == ErrExpired }

// TooFarAheadError is a credential that expires later than any minted now could, the
// [ClockSkew] included: its issuer's clock is fast, or its lifetime too long.
type TooFarAheadError struct {
	ExpiresAt time.Time
	Ahead     time.Duration // from now to ExpiresAt, more than MaxTTL + ClockSkew
}

// Error names the time to the expiry.
func (e *TooFarAheadError) Error() string { return fmt.Sprintf("%v: in %v", ErrTooFarAhead, e.Ahead) }

// Is makes every TooFarAheadError an [ErrTooFarAhead].
func (e *TooFarAheadError) Is(target error) bool { return target == ErrTooFarAhead }

// Credential is a username and its password, good until ExpiresAt. It prints and logs
// without the password.
type Credential struct {
	Username  string
	Password  string
	ExpiresAt time.Time     // UTC, a whole second
	TTL       time.Duration // the lifetime asked for; ExpiresAt is no earlier
}

// String returns the credential with its password hidden.
func (c Credential) String() string {
	return fmt.Sprintf("{%q *** %s}", c.Username, c.ExpiresAt.Format(time.RFC3339))
}

// GoString returns the credential with its password hidden.
func (c Credential) GoString() string { return c.String() }

// LogValue returns the username and the expiry.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String("username", c.Username), slog.Time("expiresAt", c.ExpiresAt))
}

// Secrets are the secrets a server accepts, newest first: it mints with the first and
// verifies with all. Methods are safe for concurrent use.
type Secrets struct {
	newestFirst atomic.Pointer[[]Secret] // what it points to is never written again
}

// NewSecrets returns Secrets that mint with the first of secrets and accept all. It
// refuses none, more than [MaxSecrets], and the zero Secret.
func NewSecrets(secrets ...Secret) (*Secrets, error) {
	s := new(Secrets)
	if err := s.Rotate(secrets); err != nil {
		return nil, err
	}
	return s, nil
}

// Rotate replaces all secrets at once, newest first. To rotate without refusing
// anyone, put the new secret before the old one, and leave the old one out only when
// its last credential has expired, [MaxTTL] later. On an error, which is as for
// [NewSecrets], nothing changes.
func (s *Secrets) Rotate(secrets []Secret) error {
	if err := checkCount(secrets); err != nil {
		return err
	}
	if slices.ContainsFunc(secrets, func(s Secret) bool { return s.key == nil }) {
		return ErrNoSecrets
	}
	secrets = slices.Clone(secrets)
	s.newestFirst.Store(&secrets)
	return nil
}

// Mint returns a credential for user that is good from now for at least ttl, signed
// by the newest secret. The expiry is rounded up to a whole second. Errors are
// [ErrInvalidUser] and [ErrInvalidTTL].
func (s *Secrets) Mint(user string, ttl time.Duration, now time.Time) (Credential, error) {
	if err := CheckUser(user); err != nil {
		return Credential{}, err
	}
	if ttl < MinTTL || ttl > MaxTTL {
		return Credential{}, ErrInvalidTTL
	}
	expires := now.Add(ttl + time.Second - 1).Truncate(time.Second).UTC()
	username := formatUsername(expires, user)
	return Credential{
		Username:  username,
		Password:  s.load()[0].password(username),
		ExpiresAt: expires,
		TTL:       ttl,
	}, nil
}

// Derive returns a key of 32 bytes from each secret, newest first, for a purpose other than credentials
// (HKDF-SHA256, RFC 5869). Keys of two purposes tell nothing of each other or of the secrets.
func (s *Secrets) Derive(purpose string) [][]byte {
	var keys [][]byte
	for _, secret := range s.load() {
		key, err := hkdf.Key(sha256.New, secret.key(), nil, purpose, sha256.Size)
		if err != nil {
			panic(err) // only for more bytes than there are
		}
		keys = append(keys, key)
	}
	return keys
}

// Verify reads a username and returns the passwords it could have. It proves nothing:
// the caller must find which candidate the client knows. Errors are [ErrMalformed],
// [*ExpiredError] and [*TooFarAheadError]; [ReasonOf] gives their codes. The username is
// bounded before anything is computed, and no HMAC is computed before the candidates
// are asked for.
func (s *Secrets) Verify(username string, now time.Time) (Candidates, error) {
	expires, user, err := ParseUsername(username)
	if err != nil {
		return Candidates{}, err
	}
	if err := checkExpiry(expires, now); err != nil {
		return Candidates{}, err
	}
	return Candidates{User: user, ExpiresAt: expires, username: username, secrets: s.load()}, nil
}

func checkExpiry(expires, now time.Time) error {
	left := expires.Sub(now)
	switch {
	case left <= 0:
		return &ExpiredError{ExpiresAt: expires, Ago: -left}
	case left > MaxTTL+ClockSkew:
		return &TooFarAheadError{ExpiresAt: expires, Ahead: left}
	}
	return nil
}

func (s *Secrets) load() []Secret { return *s.newestFirst.Load() }

// Candidates are the passwords a username could have, one for each secret. They keep
// the secrets of the moment of [Secrets.Verify], whatever is rotated since.
type Candidates struct {
	User      string
	ExpiresAt time.Time // UTC
	username  string
	secrets   []Secret
}

// Passwords yields the position of a secret, 0 for the newest, and the password it
// gives the username. Each step costs one HMAC.
func (c Candidates) Passwords() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i, secret := range c.secrets {
			if !yield(i, secret.password(c.username)) {
				return
			}
		}
	}
}
