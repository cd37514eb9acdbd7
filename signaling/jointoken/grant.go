package jointoken

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxBytes is the longest token that is looked at.
	MaxBytes = 8 << 10

	// Leeway is how far the clocks of an issuer and of this machine may be apart.
	Leeway = time.Minute

	// DefaultTTL and MaxTTL are the lifetime of a minted token, where none is asked for, and at most.
	DefaultTTL = time.Hour
	MaxTTL     = 24 * time.Hour

	maxUserBytes   = 256 // what a TURN username takes
	maxRoomBytes   = 128
	maxTenantBytes = 64
	maxNameRunes   = 64
)

// Errors of a grant that cannot be minted, and of a token whose claims are no such grant.
var (
	ErrUser   = errors.New("user is not 1 to 256 bytes of text without control characters and colons")
	ErrRoom   = errors.New("room is not 1 to 128 bytes of text without control characters, with a * at the end only")
	ErrTenant = errors.New("tenant is not up to 64 letters, digits and . _ @ -")
	ErrName   = errors.New("name is not up to 64 characters of text without control characters")
	ErrTTL    = errors.New("lifetime is not between 1s and 24h")
)

// Grant is what a token allows.
type Grant struct {
	User     string
	Tenant   string // whose rooms; may be empty
	Room     string // a room, or a prefix followed by *
	Name     string // may be empty
	Publish  bool
	Moderate bool

	ExpiresAt time.Time // set by Verify and Mint
}

// Allows reports whether the grant is for a room of its tenant.
func (g Grant) Allows(room string) bool {
	if prefix, isPattern := strings.CutSuffix(g.Room, "*"); isPattern {
		return strings.HasPrefix(room, prefix)
	}
	return room == g.Room
}

// Validate reports what is wrong with the grant: one of the errors of this package.
func (g Grant) Validate() error {
	switch {
	case !isText(g.User, maxUserBytes) || g.User == "" || strings.Contains(g.User, ":"):
		return ErrUser
	case !isText(g.Room, maxRoomBytes) || g.Room == "" || strings.Contains(strings.TrimSuffix(g.Room, "*"), "*"):
		return ErrRoom
	case len(g.Tenant) > maxTenantBytes || strings.ContainsFunc(g.Tenant, isNoTenantRune):
		return ErrTenant
	case !isText(g.Name, 4*maxNameRunes) || utf8.RuneCountInString(g.Name) > maxNameRunes:
		return ErrName
	}
	return nil
}

func isText(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func isNoTenantRune(r rune) bool {
	letter := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	return !letter && !strings.ContainsRune("._@-", r)
}

// Capabilities names what the grant allows in its rooms, as the claim has it.
func (g Grant) Capabilities() []string {
	list := []string{}
	if g.Publish {
		list = append(list, "publish")
	}
	if g.Moderate {
		list = append(list, "moderate")
	}
	return list
}
