package credentials

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reason is a stable code for what is wrong with a credential: the same in log,
// metric, API and command line.
type Reason string

// The reasons, in the order a server meets them.
const (
	ReasonOK                  Reason = "ok"
	ReasonMalformedUsername   Reason = "malformed-username"
	ReasonExpired             Reason = "expired"
	ReasonClockSkew           Reason = "clock-skew" // expires later than any credential could
	ReasonPasswordNotBase64   Reason = "password-not-base64"
	ReasonPasswordWrongLength Reason = "password-wrong-length"
	ReasonWrongSecret         Reason = "wrong-secret"
)

// ReasonOf returns the code for an error of [Secrets.Verify] or [ParseUsername],
// ReasonOK for nil, and the empty Reason for any other error.
func ReasonOf(err error) Reason {
	switch {
	case err == nil:
		return ReasonOK
	case errors.Is(err, ErrMalformed):
		return ReasonMalformedUsername
	case errors.Is(err, ErrExpired):
		return ReasonExpired
	case errors.Is(err, ErrTooFarAhead):
		return ReasonClockSkew
	}
	return ""
}

// Explanation tells people what a credential is and what is wrong with it. It holds
// neither secrets nor passwords.
type Explanation struct {
	Valid     bool      `json:"valid"`
	Reason    Reason    `json:"reason"`             // ok, or the first of Faults
	Faults    []Reason  `json:"faults,omitempty"`   // all that is wrong, the username's first
	User      string    `json:"user,omitempty"`     // empty where the username is malformed
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // UTC; zero where the username is malformed
	SignedBy  int       `json:"signedBy,omitempty"` // which secret, 1 for the newest; 0 for none
	Secrets   int       `json:"secrets"`            // how many secrets were tried
	Text      string    `json:"explanation"`        // what was found, in one sentence
	Hint      string    `json:"hint,omitempty"`     // what to do about it
}

// Explain tells whether a server with these secrets would accept the credential now,
// which secret signed it, and each thing that is wrong with it: a right password that
// expired is told from a wrong one. Where no secret signed it, Explain tries the usual
// mistakes of issuers. It costs some hundred HMACs at worst, so it is for people and not for
// packets. Any input is safe: both arguments are bounded before they are hashed.
func (s *Secrets) Explain(username, password string, now time.Time) Explanation {
	secrets := s.load()
	expires, user, err := ParseUsername(username)
	if err == nil {
		err = checkExpiry(expires, now)
	}
	e := Explanation{
		User:      user,
		ExpiresAt: expires,
		SignedBy:  signer(secrets, username, password),
		Secrets:   len(secrets),
	}
	e.addFault(ReasonOf(err))
	if e.SignedBy == 0 && len(username) <= MaxUsernameBytes {
		e.addFault(passwordReason(password))
	}
	e.Reason, e.Valid = ReasonOK, len(e.Faults) == 0
	if !e.Valid {
		e.Reason = e.Faults[0]
	}
	e.Text = capital(timeText(err, expires, now)+"; "+e.signatureText(username, password)) + "."
	e.Hint = e.hint(secrets, username, password)
	return e
}

func (e *Explanation) addFault(r Reason) {
	if r != ReasonOK {
		e.Faults = append(e.Faults, r)
	}
}

// signer returns the position of the secret that signed username, 1 for the newest, or 0.
func signer(secrets []Secret, username, password string) int {
	if len(username) > MaxUsernameBytes {
		return 0
	}
	found := 0
	for i, secret := range secrets {
		if hmac.Equal([]byte(secret.password(username)), []byte(password)) && found == 0 {
			found = i + 1
		}
	}
	return found
}

// passwordReason says what is wrong with a password that no secret gave.
func passwordReason(password string) Reason {
	if len(password) > maxPasswordBytes {
		return ReasonPasswordWrongLength
	}
	mac, err := decodePassword(password)
	switch {
	case err != nil || isHexMAC(password):
		return ReasonPasswordNotBase64
	case len(mac) != sha1.Size:
		return ReasonPasswordWrongLength
	}
	return ReasonWrongSecret
}

// decodePassword decodes base64 as an HMAC is encoded: padded, in one line, with no
// stray bits, so that there is one encoding for each value.
func decodePassword(password string) ([]byte, error) {
	if strings.ContainsAny(password, "\r\n") { // which the decoder would skip
		return nil, base64.CorruptInputError(strings.IndexAny(password, "\r\n"))
	}
	return base64.StdEncoding.Strict().DecodeString(password)
}

func timeText(err error, expires, now time.Time) string {
	at := expires.Format(time.RFC3339)
	switch ReasonOf(err) {
	case ReasonOK:
		return fmt.Sprintf("good for another %s, until %s", humanDuration(expires.Sub(now)), at)
	case ReasonExpired:
		return fmt.Sprintf("expired %s ago, at %s", humanDuration(now.Sub(expires)), at)
	case ReasonClockSkew:
		return fmt.Sprintf("expires in %s, at %s, but the longest lifetime is %s",
			humanDuration(expires.Sub(now)), at, humanDuration(MaxTTL))
	}
	return err.Error()
}

func (e *Explanation) signatureText(username, password string) string {
	switch {
	case e.SignedBy > 0:
		return fmt.Sprintf("signed by secret %d of %d", e.SignedBy, e.Secrets)
	case len(username) > MaxUsernameBytes:
		return "its password was not looked at"
	}
	switch passwordReason(password) {
	case ReasonPasswordNotBase64:
		return "the password is not base64, so no secret signed it"
	case ReasonPasswordWrongLength:
		return "the password is not 20 bytes in base64, so no secret signed it"
	}
	if e.Secrets == 1 {
		return "the one secret here did not sign it"
	}
	return fmt.Sprintf("none of the %d secrets here signed it", e.Secrets)
}

// hint says what to do about the first fault, and about the password where it has a
// fault of its own.
func (e *Explanation) hint(secrets []Secret, username, password string) string {
	var hints []string
	for _, fault := range e.Faults {
		switch fault {
		case ReasonMalformedUsername:
			hints = append(hints, usernameHint(username, password))
		case ReasonExpired:
			hints = append(hints, "Ask for a new credential. If this one is new, the clock of its issuer is slow.")
		case ReasonClockSkew:
			hints = append(hints, "The clock of the issuer is fast, or it asks for too long a lifetime: compare `date -u` on both machines.")
		default:
			hints = append(hints, passwordHint(secrets, username, password))
		}
	}
	return strings.Join(hints, " ")
}

// humanDuration writes days where hours would not be read, and no fractions.
func humanDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Round(time.Second).String()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
