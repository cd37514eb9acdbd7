package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"hairpin/credentials"
	"hairpin/signaling"
	"hairpin/signaling/jointoken"
	"hairpin/web"
)

// joinTokenPurpose is what the keys of the server's own join tokens are derived for.
const joinTokenPurpose = "hairpin join tokens, HS256"

// buildJoinTokens makes what verifies join tokens: the server's own, and those of the issuer that is
// configured.
func (v *service) buildJoinTokens(s settings) {
	v.ownTokens = jointoken.NewTrust(jointoken.Own, jointoken.Own, jointoken.SecretKeys(v.secrets.Derive(joinTokenPurpose)...))
	trusts := []*jointoken.Trust{v.ownTokens}
	if s.JoinKeys.Len() > 0 {
		v.otherTokens = jointoken.NewTrust(v.config.JoinTokenIssuer, v.config.JoinTokenAudience, s.JoinKeys)
		trusts = append(trusts, v.otherTokens)
	}
	v.tokens = jointoken.NewVerifier(trusts...)
}

// reloadJoinTokens takes over secrets and keys that have changed.
func (v *service) reloadJoinTokens(s settings) {
	v.ownTokens.Replace(jointoken.SecretKeys(v.secrets.Derive(joinTokenPurpose)...))
	if v.otherTokens != nil && s.JoinKeys.Algorithm() == jointoken.Algorithm(v.config.JoinTokenAlgorithm) {
		v.otherTokens.Replace(s.JoinKeys)
	}
}

// errNotAllowed is all that a stranger learns about a room.
var errNotAllowed = errors.New("joining needs a join token or an API key, or the demo mode")

// authorizer returns who may join: who has a join token for the room or an API key, and in demo mode
// also who has neither.
func (v *service) authorizer(s settings) func(*http.Request, signaling.Join) (signaling.Member, error) {
	return func(r *http.Request, join signaling.Join) (signaling.Member, error) {
		token := string(join.Token)
		if scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " "); token == "" && strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(bearer)
		}
		if token == "" && s.Demo {
			return anybody("demo", "", join), nil
		}
		if key, ok := v.keys.Match(token); ok {
			return anybody(key, key, join), nil // the rooms of one key's holder are no one else's
		}
		return v.tokenHolder(token, join)
	}
}

// anybody is a member who is known by nothing but a key, or not at all. The user is another for each, so
// that one cannot use up what another may allocate.
func anybody(prefix, tenant string, join signaling.Join) signaling.Member {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return signaling.Member{
		User: prefix + "-" + hex.EncodeToString(b[:]), Tenant: tenant, Name: join.Name,
		Capabilities: signaling.Capabilities{Publish: true, Moderate: true},
	}
}

// tokenHolder is the member that a join token names.
func (v *service) tokenHolder(token string, join signaling.Join) (signaling.Member, error) {
	grant, err := v.tokens.Verify(token, time.Now())
	if err != nil || !grant.Allows(join.RoomID) || credentials.CheckUser(grant.User) != nil {
		return signaling.Member{}, errNotAllowed
	}
	name := grant.Name
	if name == "" {
		name = join.Name
	}
	return signaling.Member{
		User: grant.User, Tenant: grant.Tenant, Name: name,
		Capabilities: signaling.Capabilities{Publish: grant.Publish, Moderate: grant.Moderate},
	}, nil
}

// mintJoinToken mints for POST /v1/rooms/{room}/tokens.
func (v *service) mintJoinToken(ask web.TokenAsk) (web.Token, error) {
	text, grant, err := jointoken.Mint(v.secrets.Derive(joinTokenPurpose)[0], jointoken.Grant{
		User: ask.User, Tenant: ask.Tenant, Room: ask.Room, Name: ask.Name, Publish: ask.Publish, Moderate: ask.Moderate,
	}, ask.TTL, time.Now())
	return web.Token{Text: text, ExpiresAt: grant.ExpiresAt}, err
}

// endUser takes back the credentials that a removed user can have of that room, and ends its allocations.
func (v *service) endUser(m signaling.Member) {
	v.turn.Revoke(v.roomUsers.of(m), time.Now().Add(v.config.CredentialTTL+time.Second)) // minting rounds up to a second
}

// roomView is a room as the HTTP API shows it.
type roomView struct {
	Room     string            `json:"room"`
	Tenant   string            `json:"tenant,omitempty"`
	Locked   bool              `json:"locked"`
	Capacity int               `json:"capacity"`
	Verdict  signaling.Verdict `json:"verdict"` // the worst of its members'
	Members  []roomMember      `json:"members"`
}

type roomMember struct {
	ClientID     signaling.ClientID `json:"clientId"`
	Name         string             `json:"name,omitempty"`
	User         string             `json:"user"`
	Since        time.Time          `json:"since"`
	Away         bool               `json:"away"` // its WebSocket was lost, and it may resume
	Capabilities []string           `json:"capabilities"`
	Verdict      signaling.Verdict  `json:"verdict"` // the worst of its connections
	Connections  []roomConnection   `json:"connections"`
}

// roomConnection is a connection as the member reported it last.
type roomConnection struct {
	To      signaling.ClientID `json:"to"`
	Verdict signaling.Verdict  `json:"verdict"`
	signaling.Quality
}

// listRooms returns the rooms of a tenant, and those of no tenant.
func (v *service) listRooms(tenant string) any {
	rooms := []roomView{}
	for _, r := range v.hub.Rooms() {
		if r.Tenant != "" && r.Tenant != tenant {
			continue
		}
		view := roomView{Room: r.Name, Tenant: r.Tenant, Locked: r.Locked, Capacity: r.Capacity, Verdict: signaling.VerdictUnknown, Members: []roomMember{}}
		for _, m := range r.Members {
			member := memberView(m)
			view.Verdict = view.Verdict.Worse(member.Verdict)
			view.Members = append(view.Members, member)
		}
		rooms = append(rooms, view)
	}
	return rooms
}

func memberView(m signaling.MemberInfo) roomMember {
	view := roomMember{
		ClientID: m.ID, Name: m.Name, User: m.User, Since: m.Since.UTC().Truncate(time.Second), Away: m.Away,
		Capabilities: m.Capabilities.List(), Verdict: signaling.VerdictUnknown, Connections: []roomConnection{},
	}
	for to, q := range m.Quality {
		view.Connections = append(view.Connections, roomConnection{To: to, Verdict: q.Verdict(), Quality: q})
		view.Verdict = view.Verdict.Worse(q.Verdict())
	}
	return view
}
