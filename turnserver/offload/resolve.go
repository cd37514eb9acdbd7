package offload

import (
	"net/netip"

	"hairpin/turnserver/offload/xdp"
)

// host is the network of this machine. One goroutine uses it.
type host interface {
	// local reports whether an address is this machine's own.
	local(netip.Addr) bool

	// route returns how packets leave, as the kernel would send them.
	route(from, to netip.Addr) (route, error)

	// device returns what is known of an interface.
	device(index int) (device, bool)

	// resolved returns a neighbour's Ethernet address, if it has a usable one.
	resolved(neighbour) (xdp.MAC, bool)

	// use reports to the kernel that a neighbour is needed, which asks for its address
	// or makes sure of it.
	use(neighbour)
}

// route is how packets leave.
type route struct {
	kind    routeKind
	index   int        // of the interface
	gateway netip.Addr // not valid if the destination is on the link
	mtu     int        // of the route; zero if it has none of its own
}

type routeKind uint8

const (
	routeOther routeKind = iota // refused, encapsulated, to many: nothing the program could do
	routeUnicast
	routeLocal // to this machine
)

// device is an interface as a way out.
type device struct {
	mac      xdp.MAC
	mtu      int
	loopback bool
	ethernet bool // with Ethernet addresses and neighbours
}

// maxPacket is the length in bytes of the longest IP packet.
const maxPacket = 65535

// leastIPv6 is the length in bytes that every way of IPv6 takes (RFC 8200 §5). Beyond a
// router a way may take no more, and only sockets learn of that: no event tells it.
const leastIPv6 = 1280

// resolve finds a way. The zero answer means that there is none that the program could
// take.
func resolve(h host, w way) answer {
	if !h.local(w.from) || !h.local(w.other) {
		return answer{}
	}
	r, err := h.route(w.from, w.to)
	if err != nil {
		return answer{}
	}
	out, ok := h.device(r.index)
	if !ok {
		return answer{}
	}
	hop := xdp.Hop{Source: out.mac, Interface: r.index, Limit: min(out.mtu, maxPacket)}
	if r.mtu > 0 {
		hop.Limit = min(hop.Limit, r.mtu)
	}
	switch {
	case out.loopback && r.kind == routeLocal:
		return answer{hop: hop} // loopback's addresses are zero on both sides
	case r.kind != routeUnicast || !out.ethernet:
		return answer{}
	}
	next := neighbour{r.index, w.to}
	if r.gateway.IsValid() {
		next.ip = r.gateway
		if w.to.Is6() {
			hop.Limit = min(hop.Limit, leastIPv6)
		}
	}
	if hop.Destination, ok = h.resolved(next); !ok {
		h.use(next)
		return answer{via: next}
	}
	return answer{hop: hop, via: next}
}
