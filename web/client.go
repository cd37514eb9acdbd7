package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddr returns a function that tells the address a request comes from, for
// whoever counts by it. That is the address the connection comes from, unless it is in
// trusted: then it is the last address in X-Forwarded-For that is not in trusted. What
// is left of that, or of something that is no address, anyone may have written. The
// result has no zone and is never an IPv4-mapped IPv6 address; it is the zero Addr only
// if the connection has no IP address.
func ClientAddr(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	trusted = slices.Clone(trusted)
	trusts := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return func(r *http.Request) netip.Addr {
		client := parseAddr(r.RemoteAddr)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			if !trusts(client) {
				break
			}
			before := parseAddr(strings.TrimSpace(hop))
			if !before.IsValid() {
				break
			}
			client = before
		}
		return client
	}
}

// parseAddr reads an address, with a port or without.
func parseAddr(s string) netip.Addr {
	if addrPort, err := netip.ParseAddrPort(s); err == nil {
		return addrPort.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap().WithZone("")
}

// network is what clients are counted by: a host has one IPv4 address, but a whole /64
// of IPv6.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// forwardingHeaders are what proxies add; one of them is enough to know that the
// client is not whom the connection comes from.
func forwardingHeaders() []string {
	return []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}
}

// refuseRemote returns nil for a request of this machine: its connection comes from
// loopback, no proxy forwarded it, and it asks for a host of this machine. A web page
// can have its own name resolve to 127.0.0.1 and then speak to a server there as with
// itself (DNS rebinding), but it cannot choose the Host the browser sends.
func (h *Handler) refuseRemote(r *http.Request) *refusal {
	forwarded := slices.ContainsFunc(forwardingHeaders(), func(name string) bool {
		return len(r.Header.Values(name)) > 0
	})
	switch {
	case forwarded:
		return deny(ReasonNotLocal, "A proxy forwarded this request, so it does not come from this machine. "+
			"Send an API key of the server's --api-keys-file. A server behind a proxy is best started with --demo=false.")
	case !parseAddr(r.RemoteAddr).IsLoopback():
		return deny(ReasonNotLocal, "This request comes from another machine. "+
			"Send an API key of the server's --api-keys-file.")
	case !h.isHost(r.Host):
		return deny(ReasonHostDenied, "The Host of this request is no name of this machine. "+
			"Open http://localhost with the same port.")
	}
	return nil
}

// isHost reports whether the value of a Host header is a name of this machine.
func (h *Handler) isHost(host string) bool {
	name := hostName(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true // Reserved, and resolved to loopback by browsers (RFC 6761 §6.3).
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback() {
		return true
	}
	return slices.ContainsFunc(h.config.PublicHosts, func(public string) bool {
		return hostName(public) == name
	})
}

// hostName is a host without its port, its brackets and its final dot, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
