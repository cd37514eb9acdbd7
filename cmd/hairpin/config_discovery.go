package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/relay"
)

// addressPair are two addresses that NAT behaviour discovery is offered on (RFC 5780
// §6), each IP with both ports. The primary IP is unspecified where all addresses are
// listened on: it is then the relay address of the family.
type addressPair struct{ primary, alternate netip.AddrPort }

// listeners returns the four transport addresses of the pair.
func (p addressPair) listeners() []netip.AddrPort {
	a, b := p.primary, p.alternate
	return []netip.AddrPort{a, netip.AddrPortFrom(a.Addr(), b.Port()), netip.AddrPortFrom(b.Addr(), a.Port()), b}
}

const alternateHint = "give --alternate-address a second address of this host that clients reach as they do the first"

// resolveAlternate decides what NAT behaviour discovery is offered on: in each family
// the address that is asked for, else two that are listened on anyway.
func (r *resolver) resolveAlternate() {
	var asked []netip.Addr
	for _, text := range r.config.AlternateAddress {
		at, err := parseAlternate(text)
		sameFamily := func(other netip.Addr) bool { return other.Is4() == at.Addr().Is4() }
		switch {
		case err != nil:
			r.alternateFault(text, err.Error(), "give --alternate-address IP, IP:PORT or [IPv6]:PORT")
			continue
		case slices.ContainsFunc(asked, sameFamily):
			r.alternateFault(text, "is the second of its family", "give --alternate-address at most one IPv4 and one IPv6 address")
		default:
			r.askAlternate(text, at)
		}
		asked = append(asked, at.Addr())
	}
	for _, is4 := range []bool{true, false} {
		if !slices.ContainsFunc(asked, func(a netip.Addr) bool { return a.Is4() == is4 }) {
			r.offerAlternate(is4)
		}
	}
}

func (r *resolver) alternateFault(text, problem, hint string) {
	r.fault("alternate_address", text, problem, hint)
}

// parseAlternate takes an address with or without a port, which is then 0.
func parseAlternate(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err == nil && at.Port() == 0 {
		return at, errors.New("has port 0, which clients could not be told")
	}
	addr, port := at.Addr(), at.Port()
	if err != nil {
		port = 0
		addr, err = netip.ParseAddr(text)
	}
	if err != nil {
		return netip.AddrPort{}, errors.New("is neither an IP address nor one with a port")
	}
	if addr, err = parseIP(addr.String()); err != nil {
		return netip.AddrPort{}, err
	}
	if !isOneHost(addr) {
		return netip.AddrPort{}, errors.New("is not the address of one host")
	}
	return netip.AddrPortFrom(addr, port), nil
}

// askAlternate pairs the address that is asked for with one that is listened on.
func (r *resolver) askAlternate(text string, at netip.AddrPort) {
	fits := func(l netip.AddrPort) bool { return l.Addr() != at.Addr() && takesFamily(l.Addr(), at.Addr().Is4()) }
	i := slices.IndexFunc(r.Listen, fits)
	if r.addrs != nil && !r.isLocal(at.Addr()) {
		r.alternateFault(text, "is no address of this host, which has "+r.addrsLike(at.Addr()), alternateHint)
		return
	}
	if i < 0 {
		problem := "has nothing to be the alternate of: no other address of its family is listened on"
		r.alternateFault(text, problem, "give --listen another address of that family too")
		return
	}
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), nextPort(r.Listen[i].Port()))
	}
	pair := addressPair{r.primaryOf(r.Listen[i], at.Addr().Is4()), at}
	if problem, hint := r.pairFault(pair); problem != "" {
		r.alternateFault(text, problem, hint)
		return
	}
	r.Discovery = append(r.Discovery, pair)
}

// nextPort is the alternate port where none is named: beside the listener's, so that
// both are let through by one rule of a firewall.
func nextPort(port uint16) uint16 {
	if port == 65535 {
		return port - 1
	}
	return port + 1
}

