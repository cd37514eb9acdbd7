package control

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

// The world of these tests. Peers must be public addresses, for the policy is the
// default one; nothing is ever sent to them.
const (
	realm    = "hairpin"
	secret   = "a secret that only these tests know"
	software = "Hairpin"

	listen4, listen6 = "192.0.2.1:3478", "[2001:db8::1]:3478"
	local4, public4  = "10.0.0.1", "5.9.0.1" // a 1:1 NAT is in front
	relay6           = "2a01:4f8::1"

	alice, bob = "192.0.2.7:7000", "192.0.2.8:8000"
	alice6     = "[2001:db8::7]:7000"

	peerA, peerB = "1.2.3.4:1000", "1.2.3.5:2000"
	peer6        = "[2606:4700::1111]:6000"

	minPort, maxPort = 49152, 65535
)

// epoch is when every test begins.
var epoch = time.Unix(1_800_000_000, 0).UTC()

// clock is the time of a test.
type clock struct{ since atomic.Int64 }

func (c *clock) now() time.Time         { return epoch.Add(time.Duration(c.since.Load())) }
func (c *clock) instant() relay.Instant { return relay.Instant(c.since.Load()) }
func (c *clock) pass(d time.Duration)   { c.since.Add(int64(d)) }

// rig is a control plane and its relay table, with clock and sockets of its own.
type rig struct {
	testing.TB
	clock
	server  *Server
	secrets *credentials.Secrets
	worker  *relay.Worker
	listen  *socket

	mu      sync.Mutex // guards all below
	sockets map[netip.AddrPort]*socket
	busy    func(netip.AddrPort) bool // whether another program has a port
	events  []Event
}

var errBusy = errors.New("port is busy")

// defaultPolicy is the policy as it comes. Making it takes longer than many a test.
var defaultPolicy = sync.OnceValue(func() *Policy {
	p, err := NewPolicy(PolicyConfig{Relay: addrs(local4, public4, relay6)})
	if err != nil {
		panic(err)
	}
	return p
})

// newRig returns a control plane that lends IPv4 and IPv6 addresses; change adapts it.
// When the test ends, everything that was lent must come back.
func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	secrets, err := credentials.NewSecrets(credentials.UnsafeSecret(secret))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		TB: t, secrets: secrets, listen: newSocket(nil, netip.MustParseAddrPort(listen4)),
		sockets: make(map[netip.AddrPort]*socket), busy: func(netip.AddrPort) bool { return false },
	}
	relays := []relay.Address{
		{Local: netip.MustParseAddr(local4), Advertised: netip.MustParseAddr(public4)},
		{Local: netip.MustParseAddr(relay6), Advertised: netip.MustParseAddr(relay6)},
	}
	c := Config{
		Realm: realm, Software: software, Credentials: secrets,
		Table:  relay.NewTable(relay.Config{Addresses: relays, Epoch: epoch, Now: r.instant, RelayBatch: 1}),
		Policy: defaultPolicy(),
		Quota:  DefaultQuota(), Relays: relays, MinPort: minPort, MaxPort: maxPort,
		Open: r.open, PortBusy: func(err error) bool { return errors.Is(err, errBusy) },
		DontFragment: true, Observe: r.observe,
	}
	if change != nil {
		change(&c)
	}
	if r.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	r.worker = c.Table.Borrow()
	t.Cleanup(r.end)
	return r
}

// end closes the server and checks that nothing is left of it.
func (r *rig) end() {
	r.Helper()
	r.checkBooks()
	r.server.Close(r.now())
	r.server.config.Table.Close()
	r.checkBooks()
	r.checkEvents()
	if len(r.sockets) > 0 || r.server.config.Table.Len() > 0 || len(r.server.allocations) > 0 {
		r.Errorf("left: %d relay sockets, %d allocations", len(r.sockets), r.server.config.Table.Len())
	}
}

// checkBooks compares what is counted with what there is.
func (r *rig) checkBooks() {
	r.Helper()
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	users, addresses, reserved := map[string]int{}, map[netip.Addr]int{}, map[string]int{}
	lent := map[*ports]int{}
	for _, a := range s.allocations {
		users[a.user]++
		addresses[quotaAddress(a.Client.Addr())]++
		lent[a.port.pool]++
	}
	for _, v := range s.reservations {
		reserved[v.user]++
		lent[v.port.pool]++
	}
	for _, same := range []bool{
		len(users) == len(s.users), len(addresses) == len(s.addresses), len(reserved) == len(s.reserved),
		len(s.allocations) == s.config.Table.Len(),
	} {
		if !same {
			r.Errorf("counts of %v users, %v addresses, %v reservations, %d allocations for %v, %v, %v, %d", s.users,
				s.addresses, s.reserved, s.config.Table.Len(), users, addresses, reserved, len(s.allocations))
		}
	}
	for user, n := range users {
		if s.users[user] != n {
			r.Errorf("%s has %d allocations and is charged %d", user, n, s.users[user])
		}
	}
	for addr, n := range addresses {
		if s.addresses[addr] != n {
			r.Errorf("%v has %d allocations and is charged %d", addr, n, s.addresses[addr])
		}
	}
	for user, n := range reserved {
		if s.reserved[user] != n {
			r.Errorf("%s has %d reservations and is charged %d", user, n, s.reserved[user])
		}
	}
	for addr, pool := range s.pools {
		if got, _ := pool.counts(); got != lent[pool] {
			r.Errorf("of %v %d ports are lent, %d are in use", addr, got, lent[pool])
		}
	}
}

