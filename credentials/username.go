package credentials

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxUsernameBytes is the longest USERNAME attribute (RFC 8489 §14.3: fewer than
	// 509 bytes).
	MaxUsernameBytes = 508

	// MaxUserBytes is the longest user [Secrets.Mint] takes. It leaves room in the
	// username, and keeps a client from filling logs and tables with its name.
	MaxUserBytes = 256

	// maxExpiryDigits reaches the year 2286. A longer number is not a time in seconds.
	maxExpiryDigits = 10
)

var (
	// ErrMalformed is what errors.Is finds in every error of [ParseUsername].
	ErrMalformed = errors.New("malformed username")

	// ErrInvalidUser is returned for a user that [Secrets.Mint] does not put in a
	// username.
	ErrInvalidUser = errors.New("invalid user")
)

// malformedError says what is wrong with a username. It is a constant text: errors
// about unauthenticated packets carry no client bytes and cost no memory.
type malformedError string

const (
	errUsernameLong   malformedError = "it is longer than 508 bytes"
	errUsernameText   malformedError = "it is not UTF-8 without control characters"
	errUsernameColon  malformedError = "it has no colon"
	errUsernameExpiry malformedError = "its expiry is not a number of seconds in 1 to 10 digits"
	errUsernameUser   malformedError = "it has no user after the colon"
)

// Error returns what is wrong, in a sentence that fits after a colon.
func (e malformedError) Error() string { return "malformed username: " + string(e) }

// Is makes every malformedError an [ErrMalformed].
func (e malformedError) Is(target error) bool { return target == ErrMalformed }

// ParseUsername splits a username of the form EXPIRY:USER at its first colon. EXPIRY
// is decimal digits only, without sign, space or leading zero; USER is any non-empty
// UTF-8 without control characters, and may hold further colons, because issuers put
// names such as @alice:example.org there. What parses renders back to the same bytes.
// Errors are [ErrMalformed].
func ParseUsername(username string) (expires time.Time, user string, err error) {
	if len(username) > MaxUsernameBytes {
		return time.Time{}, "", errUsernameLong
	}
	if !isText(username) {
		return time.Time{}, "", errUsernameText
	}
	digits, user, found := strings.Cut(username, ":")
	switch {
	case !found:
		return time.Time{}, "", errUsernameColon
	case !isExpiry(digits):
		return time.Time{}, "", errUsernameExpiry
	case user == "":
		return time.Time{}, "", errUsernameUser
	}
	seconds, _ := strconv.ParseInt(digits, 10, 64) // Ten digits always fit.
	return time.Unix(seconds, 0).UTC(), user, nil
}

func formatUsername(expires time.Time, user string) string {
	return strconv.FormatInt(expires.Unix(), 10) + ":" + user
}

// CheckUser tells whether [Secrets.Mint] would take user: 1 to 256 bytes of UTF-8
// without control characters and without a colon. The colon is refused because other
// software splits usernames at another colon than the first. Errors wrap
// [ErrInvalidUser] and do not quote the user.
func CheckUser(user string) error {
	switch {
	case user == "":
		return userError("it is empty")
	case len(user) > MaxUserBytes:
		return userError("it is longer than 256 bytes")
	case !isText(user):
		return userError("it is not UTF-8 without control characters")
	case strings.Contains(user, ":"):
		return userError("it holds a colon")
	}
	return nil
}

// userError is a constant text, like malformedError.
type userError string

// Error returns what is wrong with the user.
func (e userError) Error() string { return "invalid user: " + string(e) }

// Is makes every userError an [ErrInvalidUser].
func (e userError) Is(target error) bool { return target == ErrInvalidUser }

// isExpiry reports whether s is a number as formatUsername writes it.
func isExpiry(s string) bool {
	return isDigits(s) && len(s) <= maxExpiryDigits && (s[0] != '0' || s == "0")
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
