package probe

import (
	"context"
	"net/netip"
	"slices"
	"strings"
)

// server asks each listening address for a Binding response.
func (s *self) server(ctx context.Context) Step {
	var asked []string
	for _, at := range s.Listen {
		if at.Port() == 0 {
			continue
		}
		at = here(at)
		d := s.answers(ctx, at)
		switch {
		case d.Answers:
			asked = append(asked, at.String())
		case s.Running:
			return fault("no-answer", d, "listens on %s, but %s", at, d.Words).
				hint("does a firewall on this machine stop UDP? nft list ruleset")
		case d.Reason == "not-stun":
			return fault(d.Reason, d, "something at %s %s", at, d.Words).hint("see who listens there: ss -lunp 'sport = :%d'", at.Port())
		default:
			return unknown("not-running", d, "no server answers at %s", at).hint("hairpin serve")
		}
	}
	if len(asked) == 0 {
		return unknown("not-running", nil, "no address with a port to ask is known")
	}
	return okay(nil, "answers at %s", strings.Join(asked, ", "))
}

// here returns the address to ask a listener on all addresses at.
func here(at netip.AddrPort) netip.AddrPort {
	if at.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()) // [::] takes IPv4 too
	}
	return at
}

// address judges the addresses that clients and peers are told, each by what is known
// of it: by itself, and by whoever may be asked outside. The worst decides.
func (s *self) address(ctx context.Context) Step {
	worst := okay(nil, "nothing is relayed")
	badness := map[Status]int{OK: 0, Unknown: 1, Warning: 2, Fault: 3}
	var words []string
	for _, r := range s.Relays {
		step := s.judgeAddress(ctx, r)
		words = append(words, step.Words)
		if badness[step.Status] > badness[worst.Status] {
			worst = step
		}
	}
	if len(words) > 0 {
		worst.Words = strings.Join(words, "; ")
	}
	return worst
}

func (s *self) judgeAddress(ctx context.Context, r SelfRelay) Step {
	if r.Advertised.IsLoopback() {
		return warning("address-loopback", nil, "relays on %s, which only this machine reaches", r.Advertised).
			hint("hairpin serve --relay-address IP")
	}
	for _, outside := range s.STUN {
		if outside.Addr().Is4() == r.Local.Is4() {
			return s.compareAddress(ctx, r, outside)
		}
	}
	switch {
	case scopeOf(r.Advertised) < scopePublic:
		return warning("address-private", nil, "clients are told %s, which is reached only from its own network (%s)", r.Advertised, scopeOf(r.Advertised)).
			hint("if clients come from elsewhere: hairpin serve --external-address PUBLIC-IP")
	case r.Advertised != r.Local:
		return unknown(ReasonNotAsked, nil, "%s is told in place of %s; whether it leads here cannot be seen from here", r.Advertised, r.Local).
			hint("hairpin probe --self --stun-server stun.example.org")
	}
	return okay(nil, "%s is an address of this machine", r.Advertised)
}

// compareAddress asks a server outside who a relay port is.
func (s *self) compareAddress(ctx context.Context, r SelfRelay, outside netip.AddrPort) Step {
	local, mapped, err := s.mapped(ctx, r.Local, s.MinPort, s.MaxPort, outside)
	switch {
	case err != nil:
		_, words := describe(err)
		return unknown("address-unseen", nil, "%s was asked who %s is, and %s", outside, r.Local, words)
	case mapped.Addr() != r.Advertised:
		return fault("address-differs", nil, "clients are told %s, but to %s this machine is %s", r.Advertised, outside, mapped.Addr()).
			hint("hairpin serve --external-address %s", mapped.Addr())
	case mapped.Port() != local.Port():
		return fault("ports-translated", nil, "to %s, relay port %d is port %d: a NAT that changes ports stands in front", outside, local.Port(), mapped.Port()).
			hint("make it translate UDP %d-%d one to one, ports unchanged", s.MinPort, s.MaxPort)
	}
	return okay(nil, "%s is who we are to %s, ports unchanged", r.Advertised, outside)
}

// relayPorts opens one on each relay address. Whether a firewall in front lets peers in
// is not to be seen from here.
func (s *self) relayPorts(context.Context) Step {
	for _, r := range s.Relays {
		if err := s.open(r.Local, s.MinPort, s.MaxPort); err != nil {
			return fault("port-taken", nil, "no port of %d-%d can be opened on %s: %v", s.MinPort, s.MaxPort, r.Local, err).
				hint("hairpin serve --relay-ports MIN-MAX, a range that no other program uses")
		}
	}
	return unknown("not-seen-from-outside", nil, "UDP %d-%d can be opened here; whether firewalls in front let peers in cannot be seen from here", s.MinPort, s.MaxPort).
		hint("from another machine: hairpin probe --secret-file secrets turn:THIS-SERVER")
}

// ipv6 tells whether clients that have IPv6 alone are served.
func (s *self) ipv6(context.Context) Step {
	if slices.ContainsFunc(s.Relays, func(r SelfRelay) bool { return r.Local.Is6() }) {
		return okay(nil, "relays over IPv6 too")
	}
	for _, a := range s.addrs() {
		if a.Is6() && scopeOf(a) == scopePublic && a.IsGlobalUnicast() {
			return warning("ipv6-unused", nil, "this machine has %s, but nothing is relayed over IPv6", a).
				hint("hairpin serve --relay-address %s, besides the IPv4 address", a)
		}
	}
	return okay(nil, "this machine has no IPv6 address that others reach, so IPv4 it is")
}
