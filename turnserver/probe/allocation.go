package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// AllocationDetails are the details of the step allocation.
type AllocationDetails struct {
	Relayed  netip.AddrPort `json:"relayed"`
	Mapped   netip.AddrPort `json:"mapped"`
	Lifetime int64          `json:"lifetime"` // seconds
	Code     int            `json:"code,omitempty"`
	Phrase   string         `json:"phrase,omitempty"` // the server's own words
}

// allocation is what the server lent.
type allocation struct {
	relayed, mapped netip.AddrPort
	lifetime        time.Duration
	message         *stun.Message
}

// Bounds of lifetimes: RFC 8656 §3.2 has 10 minutes by default, and §7.2 recommends no more
// than an hour.
const (
	leastLifetime = time.Minute
	mostLifetime  = time.Hour
)

func allocationOf(m *stun.Message) *allocation {
	a := &allocation{message: m}
	a.relayed, _ = addressOf(m, stun.AttrXORRelayedAddress)
	a.mapped, _ = addressOf(m, stun.AttrXORMappedAddress)
	if value, err := m.Get(stun.AttrLifetime); err == nil && len(value) == 4 {
		a.lifetime = time.Duration(binary.BigEndian.Uint32(value)) * time.Second
	}
	return a
}

// lend remembers the first allocation.
func (p *prober) lend(m *stun.Message) {
	p.note(m)
	p.allocated = allocationOf(m)
	p.mapped = p.allocated.mapped
}

// giveBackWait is how long the server may take to take back an allocation. If it takes
// longer, the allocation lapses by itself.
const giveBackWait = time.Second

// end gives back what a client was lent, and closes it. It is done after ctx has ended,
// too: what was borrowed is not left behind.
func (p *prober) end(c *client) {
	ctx, cancel := context.WithTimeout(context.Background(), giveBackWait)
	defer cancel()
	_, _ = c.request(ctx, stun.MethodRefresh, lifetime(0))
	c.close()
}

// allocation judges the first allocation, or why there is none.
func (p *prober) allocation(context.Context) Step {
	if p.allocated == nil {
		return explainAllocate(p.refused)
	}
	a := p.allocated
	d := AllocationDetails{Relayed: a.relayed, Mapped: a.mapped, Lifetime: int64(a.lifetime / time.Second)}
	if step, ok := p.judgeRelayed(d); !ok {
		return step
	}
	switch {
	case a.lifetime < leastLifetime:
		return fault("lifetime-short", d, "lends %s, but for %s only", a.relayed, a.lifetime)
	case !a.mapped.IsValid():
		return fault("mapped-missing", d, "lends %s, but does not say who we are (no XOR-MAPPED-ADDRESS)", a.relayed)
	case a.lifetime > mostLifetime:
		return okay(d, "lends %s for %s, longer than RFC 8656 recommends", a.relayed, span(a.lifetime))
	}
	return okay(d, "lends %s for %s", a.relayed, span(a.lifetime))
}

// judgeRelayed tells whether a relayed transport address can be reached by those who
// can reach the server.
func (p *prober) judgeRelayed(d AllocationDetails) (Step, bool) {
	const hint = "tell the server its public address: --external-address for Hairpin, external-ip for coturn"
	relayed := d.Relayed
	switch {
	case !relayed.IsValid():
		p.allocated = nil
		return fault("relayed-missing", d, "says yes, but names no relayed address"), false
	case !plausible(relayed):
		p.allocated = nil
		return fault("relayed-impossible", d, "lends %s, which no peer can reach", relayed).hint(hint), false
	case scopeOf(relayed.Addr()) < scopeOf(p.at.Addr()):
		return fault("relayed-private", d, "lends %s, an address of a %s network, though the server itself is at %s", relayed, scopeOf(relayed.Addr()), p.at.Addr()).
			hint(hint), false
	}
	return Step{}, true
}

// scope is how far an address is known.
type scope uint8

const (
	scopeHost scope = iota
	scopeLink
	scopePrivate
	scopePublic
)

// shared is the range of carrier-grade NATs (RFC 6598).
func shared() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

func scopeOf(a netip.Addr) scope {
	a = a.Unmap()
	switch {
	case a.IsLoopback(), a.IsUnspecified():
		return scopeHost
	case a.IsLinkLocalUnicast():
		return scopeLink
	case a.IsPrivate(), shared().Contains(a):
		return scopePrivate
	}
	return scopePublic
}

func (s scope) String() string {
	return [...]string{"loopback", "link-local", "private", "public"}[s]
}

// explainAllocate says why a server that lets us in lends nothing.
func explainAllocate(err error) Step {
	var r *refusal
	if !errors.As(err, &r) {
		reason, words := describe(err)
		return fault(reason, nil, "the server %s", words)
	}
	d := AllocationDetails{Code: r.code, Phrase: r.phrase}
	if words, hint := hairpinReason(r.phrase); words != "" {
		return fault(r.phrase, d, "refuses (%d): %s", r.code, words).hint("%s", hint)
	}
	reason, words, hint := "refused", "no reason known", ""
	switch stun.ErrorCode(r.code) {
	case stun.CodeAllocQuotaReached:
		reason, words, hint = "quota", "the user has as many allocations as allowed", "they end when they are not refreshed, after 10 minutes at most, or raise the quota"
	case stun.CodeInsufficientCapacity:
		reason, words, hint = "capacity", "the server is full, or has no relay port left", "widen its range of relay ports"
	case stun.CodeForbidden:
		reason, words = "forbidden", "this client or user is not allowed to relay"
	case stun.CodeAddrFamilyNotSupported:
		reason, words, hint = "unsupported-family", "it does not relay over IPv4", "give it an IPv4 address to relay on"
	case stun.CodeUnsupportedTransProto:
		reason, words = "unsupported-transport", "it does not relay UDP"
	case stun.CodeTryAlternate:
		reason, words, hint = "redirected", "it sends us to another server", "probe that one; browsers do not follow"
	}
	return fault(reason, d, "refuses (%v): %s", r, words).hint("%s", hint)
}
