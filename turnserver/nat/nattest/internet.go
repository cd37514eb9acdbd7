package nattest

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Internet joins hosts and NATs.
type Internet struct {
	delay time.Duration // one way

	mu     sync.Mutex // guards all below
	loss   float64
	random *rand.Rand
	nodes  map[netip.Addr]node
}

// Packet is a UDP datagram on its way.
type Packet struct {
	Source, Destination netip.AddrPort
	Data                []byte
	DontFragment        bool
}

// Ethernet is the longest IP packet a link of the lab carries in one piece, in bytes.
const Ethernet = 1500

// length returns the length of the IP packet.
func (p Packet) length() int {
	if p.Destination.Addr().Is4() {
		return len(p.Data) + 28
	}
	return len(p.Data) + 48
}

// node is what packets can be handed to.
type node interface{ receive(Packet) }

// uplink is where a host or NAT sends what is not for itself.
type uplink interface {
	send(Packet)
	attach(netip.Addr, node)
}

// New returns an empty Internet on which a packet takes a while one way. What is left
// to chance is decided by the seed.
func New(delay time.Duration, seed uint64) *Internet {
	return &Internet{delay: delay, random: rand.New(rand.NewPCG(seed, 1)), nodes: make(map[netip.Addr]node)}
}

// Lose sets the share of packets that are lost on the Internet, from 0 to 1.
func (n *Internet) Lose(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// Host adds a host with public addresses.
func (n *Internet) Host(addrs ...netip.Addr) *Host { return newHost(n, addrs) }

// NAT adds a NAT with public addresses.
func (n *Internet) NAT(b Behaviour, external ...netip.Addr) *NAT {
	return newNAT(n, b, n.intN, external)
}

func (n *Internet) attach(a netip.Addr, to node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[a] = to
}

// intN returns a random number below m.
func (n *Internet) intN(m int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.random.IntN(m)
}

// send carries a packet to its destination, or loses it.
func (n *Internet) send(p Packet) {
	n.mu.Lock()
	to, lost := n.nodes[p.Destination.Addr()], n.random.Float64() < n.loss
	n.mu.Unlock()
	if to != nil && !lost {
		time.AfterFunc(n.delay, func() { to.receive(p) })
	}
}
