package nattest

import (
	"net/netip"
	"sync"
	"time"

	"hairpin/turnserver/nat"
)

// Allocation is how a NAT chooses the port of a mapping (RFC 4787 §4.2).
type Allocation uint8

// The ways to choose ports.
const (
	Preserving Allocation = iota // the internal port if it is free, else the next
	Parity                       // at random, odd if the internal port is
	Sequential                   // one more than the last
	Random
)

// String names the way.
func (a Allocation) String() string {
	return [...]string{"preserving", "parity", "sequential", "random"}[a&3]
}

// Behaviour is what a NAT does. The zero value of a field that is not a behaviour of
// RFC 4787 is what a well-behaved one does, but for Hairpin.
type Behaviour struct {
	Mapping, Filtering nat.Behaviour
	Hairpin            bool
	Ports              Allocation
	Lifetime           time.Duration // of a mapping nothing is sent from; 0 means for ever

	Firewall      bool // addresses stay what they are: it only filters
	Mixed         bool // each mapping has the next of the external addresses
	BlockUDP      bool
	DropFragments bool
	MTU           int // of the link outside, in bytes; 0 means Ethernet's

	// Rewrite changes packets on their way in, as an ALG may; nil changes nothing.
	Rewrite func(data []byte, mapped, internal netip.AddrPort) []byte
}

// NAT stands between the hosts it is asked for and the network it was made on, which
// may be another NAT's.
type NAT struct {
	Behaviour
	up       uplink
	external []netip.Addr
	intN     func(int) int

	mu       sync.Mutex // guards all below
	inside   map[netip.Addr]node
	outbound map[flow]*mapping
	inbound  map[netip.AddrPort]*mapping
	made     int
	last     uint16
}

// flow is what a mapping is for: the destination's part is as much of it as the mapping
// behaviour looks at.
type flow struct{ internal, destination netip.AddrPort }

type mapping struct {
	internal, external netip.AddrPort
	used               time.Time
	sentTo             map[netip.AddrPort]bool // as much of it as the filter looks at
}

func newNAT(up uplink, b Behaviour, intN func(int) int, external []netip.Addr) *NAT {
	n := &NAT{
		Behaviour: b, up: up, external: external, intN: intN,
		inside:   make(map[netip.Addr]node),
		outbound: make(map[flow]*mapping),
		inbound:  make(map[netip.AddrPort]*mapping),
		last:     50000,
	}
	for _, a := range external {
		up.attach(a, n)
	}
	return n
}

// Host adds a host behind the NAT.
func (n *NAT) Host(addrs ...netip.Addr) *Host { return newHost(n, addrs) }

// NAT adds a NAT behind this one.
func (n *NAT) NAT(b Behaviour, external ...netip.Addr) *NAT { return newNAT(n, b, n.intN, external) }

func (n *NAT) attach(a netip.Addr, to node) {
	n.mu.Lock()
	n.inside[a] = to
	n.mu.Unlock()
	if n.Firewall {
		n.up.attach(a, n) // what is not translated is reached through it by its own name
	}
}

// depends returns as much of an address as a behaviour looks at.
func depends(b nat.Behaviour, a netip.AddrPort) netip.AddrPort {
	switch b {
	case nat.EndpointIndependent:
		return netip.AddrPort{}
	case nat.AddressDependent:
		return netip.AddrPortFrom(a.Addr(), 0)
	}
	return a
}

// send takes a packet from inside.
func (n *NAT) send(p Packet) {
	n.mu.Lock()
	local := n.inside[p.Destination.Addr()]
	n.mu.Unlock()
	switch {
	case local != nil:
		local.receive(p) // a neighbour
		return
	case n.BlockUDP || !n.carries(p):
		return
	}
	p.Source = n.translate(p.Source, p.Destination)
	if !n.owns(p.Destination.Addr()) {
		n.up.send(p)
	} else if n.Hairpin {
		n.receive(p)
	}
}

func (n *NAT) owns(a netip.Addr) bool {
	for _, own := range n.external {
		if a == own {
			return true
		}
	}
	return false
}

// carries reports whether a packet fits through the link outside.
func (n *NAT) carries(p Packet) bool {
	mtu := n.MTU
	if mtu == 0 {
		mtu = Ethernet
	}
	return p.length() <= mtu || !p.DontFragment && !n.DropFragments
}

// translate returns the external address for a packet's source, and opens the filter
// for its destination.
func (n *NAT) translate(internal, destination netip.AddrPort) netip.AddrPort {
	key := flow{internal, depends(n.Mapping, destination)}
	n.mu.Lock()
	m := n.outbound[key]
	if m != nil && n.expired(m) {
		delete(n.outbound, key)
		delete(n.inbound, m.external)
		m = nil
	}
	n.mu.Unlock()
	if m == nil {
		m = n.add(key)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m.used = time.Now()
	m.sentTo[depends(n.Filtering, destination)] = true
	return m.external
}

func (n *NAT) expired(m *mapping) bool { return n.Lifetime > 0 && time.Since(m.used) > n.Lifetime }

// add makes a mapping.
func (n *NAT) add(key flow) *mapping {
	chance := uint16(n.intN(15000)) // outside the lock: it is the Internet's
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.outbound[key]; m != nil {
		return m
	}
	m := &mapping{internal: key.internal, sentTo: make(map[netip.AddrPort]bool)}
	m.external = n.chooseLocked(key.internal, chance)
	n.made++
	n.outbound[key], n.inbound[m.external] = m, m
	return m
}

// chooseLocked returns a free external transport address.
func (n *NAT) chooseLocked(internal netip.AddrPort, chance uint16) netip.AddrPort {
	if n.Firewall {
		return internal
	}
	addr := n.addressLocked(internal.Addr())
	port, step := internal.Port(), uint16(1)
	switch n.Ports {
	case Preserving:
	case Parity:
		port, step = 20000+2*(chance/2)+internal.Port()%2, 2
	case Sequential:
		port = n.last + 1
	case Random:
		port = 20000 + chance
	}
	for n.inbound[netip.AddrPortFrom(addr, port)] != nil {
		port += step
	}
	n.last = port
	return netip.AddrPortFrom(addr, port)
}

// addressLocked returns an external address of the family: the first, or with Mixed the
// next.
func (n *NAT) addressLocked(family netip.Addr) netip.Addr {
	var own []netip.Addr
	for _, a := range n.external {
		if a.Is4() == family.Is4() {
			own = append(own, a)
		}
	}
	if n.Mixed {
		return own[n.made%len(own)]
	}
	return own[0]
}

// receive takes a packet from outside.
func (n *NAT) receive(p Packet) {
	if n.BlockUDP || !n.carries(p) {
		return
	}
	n.mu.Lock()
	m := n.inbound[p.Destination]
	passes := m != nil && !n.expired(m) && m.sentTo[depends(n.Filtering, p.Source)]
	if n.Filtering == nat.EndpointIndependent && n.Firewall {
		m, passes = &mapping{internal: p.Destination}, true
	}
	var to node
	if passes {
		to = n.inside[m.internal.Addr()]
	}
	n.mu.Unlock()
	if to == nil {
		return
	}
	if n.Rewrite != nil {
		p.Data = n.Rewrite(p.Data, p.Destination, m.internal)
	}
	p.Destination = m.internal
	to.receive(p)
}
