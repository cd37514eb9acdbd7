package control

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Profile is what kind of peers a server is for.
type Profile string

// The profiles.
const (
	ProfilePublic Profile = "public" // any on the Internet, none inside the operator's network
	ProfileLAN    Profile = "lan"    // private and shared address space as well
	ProfileSFU    Profile = "sfu"    // those in Allow only
)

// PolicyConfig says which peers may be relayed to. The zero value is the profile public
// as it comes.
//
// For one address these count in order:
//
//   - Relay: always permitted.
//   - The profile sfu denies what no Allow entry covers.
//   - The table of denied peers, unless the profile lan or an Allow entry re-opens the
//     row. Nothing re-opens unspecified, loopback, multicast and broadcast addresses. A
//     wider Allow entry does not re-open a metadata service or a range of addresses that
//     stand for IPv4 addresses: an entry has to lie within that row.
//   - Own: denied, unless an Allow entry is that very address.
//   - Deny.
//
// Between Allow and Deny the narrower prefix wins, and Deny if they are equal; an Allow
// entry that loses re-opens nothing.
type PolicyConfig struct {
	Profile     Profile // empty means ProfilePublic
	Allow, Deny []netip.Prefix

	// Relay are the addresses that relayed transport addresses are opened on or
	// advertised by. They are permitted, whatever they are: packets to them do not
	// leave the process, and reach live relayed transport addresses only.
	Relay []netip.Addr

	// Own are all other addresses of this host and of its configuration.
	Own []netip.Addr

	// AllowLoopback permits loopback peers, in Own or not. It is for tests.
	AllowLoopback bool
}

// Policy tells which peers may be relayed to. It does not change, and its methods are
// safe for concurrent use and do not allocate.
type Policy struct {
	spans []span
}

// span is a run of addresses that share a verdict. It ends where the next begins.
type span struct {
	first netip.Addr
	verdict
}

type verdict struct {
	reason   Reason
	explicit bool
}

// NewPolicy returns the policy of a configuration, or one error that joins all its
// faults, each naming the faulty entry.
func NewPolicy(c PolicyConfig) (*Policy, error) {
	rules, err := c.rules()
	if err != nil {
		return nil, err
	}
	return &Policy{spans(rules, c.Profile)}, nil
}

// Check returns why a peer may not be relayed to, or None if it may. The peer is to be
// as it was on the wire: there an IPv4-mapped address came as IPv6, so it is denied,
// for what the IPv4 address is denied for or else as PeerDeniedTranslated. So is an
// address with a zone, which no packet can hold.
func (p *Policy) Check(peer netip.Addr) Reason {
	if !peer.IsValid() {
		return PeerDeniedUnspecified
	}
	reason := p.find(peer.WithZone("").Unmap()).reason
	switch {
	case reason != None && reason != PeerDeniedProfile:
		return reason
	case peer.Is4In6():
		return PeerDeniedTranslated
	case peer.Zone() != "":
		return PeerDeniedLinkLocal
	}
	return reason
}

// Explicit reports whether the operator has named this very address: an Allow entry is
// it and no wider, or it is loopback and AllowLoopback is set. Only so may an address of
// this server be a peer beyond its relayed transport addresses.
func (p *Policy) Explicit(peer netip.Addr) bool {
	return peer.IsValid() && !peer.Is4In6() && peer.Zone() == "" && p.find(peer).explicit
}

// find returns the verdict on a valid address without a zone that is not IPv4-mapped.
func (p *Policy) find(a netip.Addr) verdict {
	i, found := slices.BinarySearchFunc(p.spans, a, func(s span, a netip.Addr) int { return s.first.Compare(a) })
	if !found {
		i--
	}
	return p.spans[i].verdict
}

// rule is a prefix and what a policy has to say about it.
type rule struct {
	row
	kind ruleKind
}

type ruleKind uint8

const (
	ruleTable ruleKind = iota // its row
	ruleRelay
	ruleOwn
	ruleDeny
	ruleAllow

	ruleKinds // their number
)

// String returns what entries of the kind are called in errors.
func (k ruleKind) String() string {
	return [ruleKinds]string{"table", "relay address", "own address", "deny", "allow"}[k]
}

// decide gives the verdict on an address from the rules that cover it, narrowest last.
// width is the length of the addresses in bits.
func decide(covering []rule, profile Profile, width int) verdict {
	bits := [ruleKinds]int{-1, -1, -1, -1, -1} // of the narrowest rule of each kind
	var table row
	for _, r := range covering {
		bits[r.kind] = r.Bits()
		if r.kind == ruleTable {
			table = r.row
		}
	}
	covers := func(k ruleKind) bool { return bits[k] >= 0 }
	allowed := bits[ruleAllow] > bits[ruleDeny]
	named := allowed && bits[ruleAllow] >= table.Bits()
	reopened := table.reopen == byProfile && (allowed || profile == ProfileLAN) ||
		table.reopen == byAllow && allowed || table.reopen == byName && named

	v := verdict{explicit: allowed && (bits[ruleAllow] == width || table.reason == PeerDeniedLoopback)}
	switch {
	case covers(ruleRelay):
	case profile == ProfileSFU && !covers(ruleAllow):
		v.reason = PeerDeniedProfile
	case table.reason != None && !reopened:
		v.reason = table.reason
	case covers(ruleOwn) && !(allowed && bits[ruleAllow] == bits[ruleOwn]):
		v.reason = PeerDeniedOwn
	case covers(ruleDeny) && !allowed:
		v.reason = PeerDeniedConfigured
	}
	return v
}

