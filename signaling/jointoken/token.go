package jointoken

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Own is the issuer and the audience of tokens that [Mint] makes.
const Own = "hairpin"

// Errors of [Verifier.Verify], beside those of a [Grant]. None carries a byte of the token.
var (
	ErrRefused      = errors.New("token is not accepted") // joined with why
	ErrTokenTooLong = errors.New("token is longer than 8 KiB")
	ErrMalformed    = errors.New("token is no JSON Web Token")
	ErrAlgorithm    = errors.New("token is not signed by the algorithm that is configured")
	ErrUnknownKey   = errors.New("token names a key that is not known")
	ErrCritical     = errors.New("token has extensions that have to be understood and are not")
	ErrSignature    = errors.New("token is signed by another key")
	ErrExpired      = errors.New("token has expired")
	ErrNotYet       = errors.New("token is not valid yet: the issuer's clock is fast")
	ErrIssuer       = errors.New("token is of another issuer, or of none")
	ErrAudience     = errors.New("token is for another audience, or for none")
	ErrNoExpiry     = errors.New("token has no expiry")
)

// claims are those of a join token.
type claims struct {
	jwt.RegisteredClaims
	Room         string    `json:"room"`
	Tenant       string    `json:"tenant,omitempty"`
	Name         string    `json:"name,omitempty"`
	Capabilities *[]string `json:"capabilities,omitempty"`
}

// Trust is whose tokens are accepted. Its methods are safe for concurrent use.
type Trust struct {
	issuer, audience string
	keys             atomic.Pointer[Keys]
}

// NewTrust trusts tokens of an issuer for an audience, neither of them empty, that keys verify.
func NewTrust(issuer, audience string, keys Keys) *Trust {
	t := &Trust{issuer: issuer, audience: audience}
	t.Replace(keys)
	return t
}

// Replace makes keys the only ones.
func (t *Trust) Replace(keys Keys) { t.keys.Store(&keys) }

// Verifier accepts the tokens of some issuers.
type Verifier struct{ trusts []*Trust }

// NewVerifier returns a verifier of tokens that any of trusts accepts.
func NewVerifier(trusts ...*Trust) *Verifier { return &Verifier{trusts: trusts} }

// Verify returns what a token grants. The error joins why each issuer's keys and claims refuse it.
func (v *Verifier) Verify(token string, now time.Time) (Grant, error) {
	if len(token) > MaxBytes {
		return Grant{}, ErrTokenTooLong
	}
	faults := []error{}
	for _, t := range v.trusts {
		grant, fault := t.verify(token, now)
		if fault == nil {
			return grant, nil
		}
		faults = append(faults, fault)
	}
	return Grant{}, errors.Join(append(faults, ErrRefused)...)
}

func (t *Trust) verify(token string, now time.Time) (Grant, error) {
	keys := t.keys.Load()
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{string(keys.algorithm)}),
		jwt.WithIssuer(t.issuer),
		jwt.WithAudience(t.audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithStrictDecoding(),
	)
	var c claims
	parsed, err := parser.ParseWithClaims(token, &c, keys.find)
	switch {
	case err == nil:
		grant := c.grant()
		return grant, grant.Validate()
	case parsed != nil && parsed.Method != nil && parsed.Method.Alg() != string(keys.algorithm):
		return Grant{}, ErrAlgorithm
	}
	return Grant{}, faultOf(err, c)
}

// find returns the key, or keys, that a token may be signed by. The algorithm has been checked. A token
// with extensions that have to be understood is refused: none is (RFC 7515, section 4.1.11).
func (k *Keys) find(token *jwt.Token) (any, error) {
	if _, critical := token.Header["crit"]; critical {
		return nil, ErrCritical
	}
	if len(k.byID) == 0 {
		return jwt.VerificationKeySet{Keys: k.unnamed}, nil
	}
	id, _ := token.Header["kid"].(string)
	key, known := k.byID[id]
	if !known {
		return nil, ErrUnknownKey
	}
	return key, nil
}

func (c claims) grant() Grant {
	g := Grant{User: c.Subject, Tenant: c.Tenant, Room: c.Room, Name: c.Name, ExpiresAt: c.ExpiresAt.UTC()}
	if c.Capabilities == nil {
		g.Publish = true
		return g
	}
	g.Publish = slices.Contains(*c.Capabilities, "publish")
	g.Moderate = slices.Contains(*c.Capabilities, "moderate")
	return g
}

// faultOf replaces the library's error, which may repeat what is in the token.
func faultOf(err error, c claims) error {
	for _, f := range []struct{ is, as error }{
		{ErrUnknownKey, ErrUnknownKey},
		{ErrCritical, ErrCritical},
		{jwt.ErrTokenMalformed, ErrMalformed},
		{jwt.ErrTokenUnverifiable, ErrAlgorithm},
		{jwt.ErrTokenSignatureInvalid, ErrSignature},
		{jwt.ErrTokenInvalidIssuer, ErrIssuer},
		{jwt.ErrTokenInvalidAudience, ErrAudience},
		{jwt.ErrTokenExpired, ErrExpired},
		{jwt.ErrTokenNotValidYet, ErrNotYet},
		{jwt.ErrTokenUsedBeforeIssued, ErrNotYet},
	} {
		if errors.Is(err, f.is) {
			return f.as
		}
	}
	switch { // a claim is missing
	case c.Issuer == "":
		return ErrIssuer
	case len(c.Audience) == 0:
		return ErrAudience
	case c.ExpiresAt == nil:
		return ErrNoExpiry
	}
	return ErrMalformed
}

// Mint returns a token of [Own] for the grant, signed by HS256 with a secret of [SecretKeys], and the
// grant with its expiry. Errors are those of [Grant.Validate] and ErrTTL. The expiry is rounded up to a
// whole second.
func Mint(secret []byte, g Grant, ttl time.Duration, now time.Time) (string, Grant, error) {
	if err := g.Validate(); err != nil {
		return "", Grant{}, err
	}
	if ttl < time.Second || ttl > MaxTTL {
		return "", Grant{}, ErrTTL
	}
	capabilities := g.Capabilities()
	g.ExpiresAt = now.Add(ttl + time.Second - 1).Truncate(time.Second).UTC()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Own, Audience: jwt.ClaimStrings{Own}, Subject: g.User,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(g.ExpiresAt),
		},
		Room: g.Room, Tenant: g.Tenant, Name: g.Name, Capabilities: &capabilities,
	})
	token.Header["kid"] = keyID(secret)
	text, err := token.SignedString(secret)
	return text, g, err
}
