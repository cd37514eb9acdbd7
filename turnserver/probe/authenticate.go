package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pion/stun/v3"
)

// AuthenticationDetails are the details of the step authentication.
type AuthenticationDetails struct {
	Challenge

	Username string     `json:"username,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"` // of a username EXPIRY:USER
	Secret   int        `json:"secret,omitempty"`  // which of the secrets given signed what the server took; 1 is the newest

	// ClockAheadSeconds is how far the server's clock is ahead of this one, where that
	// is why it refuses.
	ClockAheadSeconds int64 `json:"clockAheadSeconds,omitempty"`
}

// Challenge is what a server says to those it does not know (RFC 8489 §9.2.4).
type Challenge struct {
	Realm       string `json:"realm,omitempty"`
	NonceCookie bool   `json:"nonceCookie"`        // the nonce tells security features (RFC 8489 §9.2)
	SHA256      bool   `json:"passwordAlgorithms"` // it offers other algorithms than MD5
	Userhash    bool   `json:"userhash"`           // it offers to hide usernames
}

// nonceCookie begins a nonce that says which security features the server has; four
// characters of base64 follow with 24 bits (RFC 8489 §9.2).
const nonceCookie = "obMatJos2"

func challengeOf(m *stun.Message) Challenge {
	c := Challenge{Realm: textOf(m, stun.AttrRealm)}
	features, found := strings.CutPrefix(textOf(m, stun.AttrNonce), nonceCookie)
	if !found || len(features) < 4 {
		return c
	}
	bits, err := base64.StdEncoding.DecodeString(features[:4])
	if err != nil {
		return c
	}
	c.NonceCookie = true
	c.SHA256 = bits[0]&0x80 != 0
	c.Userhash = bits[0]&0x40 != 0
	return c
}

// authenticate asks for an allocation, first as nobody and then with the login. What
// the server refuses only then is the matter of the step after this one.
func (p *prober) authenticate(ctx context.Context) Step {
	c, err := p.open(ctx)
	if err != nil {
		reason, words := describe(err)
		return fault(reason, nil, "%s %s", p.at, words)
	}
	p.a = c
	p.later(func() { p.end(c) })
	answer, err := c.request(ctx, stun.MethodAllocate, requestedTransport(protocolUDP))
	if err == nil {
		p.lend(answer)
		return fault("no-authentication", AuthenticationDetails{}, "lends relayed addresses to anybody, without credentials").
			hint("strangers relay through it at your cost; give it a secret or users")
	}
	if step, ok := p.judgeChallenge(err); !ok {
		return step
	}
	login, err := p.firstLogin()
	switch {
	case err != nil:
		return fault("mint-failed", nil, "no credential can be made: %v", err)
	case login == nil:
		return skipped("no-credentials", "asks for credentials, as it should (realm %q), and none were given", p.challenge.Realm).
			hint("give --username and a password, or --secret-file")
	}
	return p.authenticateAs(ctx, *login)
}

// judgeChallenge looks at what the server said to nobody, and reports whether it asks
// for credentials as it should.
func (p *prober) judgeChallenge(err error) (Step, bool) {
	var r *refusal
	if !errors.As(err, &r) {
		reason, words := describe(err)
		return fault(reason, nil, "an Allocate request is not answered: %s %s", p.at, words).
			hint("does this server do TURN, or STUN alone?"), false
	}
	p.note(r.message)
	p.challenge = challengeOf(r.message)
	switch r.code {
	case int(stun.CodeUnauthorized):
	case int(stun.CodeTryAlternate):
		return fault("redirected", nil, "sends its clients to another server (300)").
			hint("probe that one; browsers do not follow"), false
	default:
		return fault("challenge-missing", nil, "answers %v to an Allocate request without credentials, instead of 401", r).
			hint("does this server do TURN, or STUN alone?"), false
	}
	realm, nonce := r.message.Contains(stun.AttrRealm), r.message.Contains(stun.AttrNonce)
	if !realm || !nonce {
		return fault("challenge-broken", nil, "asks for credentials without REALM or without NONCE, so that nobody can give them"), false
	}
	return Step{}, true
}

// mintedFor is how long minted logins last: as long as the usual.
const mintedFor = time.Hour

func (p *prober) firstLogin() (*Login, error) {
	if p.o.Login != nil || len(p.o.Mint) == 0 {
		return p.o.Login, nil
	}
	l, err := p.o.Mint[0](p.o.Now().Add(mintedFor))
	return &l, err
}

func (p *prober) authenticateAs(ctx context.Context, l Login) Step {
	answer, err := p.allocateAs(ctx, l)
	d := AuthenticationDetails{Challenge: p.challenge, Username: l.Username}
	if expires, form := parseExpiry(l.Username); form == formExpiryUser {
		d.Expires = &expires
	}
	switch {
	case err == nil:
		p.lend(answer)
	case errors.Is(err, errUnsigned):
		return fault("not-signed", d, "says yes, but without proof that it knows the password").
			hint("another server may be answering in its place")
	case errors.Is(err, errNonce):
		return fault("stale-nonce", d, "calls every nonce stale, even those it has just given").
			hint("do several servers stand behind this address, or does a NAT change our port from packet to packet?")
	case errors.Is(err, errNoRealm):
		return fault("challenge-broken", d, "asks for a new nonce (438) without giving one")
	case codeOf(err) == int(stun.CodeUnauthorized):
		return p.explainRefusal(ctx, d, l, err)
	case codeOf(err) == 0:
		reason, words := describe(err)
		return fault(reason, d, "no answer to the credential: %s %s", p.at, words).
			hint("some servers fall silent when a source has guessed wrong too often; wait a minute")
	default:
		p.refused = err
	}
	if p.o.Mint != nil && p.o.Login == nil {
		d.Secret = 1
	}
	return p.welcome(d, l)
}

