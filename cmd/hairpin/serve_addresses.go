package main

import (
	"net"
	"net/netip"
	"slices"

	"hairpin/turnserver/relay"
	"hairpin/web"
)

// outgoingAddresses returns the addresses that packets to the Internet would leave
// from, one per family that has a route, or loopback on a machine without any. No
// packet is sent to find out.
func outgoingAddresses() []netip.Addr {
	var found []netip.Addr
	for network, far := range map[string]string{"udp4": "198.51.100.1:9", "udp6": "[2001:4860:4860::8888]:9"} {
		conn, err := net.Dial(network, far)
		if err != nil {
			continue
		}
		addr := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close() // nothing was sent on it
		if addr.Is4() || addr.IsGlobalUnicast() && addr.Zone() == "" {
			found = append(found, addr)
		}
	}
	if len(found) == 0 {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	slices.SortFunc(found, func(a, b netip.Addr) int { return a.Compare(b) }) // IPv4 first
	return found
}

// iceURIs returns the URIs that clients are given (RFC 7064, RFC 7065): of the public
// host if there is one, else of each address that is listened on. A listener on all
// addresses is reached by those that are advertised for relaying.
func iceURIs(publicHost string, listening []netip.AddrPort, relays []relay.Address) web.ICE {
	var ice web.ICE
	var hosts []string
	for _, at := range listening {
		port := portText(at.Port())
		switch {
		case publicHost != "":
			hosts = append(hosts, net.JoinHostPort(publicHost, port))
		case at.Addr().IsUnspecified():
			for _, r := range relays {
				if at.Addr().Is6() || r.Local.Is4() {
					hosts = append(hosts, net.JoinHostPort(r.Advertised.String(), port))
				}
			}
		default:
			hosts = append(hosts, net.JoinHostPort(advertised(at.Addr(), relays).String(), port))
		}
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		ice.STUN = append(ice.STUN, "stun:"+host)
		ice.TURN = append(ice.TURN, "turn:"+host+"?transport=udp", "turn:"+host+"?transport=tcp")
	}
	return ice
}

// advertised returns what an address of this host is known by outside.
func advertised(local netip.Addr, relays []relay.Address) netip.Addr {
	for _, r := range relays {
		if r.Local == local {
			return r.Advertised
		}
	}
	return local
}

func portText(port uint16) string {
	_, text, _ := net.SplitHostPort(netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()) // always splits
	return text
}

// addrOf returns the address that a TCP listener is bound to.
func addrOf(l net.Listener) (netip.Addr, uint16) {
	at := l.Addr().(*net.TCPAddr).AddrPort()
	return at.Addr().Unmap(), at.Port()
}