// primaryOf returns the listening address to tell clients of one family.
func (r *resolver) primaryOf(l netip.AddrPort, is4 bool) netip.AddrPort {
	if !l.Addr().IsUnspecified() {
		return l
	}
	for _, relay := range r.RelayAddresses {
		if relay.Is4() == is4 {
			return netip.AddrPortFrom(relay, l.Port())
		}
	}
	if is4 {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), l.Port())
	}
	return l
}

// offerAlternate pairs the first two addresses of a family that are listened on, if
// clients reach both of them alike.
func (r *resolver) offerAlternate(is4 bool) {
	candidates := slices.DeleteFunc(slices.Clone(r.Listen), func(l netip.AddrPort) bool {
		return l.Addr().Is4() != is4 || l.Addr().IsUnspecified()
	})
	for i, first := range candidates {
		for _, second := range candidates[i+1:] {
			if second.Port() == first.Port() {
				second = netip.AddrPortFrom(second.Addr(), nextPort(first.Port()))
			}
			pair := addressPair{first, second}
			if problem, _ := r.pairFault(pair); problem == "" {
				r.Discovery = append(r.Discovery, pair)
				return
			}
		}
	}
}

// pairFault says why discovery cannot be offered on a pair, and what to do.
func (r *resolver) pairFault(p addressPair) (problem, hint string) {
	port := p.alternate.Port()
	hasExternal := slices.ContainsFunc(r.ExternalAddresses, func(e netip.Addr) bool { return e.Is4() == p.alternate.Addr().Is4() })
	switch {
	case p.primary.Port() == 0:
		return "needs a listener whose port is known in advance", "give --listen a port"
	case port == p.primary.Port():
		return "has the port of --listen, and discovery takes two", "leave the port out to take the next one"
	case r.MinPort <= port && port <= r.MaxPort:
		return fmt.Sprintf("takes port %d, which is among the --relay-ports", port), "give --alternate-address another port"
	case hasExternal:
		return "is not known outside, where --external-address stands for one address alone and clients would be told both",
			"leave one of --alternate-address and --external-address out"
	case p.primary.Addr().IsUnspecified():
		return "", "" // known once the relay address is
	}
	return unlike(p.primary.Addr(), p.alternate.Addr()), alternateHint
}

// unlike says why who reaches one address may not reach another, if so.
func unlike(primary, alternate netip.Addr) string {
	switch {
	case primary == alternate:
		return "is the address it is to be the alternate of"
	case reachOf(primary) != reachOf(alternate):
		return fmt.Sprintf("is %s and %v is %s, so who reaches one may not reach the other", reachOf(alternate), primary, reachOf(primary))
	}
	return ""
}

// reachOf says from where an address is reached.
func reachOf(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "loopback"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsPrivate():
		return "private"
	}
	return "public"
}

// takesFamily reports whether a listener takes packets of a family.
func takesFamily(listener netip.Addr, is4 bool) bool {
	return listener.Is4() == is4 || takesAll(listener, netip.IPv4Unspecified()) && is4
}

// discoverySets are the addresses of the relay's configuration for the pairs of the
// settings. An error is one sentence about the flag.
func discoverySets(pairs []addressPair, relays []relay.Address) ([]nat.Addresses, error) {
	var sets []nat.Addresses
	for _, p := range pairs {
		primary, alternate := p.primary.Addr(), p.alternate.Addr()
		for _, r := range relays {
			if primary.IsUnspecified() && r.Local.Is4() == alternate.Is4() {
				primary = r.Local
			}
		}
		if primary.IsUnspecified() {
			return nil, fmt.Errorf("--alternate-address %v has nothing to be the alternate of: no address of its family leads outside", alternate)
		}
		if problem := unlike(primary, alternate); problem != "" {
			return nil, fmt.Errorf("--alternate-address %v %s", alternate, problem)
		}
		sets = append(sets, nat.Addresses{
			IP:   [2]nat.Address{{Local: primary}, {Local: alternate}},
			Port: [2]uint16{p.primary.Port(), p.alternate.Port()},
		})
	}
	return sets, nil
}
