package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Networks wider than these are nobody's own: to allow one is to allow, among others,
// what the built-in rules close. 10.0.0.0/8 and fc00::/7 are the widest private ones.
const (
	minAllowBits4 = 8
	minAllowBits6 = 7
)

func (r *resolver) resolvePeers() {
	r.AllowPeer = r.prefixes("allow_peer", r.config.AllowPeer)
	r.DenyPeer = r.prefixes("deny_peer", r.config.DenyPeer)
	for _, p := range r.AllowPeer {
		if p.Addr().Is4() && p.Bits() < minAllowBits4 || p.Addr().Is6() && p.Bits() < minAllowBits6 {
			r.fault("allow_peer", p.String(), "opens private networks and metadata services too, which makes a proxy into them",
				"give --allow-peer the networks that are meant; --peer-profile public allows public addresses")
		}
		if slices.Contains(r.DenyPeer, p) {
			r.fault("allow_peer", p.String(), "is denied too", "leave it out of --allow-peer or of --deny-peer")
		}
	}
	if r.config.PeerProfile == "sfu" && len(r.config.AllowPeer) == 0 {
		r.fault("peer_profile", "sfu", "relays to listed peers only, and none is", "give --allow-peer the addresses of the SFU")
	}
	if r.config.AllowLoopbackForTests {
		r.warn("allow_loopback_for_tests is on: whoever has a credential reaches every service on the loopback addresses of this host")
	}
}

// prefixes returns the networks among texts; an address is the network of itself.
func (r *resolver) prefixes(key string, texts []string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefix, err := parsePrefix(text)
		switch {
		case err != nil:
			r.fault(key, text, err.Error(), "give --"+setting{key: key}.flag()+" an address, or a network such as 192.0.2.0/24")
		case key == "trusted_proxy" && prefix.Bits() == 0:
			r.fault(key, text, "trusts everyone, so anyone could pass for anyone", "give --trusted-proxy the addresses of the proxies")
		default:
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := parseIP(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return addr.Prefix(addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is not a network")
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, errors.New("is an IPv4 network written as IPv6")
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("has an address beyond the mask, where %v is the network", prefix.Masked())
	}
	return prefix, nil
}

// resolveOwn collects what nobody is relayed to, even if a profile opens its network.
// Loopback is left out: it has a rule and a switch of its own.
func (r *resolver) resolveOwn() {
	own := slices.Clone(r.addrs)
	for _, l := range append(slices.Clone(r.Listen), r.HTTP) {
		own = append(own, l.Addr())
	}
	for _, pair := range r.Discovery {
		own = append(own, pair.alternate.Addr())
	}
	for _, p := range r.TrustedProxy {
		if p.IsSingleIP() {
			own = append(own, p.Addr())
		}
	}
	if addr, err := parseIP(r.config.PublicHost); err == nil {
		own = append(own, addr)
	}
	own = slices.DeleteFunc(own, func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() || a.IsLoopback() })
	slices.SortFunc(own, netip.Addr.Compare)
	r.Own = slices.Compact(own)
}
