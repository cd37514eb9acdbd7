package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parseIP takes an address in any form, and returns it in the one that compares.
func parseIP(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, errors.New("is not an IP address")
	}
	if addr.Zone() != "" {
		return netip.Addr{}, errors.New("has a zone, which is nothing to others")
	}
	return addr.Unmap(), nil
}

// parseListenAddress takes IP:PORT, or :PORT for all addresses.
func parseListenAddress(text string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, errors.New("is not of the form IP:PORT, [IPv6]:PORT or :PORT")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, errors.New("has a port that is not a number from 0 to 65535")
	}
	addr := netip.IPv6Unspecified()
	if host != "" {
		if addr, err = parseIP(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("has a host that %w", err)
		}
	}
	if addr.IsMulticast() {
		return netip.AddrPort{}, errors.New("is a multicast address")
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// collide reports whether two listeners would take the same packets. A listener on IPv6
// unspecified takes IPv4 too. Port 0 is another each time.
func collide(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return a.Addr() == b.Addr() || takesAll(a.Addr(), b.Addr()) || takesAll(b.Addr(), a.Addr())
}

func takesAll(listener, other netip.Addr) bool {
	return listener.IsUnspecified() && (listener.Is6() || other.Is4())
}

func (r *resolver) resolveListen() {
	const key, hint = "listen", "give --listen IP:PORT, or :PORT for all addresses"
	for _, text := range r.config.Listen {
		addr, err := parseListenAddress(text)
		if err != nil {
			r.fault(key, text, err.Error(), hint)
			continue
		}
		same := func(other netip.AddrPort) bool { return collide(addr, other) }
		if i := slices.IndexFunc(r.Listen, same); i >= 0 {
			r.fault(key, text, fmt.Sprintf("takes what %v takes already", r.Listen[i]), "leave one of the two --listen out")
			continue
		}
		r.Listen = append(r.Listen, addr)
	}
	if len(r.config.Listen) == 0 {
		r.fault(key, "", "names no address", hint)
	}
}

func (r *resolver) resolveRelay() {
	addrs, err := r.host.addrs()
	if err != nil {
		r.warn("cannot see the addresses of this host, so relay addresses are not checked: %v", err)
	}
	r.addrs = addrs
	r.RelayAddresses = r.onePerFamily("relay_address", r.config.RelayAddress)
	for _, addr := range r.RelayAddresses {
		if err == nil && !r.isLocal(addr) {
			r.fault("relay_address", addr.String(), "is no address of this host, which has "+r.addrsLike(addr),
				"give --relay-address an address of this host, and --external-address the one that is seen from outside")
		}
	}
	if len(r.config.RelayAddress) == 0 {
		r.RelayAddresses = listenedOn(r.Listen)
	}
	r.resolveExternal()
}

func (r *resolver) resolveExternal() {
	const key = "external_address"
	r.ExternalAddresses = r.onePerFamily(key, r.config.ExternalAddress)
	for _, addr := range r.ExternalAddresses {
		sameFamily := func(relay netip.Addr) bool { return relay.Is4() == addr.Is4() }
		switch {
		case len(r.RelayAddresses) > 0 && !slices.ContainsFunc(r.RelayAddresses, sameFamily):
			r.fault(key, addr.String(), "stands for no relay address, since none is of its family", "give --relay-address one of that family too")
		case addr.IsLoopback() && !r.config.AllowLoopbackForTests:
			r.fault(key, addr.String(), "is loopback, which no peer reaches", "give --external-address the address that is seen from outside")
		}
	}
}

// isLocal reports whether a socket can be bound to addr on this host.
func (r *resolver) isLocal(addr netip.Addr) bool {
	return slices.Contains(r.addrs, addr) || addr.Is4() && addr.IsLoopback()
}

// addrsLike lists the addresses of this host of the family of addr, loopback aside.
func (r *resolver) addrsLike(addr netip.Addr) string {
	var texts []string
	for _, a := range r.addrs {
		if a.Is4() == addr.Is4() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			texts = append(texts, a.String())
		}
	}
	if len(texts) == 0 {
		return "none of that family"
	}
	return strings.Join(texts, ", ")
}

// onePerFamily returns the addresses among texts, and faults those that name no single
// host or a family that was there.
func (r *resolver) onePerFamily(key string, texts []string) []netip.Addr {
	flag := "--" + setting{key: key}.flag()
	var addrs []netip.Addr
	for _, text := range texts {
		addr, err := parseIP(text)
		sameFamily := func(other netip.Addr) bool { return other.Is4() == addr.Is4() }
		switch {
		case err != nil:
			r.fault(key, text, err.Error(), "give "+flag+" an IPv4 or an IPv6 address, without a port")
		case !isOneHost(addr):
			r.fault(key, text, "is not the address of one host", "give "+flag+" an address that peers can send to")
		case slices.ContainsFunc(addrs, sameFamily):
			r.fault(key, text, "is the second of its family", "give "+flag+" at most one IPv4 and one IPv6 address")
		default:
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// isOneHost reports whether an address can be that of one host.
func isOneHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// listenedOn returns the first address of each family that is listened on, or none if
// any listener takes all addresses.
func listenedOn(listen []netip.AddrPort) []netip.Addr {
	var addrs []netip.Addr
	for _, l := range listen {
		if l.Addr().IsUnspecified() {
			return nil
		}
		sameFamily := func(other netip.Addr) bool { return other.Is4() == l.Addr().Is4() }
		if !slices.ContainsFunc(addrs, sameFamily) {
			addrs = append(addrs, l.Addr())
		}
	}
	return addrs
}

// minRelayPort is above the ports that services are known by (RFC 6335 §6).
const minRelayPort = 1024

func (r *resolver) resolvePorts() {
	const key, hint = "relay_ports", "give --relay-ports MIN-MAX, such as 49152-65535"
	text := r.config.RelayPorts
	lowText, highText, _ := strings.Cut(text, "-")
	low, lowErr := strconv.ParseUint(lowText, 10, 16)
	high, highErr := strconv.ParseUint(highText, 10, 16)
	r.MinPort, r.MaxPort = uint16(low), uint16(high)
	switch {
	case lowErr != nil || highErr != nil:
		r.fault(key, text, "is not two port numbers with a - between", hint)
	case low > high:
		r.fault(key, text, "ends before it begins", hint)
	case low < minRelayPort:
		r.fault(key, text, "begins below 1024, where other services live", hint)
	case low == high:
		r.fault(key, text, "is one port, and EVEN-PORT takes two", hint)
	default:
		for _, l := range r.Listen {
			if r.MinPort <= l.Port() && l.Port() <= r.MaxPort {
				r.fault(key, text, fmt.Sprintf("holds port %d, which is listened on", l.Port()), "leave it out of --relay-ports, or change --listen")
			}
		}
	}
}