// spans decides for every address, once for each run of addresses that the same rules
// cover.
func spans(rules []rule, profile Profile) []span {
	slices.SortFunc(rules, func(a, b rule) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	starts := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, r := range rules {
		starts = append(starts, r.Addr())
		if next := after(r.Prefix); next.IsValid() {
			starts = append(starts, next)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)

	var result []span
	var covering []rule // narrowest last, for each lies within the one before
	for _, start := range slices.Compact(starts) {
		covering = slices.DeleteFunc(covering, func(r rule) bool { return !r.Contains(start) })
		for len(rules) > 0 && rules[0].Addr() == start {
			covering, rules = append(covering, rules[0]), rules[1:]
		}
		v := decide(covering, profile, start.BitLen())
		if last := len(result) - 1; last < 0 || result[last].verdict != v {
			result = append(result, span{start, v})
		}
	}
	return result
}

// after returns the first address after a prefix; the zero Addr if there is none.
func after(p netip.Prefix) netip.Addr {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(last)
	return a.Next()
}

// rules returns what the configuration comes to, or all its faults.
func (c *PolicyConfig) rules() ([]rule, error) {
	b := builder{table: deniedPeers()}
	if !slices.Contains([]Profile{"", ProfilePublic, ProfileLAN, ProfileSFU}, c.Profile) {
		b.fault("peer profile %q: want public, lan or sfu", c.Profile)
	}
	if c.AllowLoopback {
		b.openLoopback()
	}
	for _, r := range b.table {
		b.rules = append(b.rules, rule{r, ruleTable})
	}
	for _, p := range c.Allow {
		b.prefix(ruleAllow, p)
	}
	for _, p := range c.Deny {
		b.prefix(ruleDeny, p)
	}
	for _, a := range c.Relay {
		b.address(ruleRelay, a)
	}
	for _, a := range c.Own {
		if !c.AllowLoopback || !a.Unmap().IsLoopback() {
			b.address(ruleOwn, a)
		}
	}
	return b.rules, errors.Join(b.faults...)
}

// builder collects rules, and what is wrong with entries.
type builder struct {
	table  []row
	rules  []rule
	faults []error
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

func (b *builder) add(kind ruleKind, p netip.Prefix) {
	b.rules = append(b.rules, rule{row{Prefix: p}, kind})
}

// openLoopback adds loopback to what is allowed, which then re-opens its rows.
func (b *builder) openLoopback() {
	for i, r := range b.table {
		if r.reason == PeerDeniedLoopback {
			b.table[i].reopen = byAllow
			b.add(ruleAllow, r.Prefix)
		}
	}
}

// prefix adds an entry of Allow or Deny.
func (b *builder) prefix(kind ruleKind, p netip.Prefix) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	switch {
	case !p.IsValid():
		b.fault("%v %v: want a prefix such as 192.0.2.0/24", kind, p)
	case p.Addr().Is4In6():
		b.fault("%v %v is wider than all of IPv4: write IPv4 ranges as IPv4", kind, p)
	case p != p.Masked():
		b.fault("%v %v has bits beyond its length: write %v, or %v/%d for the one address",
			kind, p, p.Masked(), p.Addr(), p.Addr().BitLen())
	default:
		if kind == ruleAllow {
			b.checkAllow(p)
		}
		b.add(kind, p)
	}
}

// checkAllow finds fault with an entry that could not have any effect.
func (b *builder) checkAllow(p netip.Prefix) {
	for _, r := range b.table {
		if r.reopen != byNothing || r.Bits() > p.Bits() || !r.Contains(p.Addr()) {
			continue
		}
		hint := "remove the entry"
		if r.reason == PeerDeniedLoopback {
			hint += ", or for tests set allow_loopback_for_tests"
		}
		b.fault("allow %v: nothing re-opens %v (%v): %s", p, r.Prefix, r.reason, hint)
	}
}

// address adds an entry of Relay or Own.
func (b *builder) address(kind ruleKind, entry netip.Addr) {
	a := entry.WithZone("").Unmap()
	switch {
	case !a.IsValid():
		b.fault("%v %v: want an IP address", kind, entry)
	case kind == ruleRelay && (a.IsUnspecified() || a.IsMulticast()):
		b.fault("%v %v is no host's: give the one that peers are to send to", kind, entry)
	default:
		b.add(kind, netip.PrefixFrom(a, a.BitLen()))
	}
}
