package nattest

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"hairpin/turnserver/nat"
)

// queue is how many packets a socket holds; what comes then is lost.
const queue = 256

// firstPort is the first that Listen gives out; every next one is one more.
const firstPort = 40000

// Host has sockets. It is a [nat.Network].
type Host struct {
	up    uplink
	addrs []netip.Addr

	mu      sync.Mutex // guards all below
	sockets map[netip.AddrPort]*Socket
	next    uint16
}

func newHost(up uplink, addrs []netip.Addr) *Host {
	h := &Host{up: up, addrs: addrs, sockets: make(map[netip.AddrPort]*Socket), next: firstPort}
	for _, a := range addrs {
		up.attach(a, h)
	}
	return h
}

// Route returns the host's first address of the destination's family.
func (h *Host) Route(to netip.AddrPort) (netip.Addr, error) {
	for _, a := range h.addrs {
		if a.Is4() == to.Addr().Is4() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of the family of %v", to)
}

// Listen opens a socket on the next port.
func (h *Host) Listen(local netip.Addr, dontFragment bool) (nat.Socket, error) {
	h.mu.Lock()
	h.next++
	port := h.next
	h.mu.Unlock()
	return h.open(netip.AddrPortFrom(local, port), dontFragment)
}

// Open opens a socket on a transport address of the host.
func (h *Host) Open(local netip.AddrPort) (*Socket, error) { return h.open(local, false) }

func (h *Host) open(local netip.AddrPort, dontFragment bool) (*Socket, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sockets[local] != nil {
		return nil, fmt.Errorf("%v is in use", local)
	}
	s := &Socket{
		host: h, local: local, dontFragment: dontFragment,
		arrived: make(chan Packet, queue), closed: make(chan struct{}),
	}
	h.sockets[local] = s
	return s, nil
}

func (h *Host) receive(p Packet) {
	h.mu.Lock()
	s := h.sockets[p.Destination]
	h.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case s.arrived <- p:
	default:
	}
}

// Socket is a UDP socket of a host.
type Socket struct {
	host         *Host
	local        netip.AddrPort
	dontFragment bool
	arrived      chan Packet
	closed       chan struct{}
	once         sync.Once
}

// LocalAddr returns the address the socket is open on.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// ReadFrom waits for a packet.
func (s *Socket) ReadFrom(p []byte) (int, netip.AddrPort, error) {
	select {
	case <-s.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case got := <-s.arrived:
		return copy(p, got.Data), got.Source, nil
	}
}

// WriteTo sends a packet.
func (s *Socket) WriteTo(p []byte, to netip.AddrPort) error {
	return s.send(Packet{Source: s.local, Destination: to, Data: bytes.Clone(p), DontFragment: s.dontFragment})
}

func (s *Socket) send(p Packet) error {
	select {
	case <-s.closed:
		return net.ErrClosed
	default:
		s.host.up.send(p)
		return nil
	}
}

// Close ends ReadFrom and frees the port.
func (s *Socket) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		delete(s.host.sockets, s.local)
	})
	return nil
}