// welcome tells of a login that was taken.
func (p *prober) welcome(d AuthenticationDetails, l Login) Step {
	p.login = &l
	p.login.Realm = p.challenge.Realm
	until := ""
	if d.Expires != nil {
		until = ", for " + span(d.Expires.Sub(p.o.Now())) + " more"
	}
	if p.o.Login != nil && p.o.Login.Realm != "" && p.o.Login.Realm != p.challenge.Realm {
		return fault("wrong-realm", d, "lets %s in, but its realm is %q and not %q", quoted(l.Username), p.challenge.Realm, p.o.Login.Realm).
			hint("clients take the server's realm; keys that were computed with another do not fit")
	}
	return okay(d, "lets %s in, realm %q%s", quoted(l.Username), p.challenge.Realm, until)
}

// allocateAs asks for an allocation with a login.
func (p *prober) allocateAs(ctx context.Context, l Login) (*stun.Message, error) {
	p.a.become(&l)
	return p.a.request(ctx, stun.MethodAllocate, requestedTransport(protocolUDP))
}

// explainRefusal finds out what is wrong with a login that got 401. The server must not
// say: whoever guesses would learn from it.
func (p *prober) explainRefusal(ctx context.Context, d AuthenticationDetails, l Login, err error) Step {
	var r *refusal
	if errors.As(err, &r) {
		if realm := textOf(r.message, stun.AttrRealm); realm != p.challenge.Realm {
			return fault("realm-changes", d, "names realm %q at first and then %q", p.challenge.Realm, realm).
				hint("do several servers stand behind this address?")
		}
	}
	if p.o.Login == nil && len(p.o.Mint) > 0 {
		return p.explainMinted(ctx, d)
	}
	if step, found := p.explainUsername(d, l); found {
		return step
	}
	if fault, hint := oddPassword(l.Password); fault != "" {
		return p.notLetIn("password-not-base64", d, l, fault).hint("%s", hint)
	}
	if d.Expires != nil {
		return p.notLetIn("wrong-secret", d, l, "it has "+span(d.Expires.Sub(p.o.Now()))+" left, so it was signed with another secret, or changed on the way").
			hint("compare the secret of the issuer with that of the server; hairpin credentials verify tells which one signed it")
	}
	return p.notLetIn("wrong-credentials", d, l, "the user or the password is wrong; no good server tells which").
		hint("a server with a shared secret wants usernames EXPIRY:USER: hairpin credentials issue makes them")
}

func (p *prober) notLetIn(reason string, d AuthenticationDetails, l Login, why string) Step {
	return fault(reason, d, "does not let %s in (401): %s", quoted(l.Username), why)
}

// explainUsername finds what can be wrong with a username that tells its expiry.
func (p *prober) explainUsername(d AuthenticationDetails, l Login) (Step, bool) {
	expires, form := parseExpiry(l.Username)
	now := p.o.Now()
	switch {
	case form == formExpiryUser && !expires.After(now):
		return p.notLetIn("expired", d, l, fmt.Sprintf("expired %s ago, at %s", span(now.Sub(expires)), expires.Format(time.RFC3339))).
			hint("get a new credential; if this one is new, the clock of its issuer is slow"), true
	case form == formMilliseconds:
		return p.notLetIn("malformed-username", d, l, "its expiry seems to be in milliseconds").
			hint("the expiry is in seconds since 1970"), true
	case form == formUserExpiry:
		return p.notLetIn("malformed-username", d, l, "it looks like USER:EXPIRY").
			hint("usernames are EXPIRY:USER"), true
	case form == formExpiryUser && expires.Sub(now) > longest:
		return p.notLetIn("clock-skew", d, l, "it expires only in "+span(expires.Sub(now))+", later than many servers let it").
			hint("Hairpin takes no more than 24 h; the clock of the issuer may be fast"), true
	}
	return Step{}, false
}

// longest is the longest lifetime of a credential that Hairpin takes.
const longest = 24 * time.Hour

// oddPassword tells of a password that is no base64 of an HMAC, but nearly.
func oddPassword(password string) (fault, hint string) {
	const hexLen = 40
	switch {
	case strings.TrimSpace(password) != password:
		return "the password begins or ends with white space", "a line end may have come along from a file"
	case len(password) == hexLen && strings.Trim(password, "0123456789abcdefABCDEF") == "":
		return "the password looks like an HMAC in hexadecimal", "it is to be in base64"
	}
	return "", ""
}

// quoted shows a name of the user's or the server's.
func quoted(s string) string { return fmt.Sprintf("%q", s) }
