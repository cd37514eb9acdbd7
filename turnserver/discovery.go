package turnserver

import (
	"fmt"
	"net/netip"
	"slices"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

// discovery answers Binding requests by RFC 5780 on the addresses that have an
// alternate. It is complete before the server runs, and not changed after.
type discovery struct {
	responder *nat.Responder
	senders   map[netip.AddrPort]*udp.Conn // by the local address to answer from
}

// withDiscovery adds to the listening addresses those that discovery needs besides.
// One of them may be served by a socket on the wildcard address.
func (c Config) withDiscovery() Config {
	c.Listen = slices.Clone(c.Listen)
	for _, at := range c.discoveryAddresses() {
		if !slices.ContainsFunc(c.Listen, func(l netip.AddrPort) bool { return covers(l, at) }) {
			c.Listen = append(c.Listen, at)
		}
	}
	return c
}

// discoveryAddresses returns the four local transport addresses of each set.
func (c Config) discoveryAddresses() []netip.AddrPort {
	var all []netip.AddrPort
	for _, set := range c.Discovery {
		for _, ip := range set.IP {
			for _, port := range set.Port {
				all = append(all, netip.AddrPortFrom(ip.Local, port))
			}
		}
	}
	return all
}

// covers reports whether what is sent to an address arrives at a listening socket.
func covers(listening, at netip.AddrPort) bool {
	if listening.Port() != at.Port() {
		return false
	}
	wildcard := listening.Addr().IsUnspecified() && (listening.Addr().Is6() || at.Addr().Is4())
	return wildcard || listening.Addr() == at.Addr()
}

// newDiscovery finds the sockets to answer from.
func newDiscovery(c Config, conns []*udp.Conn) (*discovery, error) {
	if len(c.Discovery) == 0 {
		return nil, nil
	}
	responder, err := nat.NewResponder(c.Discovery...)
	if err != nil {
		return nil, err
	}
	d := &discovery{responder: responder, senders: make(map[netip.AddrPort]*udp.Conn)}
	for _, at := range c.discoveryAddresses() {
		i := slices.IndexFunc(conns, func(conn *udp.Conn) bool { return covers(conn.LocalAddr(), at) })
		if i < 0 {
			return nil, fmt.Errorf("no socket sends from %v", at)
		}
		d.senders[at] = conns[i]
	}
	return d, nil
}

// discover answers a Binding request to an address that has an alternate, and reports
// whether p was one.
func (l *packetLoop) discover(now relay.Instant, p *udp.Packet) bool {
	d := l.server.discovery
	if d == nil || !d.responder.HasAlternate(l.from.Server) {
		return false
	}
	response, ok := d.responder.Respond(l.long, p.Data(), p.Remote, l.from.Server)
	if !ok {
		return false
	}
	if !l.server.budgets.binding(now, p.Remote.Addr()) {
		return true
	}
	l.server.bindings.Add(1)
	// Sent at once and not with the batch, for the socket may be another loop's. An
	// answer that the kernel does not take is the client's to ask for again.
	l.answer[0] = udp.Packet{
		Buf: response.Data, End: len(response.Data),
		Remote: response.To, Local: response.From.Addr(),
	}
	_, _ = d.senders[response.From].WriteBatch(l.writer, l.answer[:])
	return true
}
