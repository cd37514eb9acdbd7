package turnserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"
	"hairpin/turnserver/udp"
)

// software is the SOFTWARE attribute: a name, and nothing an attacker could use.
const software = "Hairpin"

// tickEvery is how often lapsed allocations are looked for. Lookups check lifetimes
// themselves, so this is only about freeing memory and sockets.
const tickEvery = 500 * time.Millisecond

// Server is a STUN and TURN server whose sockets are bound.
type Server struct {
	config  Config
	log     *slog.Logger
	table   *relay.Table
	control *control.Server
	policy  atomic.Pointer[control.Policy]

	packets   []*udp.Conn
	streams   []*stream.Listener
	discovery *discovery // nil if it is not offered
	offload   *offload.Engine
	ports     []uint16 // of this host that are never peers
	refusals  sampler
	budgets   *budgets
	lines     lineBudget    // used by observe alone
	bindings  atomic.Uint64 // answered without the control plane
	ended     chan struct{} // holds a token if an allocation has ended since it was last taken

	closing sync.Once
	mu      sync.Mutex     // guards closed, and starting readers
	closed  bool           // no more readers start
	readers sync.WaitGroup // of the listening sockets
}

// Addrs are the addresses a server is bound to.
type Addrs struct{ UDP, TCP []netip.AddrPort }

// New binds all sockets. They queue packets and connections from then on, and Run
// serves them; a server that is not run is to be closed.
func New(c Config) (_ *Server, err error) {
	c, err = c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, log: c.Logger, ports: slices.Clone(c.OwnPorts), ended: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			s.closeSockets()
			s.releaseOffload()
		}
	}()
	for _, addr := range c.Listen {
		if err := s.listen(addr); err != nil {
			return nil, err
		}
	}
	if s.discovery, err = newDiscovery(c, s.packets); err != nil {
		return nil, err
	}
	dontFragment, err := checkRelays(c.Relays)
	if err != nil {
		return nil, err
	}
	epoch := time.Now()
	if err := s.startOffload(epoch); err != nil {
		return nil, err
	}
	if s.budgets, err = newBudgets(c.UnauthenticatedRate, s.offload.Limit()); err != nil {
		return nil, err
	}
	s.table = relay.NewTable(relay.Config{Addresses: c.Relays, Epoch: epoch, OwnPeer: s.ownPeer, Offload: s.tableOffload()})
	policy, err := control.NewPolicy(s.fill(c.Policy))
	if err != nil {
		return nil, err
	}
	s.policy.Store(policy)
	s.control, err = control.New(control.Config{
		Realm:          c.Realm,
		Software:       software,
		Credentials:    c.Credentials,
		Table:          s.table,
		Policy:         policy,
		Quota:          c.Quota,
		Relays:         c.Relays,
		MinPort:        c.MinPort,
		MaxPort:        c.MaxPort,
		Open:           openRelay,
		PortBusy:       udp.PortBusy,
		DontFragment:   dontFragment,
		MaxLifetime:    c.MaxLifetime,
		SelfUser:       c.SelfUser,
		KeepExpired:    c.KeepExpired,
		LegacyChannels: c.LegacyChannels,
		Observe:        s.observe,
	})
	return s, err
}

// openRelay opens a relay socket.
func openRelay(local netip.AddrPort) (relay.Socket, error) {
	return udp.Listen(local, udp.Options{})
}

// checkRelays makes sure, before a client finds out, that sockets can be opened on the
// relay addresses, and reports whether they can send with the DF bit.
func checkRelays(relays []relay.Address) (dontFragment bool, err error) {
	for _, r := range relays {
		conn, err := udp.Listen(netip.AddrPortFrom(r.Local, 0), udp.Options{})
		if err != nil {
			return false, fmt.Errorf("relay address %v cannot be used: %w", r.Local, err)
		}
		dontFragment = conn.Capabilities().DontFragment
		_ = conn.Close()
	}
	return dontFragment, nil
}

// bindTries is how often a free port is sought that both UDP and TCP can have.
const bindTries = 16

// listen binds UDP and TCP to one address.
func (s *Server) listen(addr netip.AddrPort) error {
	for try := 1; ; try++ {
		err := s.listenOnce(addr)
		if err == nil || addr.Port() != 0 || !udp.PortBusy(err) || try == bindTries {
			return err
		}
	}
}

// listenOnce binds one socket for TCP and then as many for UDP as share an address. The
// former is refused if another server has the port; the latter would take packets from
// it.
func (s *Server) listenOnce(addr netip.AddrPort) error {
	listener, err := stream.Listen("tcp", addr, s.config.Streams)
	if err != nil {
		return err
	}
	addr = netip.AddrPortFrom(addr.Addr(), listener.Addr().Port())
	conns, err := s.listenPackets(addr)
	if err != nil {
		_ = listener.Close()
		return err
	}
	s.packets = append(s.packets, conns...)
	s.streams = append(s.streams, listener)
	s.ports = append(s.ports, addr.Port())
	return nil
}

// listenPackets binds the UDP sockets that share an address.
func (s *Server) listenPackets(addr netip.AddrPort) (conns []*udp.Conn, err error) {
	options := udp.Options{
		ReusePort:     s.config.Sockets > 1,
		PacketInfo:    addr.Addr().IsUnspecified(),
		Shared:        true,
		ReceiveBuffer: ListenBuffer,
		SendBuffer:    ListenBuffer,
	}
	for range s.config.Sockets {
		conn, err := udp.Listen(addr, options)
		if err != nil {
			for _, conn := range conns {
				_ = conn.Close()
			}
			return nil, err
		}
		conns = append(conns, conn)
		if !conn.Capabilities().ReusePort {
			break
		}
	}
	return conns, nil
}