// checkEvents checks that every allocation was told of when it was made and, all being
// over now, once when it ended.
func (r *rig) checkEvents() {
	r.Helper()
	live := map[netip.AddrPort]Event{}
	for _, e := range r.told() {
		before, exists := live[e.Relayed]
		switch {
		case e.Kind == Allocated && !exists:
			live[e.Relayed] = e
		case e.Kind == Ended && exists && before.User == e.User && before.FiveTuple == e.FiveTuple &&
			e.End != "" && e.Age == e.At.Sub(before.At):
			delete(live, e.Relayed)
		default:
			r.Errorf("an event out of order: %+v", e)
		}
	}
	if len(live) > 0 && r.server.config.Observe != nil {
		r.Errorf("the end of %d allocations was not told", len(live))
	}
}

func (r *rig) observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// told returns the events so far.
func (r *rig) told() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// wait lets time pass, and the server know.
func (r *rig) wait(d time.Duration) {
	r.pass(d)
	r.server.Tick(r.now())
}

// open opens relay sockets, each port once at a time.
func (r *rig) open(local netip.AddrPort) (relay.Socket, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy(local) {
		return nil, errBusy
	}
	if r.sockets[local] != nil {
		r.Errorf("%v is lent twice", local)
		return nil, errBusy
	}
	s := newSocket(r, local)
	r.sockets[local] = s
	return s, nil
}

// socketAt returns the open relay socket of a relayed transport address, or nil.
func (r *rig) socketAt(relayed netip.AddrPort) *socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.server.config.Relays {
		if a.Advertised == relayed.Addr() {
			return r.sockets[netip.AddrPortFrom(a.Local, relayed.Port())]
		}
	}
	return nil
}

// dropped returns how many packets the data plane has dropped for a reason.
func (r *rig) dropped(why relay.Drop) uint64 { return r.server.config.Table.Totals().Dropped[why] }

// socket is a relay socket, or a listening one, that keeps what it is given.
type socket struct {
	rig          *rig
	local        netip.AddrPort
	dontFragment error             // what WriteDontFragment returns
	served       chan udp.Borrower // holds whom the socket is served for
	done         chan struct{}
	closing      sync.Once

	mu   sync.Mutex // guards sent
	sent []sent
}

// sent is a datagram that left by a socket.
type sent struct {
	data         []byte
	remote       netip.AddrPort
	dontFragment bool
}

func newSocket(r *rig, local netip.AddrPort) *socket {
	return &socket{rig: r, local: local, served: make(chan udp.Borrower, 1), done: make(chan struct{})}
}

func (s *socket) LocalAddr() netip.AddrPort { return s.local }

func (s *socket) Serve(b udp.Borrower) error {
	s.served <- b
	<-s.done
	return net.ErrClosed
}

func (s *socket) Close() error {
	s.closing.Do(func() {
		close(s.done)
		s.rig.mu.Lock()
		defer s.rig.mu.Unlock()
		delete(s.rig.sockets, s.local)
	})
	return nil
}

func (s *socket) WriteBatch(_ *udp.Writer, ps []udp.Packet) (int, error) {
	for i := range ps {
		s.keep(&ps[i], false)
	}
	return len(ps), nil
}

func (s *socket) WriteDontFragment(_ *udp.Writer, p *udp.Packet) error {
	if s.dontFragment == nil {
		s.keep(p, true)
	}
	return s.dontFragment
}

func (s *socket) keep(p *udp.Packet, dontFragment bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, sent{bytes.Clone(p.Data()), p.Remote, dontFragment})
}

// take returns what has left by the socket towards an address since it was last asked.
func (s *socket) take(remote netip.AddrPort) (found []sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = slices.DeleteFunc(s.sent, func(p sent) bool {
		if p.remote == remote {
			found = append(found, p)
		}
		return p.remote == remote
	})
	return found
}

// receive makes a datagram arrive at the socket, and returns once it has been served.
func (s *socket) receive(from string, data []byte) {
	b := <-s.served
	s.served <- b
	batch := b.Borrow()
	batch.Packets = append(batch.Packets[:0], packet(data, netip.MustParseAddrPort(from)))
	b.Handle(batch)
	b.Return(batch)
}

// packet is a datagram as it is read. What surrounds it is not zero.
func packet(data []byte, remote netip.AddrPort) udp.Packet {
	buf := bytes.Repeat([]byte{0xEE}, udp.Headroom+len(data)+udp.Tailroom)
	copy(buf[udp.Headroom:], data)
	return udp.Packet{Buf: buf, Start: udp.Headroom, End: udp.Headroom + len(data), Remote: remote}
}

// stream is the way back to a client on a byte stream.
type stream struct{ frames [][]byte }

func (s *stream) Send(frames ...[]byte) bool {
	for _, f := range frames {
		s.frames = append(s.frames, bytes.Clone(f))
	}
	return true
}