// ListenBuffer is the kernel's buffer for each listening socket, in bytes: a tenth of
// a second of 250 Mbit/s. The system may give less.
const ListenBuffer = 4 << 20

// ownAddresses returns what the peer policy must know of this host: the addresses
// that only the hairpin turn serves, and those that are never peers.
func ownAddresses(c Config) control.PolicyConfig {
	var own control.PolicyConfig
	for _, r := range c.Relays {
		own.Relay = append(own.Relay, r.Local, r.Advertised)
	}
	addrs, _ := net.InterfaceAddrs() // what cannot be listed cannot be denied
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			own.Own = append(own.Own, prefix.Addr().WithZone("").Unmap())
		}
	}
	for _, l := range c.Listen {
		if !l.Addr().IsUnspecified() {
			own.Own = append(own.Own, l.Addr().WithZone("").Unmap())
		}
	}
	return own
}

// fill adds what the server itself knows to a policy: its relay addresses, and the
// addresses this host has now.
func (s *Server) fill(p control.PolicyConfig) control.PolicyConfig {
	own := ownAddresses(s.config)
	p.Own, p.Relay = slices.Concat(p.Own, own.Own), own.Relay
	return p
}

// SetPolicy replaces who may be relayed to. What it forbids stops at once, also for
// permissions and channels that exist. On an error nothing changes.
func (s *Server) SetPolicy(c control.PolicyConfig) error {
	policy, err := control.NewPolicy(s.fill(c))
	if err != nil {
		return err
	}
	s.policy.Store(policy)
	s.control.SetPolicy(time.Now(), policy)
	return nil
}

// SetQuota replaces the bounds for what is lent from now on.
func (s *Server) SetQuota(q control.Quota) { s.control.SetQuota(q) }

// Revoke ends a user's allocations and refuses its credentials that expire no later than until.
func (s *Server) Revoke(user string, until time.Time) { s.control.Revoke(time.Now(), user, until) }

// ownPeer says which ports of this host's relay addresses may be peers although they
// are no relayed transport address: those of addresses the operator re-opened, the
// server's own ports aside.
func (s *Server) ownPeer(at netip.AddrPort) bool {
	return s.policy.Load().Explicit(at.Addr()) && !slices.Contains(s.ports, at.Port())
}

// Addrs returns the addresses the server is bound to, in the order of Config.Listen.
func (s *Server) Addrs() Addrs {
	var a Addrs
	for _, conn := range s.packets {
		if at := conn.LocalAddr(); !slices.Contains(a.UDP, at) {
			a.UDP = append(a.UDP, at)
		}
	}
	for _, l := range s.streams {
		a.TCP = append(a.TCP, l.Addr())
	}
	return a
}

// Run serves until ctx is done, then drains and closes. It returns nil after an
// orderly end, and an error if a socket failed under it.
func (s *Server) Run(ctx context.Context) error {
	stop := make(chan struct{})
	failed := make(chan error, len(s.packets)+len(s.streams))
	s.startReaders(failed)
	var clocks sync.WaitGroup
	clocks.Go(func() { s.tick(stop) })
	var err error
	select {
	case <-ctx.Done():
		s.drain()
	case err = <-failed:
		if err != nil { // nil if it was Close
			err = fmt.Errorf("a listening socket failed: %w", err)
		}
	}
	s.Close()
	close(stop)
	clocks.Wait()
	return err
}

// startReaders has every listening socket served, until it is closed or failed says why
// not.
func (s *Server) startReaders(failed chan<- error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		failed <- nil
		return
	}
	for _, conn := range s.packets {
		s.readers.Go(func() { failed <- newPacketLoop(s, conn).run() })
	}
	for _, l := range s.streams {
		s.readers.Go(func() { failed <- l.Serve(streamHandler{s}) })
	}
}

// startNoReaders makes a Run that has not begun end at once.
func (s *Server) startNoReaders() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// tick advances the control plane's timers until stop is closed.
func (s *Server) tick(stop <-chan struct{}) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.control.Tick(now)
		case <-stop:
			return
		}
	}
}

// drain refuses new allocations and waits for the live ones to end, or for
// Config.DrainTimeout.
func (s *Server) drain() {
	s.control.Drain()
	if s.table.Len() == 0 || s.config.DrainTimeout == 0 {
		return
	}
	s.log.Info("draining", "allocations", s.table.Len(), "timeout", s.config.DrainTimeout)
	timeout := time.NewTimer(s.config.DrainTimeout)
	defer timeout.Stop()
	for s.table.Len() > 0 {
		select {
		case <-s.ended:
		case <-timeout.C:
			return
		}
	}
}

// Draining reports whether the server refuses new allocations because it is to stop.
func (s *Server) Draining() bool { return s.control.Draining() }

// Close ends everything at once, and returns when nothing is served any more. It is
// idempotent; Run calls it.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.startNoReaders()
		s.control.Drain()
		for _, l := range s.streams {
			_ = l.Close() // waits for its connections, whose allocations end with them
		}
		s.control.Close(time.Now())
		s.table.Close()
		s.closeSockets()
		s.readers.Wait() // they answer until they end, within the budgets that it shares
		s.releaseOffload()
	})
}

// closeSockets closes what New has opened, the kernel's data plane first.
func (s *Server) closeSockets() {
	if s.offload != nil {
		s.offload.Close()
	}
	for _, l := range s.streams {
		_ = l.Close()
	}
	for _, conn := range s.packets {
		_ = conn.Close()
	}
}

// releaseOffload gives back the kernel's data plane, which nobody may use any more.
func (s *Server) releaseOffload() {
	if s.offload != nil {
		s.offload.Release()
	}
}

// closedOr returns nil for the error that closing a socket makes its reader return.
func closedOr(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
