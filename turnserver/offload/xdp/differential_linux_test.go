//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

// sink is a listening socket, or a relay socket, that keeps what it is to send.
type sink struct {
	local  netip.AddrPort
	sent   []datagram
	reader chan udp.Borrower
	done   chan struct{}
	close  func()
}

func newSink(local netip.AddrPort) *sink {
	done := make(chan struct{})
	return &sink{
		local: local, reader: make(chan udp.Borrower, 1), done: done,
		close: sync.OnceFunc(func() { close(done) }),
	}
}

func (s *sink) LocalAddr() netip.AddrPort { return s.local }
func (s *sink) Close() error              { s.close(); return nil }

func (s *sink) Serve(b udp.Borrower) error {
	s.reader <- b
	<-s.done
	return net.ErrClosed
}

func (s *sink) WriteBatch(_ *udp.Writer, packets []udp.Packet) (int, error) {
	for i := range packets {
		p := &packets[i]
		s.sent = append(s.sent, datagram{from: s.local, to: p.Remote, payload: bytes.Clone(p.Data())})
	}
	return len(packets), nil
}

func (s *sink) WriteDontFragment(w *udp.Writer, p *udp.Packet) error {
	_, err := s.WriteBatch(w, []udp.Packet{*p})
	return err
}

// offloads puts the flows of a relay table into the program, as the plainest engine
// would: every flow, with hops that are always known, and no slot used twice.
type offloads struct {
	w    *world
	next uint32
}

type offloaded struct {
	*offloads
	slot uint32
}

func (o *offloads) Totals(relay.Direction) relay.Counts { return relay.Counts{} }

func (o *offloads) Install(f relay.LocalFlow, left time.Duration) relay.Offloaded {
	flow := Flow{
		Client: f.Client, Server: f.Server, Relayed: f.Relayed, Peer: f.Peer, Channel: f.Channel, Hairpin: f.Hairpin,
	}
	i := offloaded{o, o.next}
	o.next++
	o.w.bind(i.slot, flow)
	i.Renew(left)
	return i
}

func (i offloaded) Renew(left time.Duration) bool {
	i.w.p.Renew(i.slot, monotonic(i.w.t)+Time(max(left, 0)))
	return true
}

func (i offloaded) Remove() { i.w.must(i.w.p.Clear(i.slot)) }

func (i offloaded) Counts(d relay.Direction) relay.Counts {
	return relay.Counts(i.w.p.Counts(i.slot, Direction(d)))
}

// pair is both data planes, with the same table.
type pair struct {
	w      *world
	random *rand.Rand
	table  *relay.Table
	worker *relay.Worker
	sinks  map[netip.AddrPort]*sink
	all    []*relay.Allocation
	bound  []Flow // what has ever been bound, in local form
}

// advertised is what relayed addresses of IPv4 are known by.
var advertised = netip.MustParseAddr("203.0.113.5")

func newPair(t *testing.T) *pair {
	w := &world{t: t, p: load(t, Config{Flows: 1 << 14, Sources: 1}), flows: make(map[uint32]*Flow), limit: 1500}
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	d := &pair{w: w, random: rand.New(rand.NewPCG(3, 4)), sinks: make(map[netip.AddrPort]*sink)}
	four, six := address(4, 1, 0).Addr(), address(6, 1, 0).Addr()
	d.table = relay.NewTable(relay.Config{
		Addresses: []relay.Address{{Local: four, Advertised: advertised}, {Local: six, Advertised: six}},
		Offload:   &offloads{w: w},
	})
	t.Cleanup(d.table.Close)
	d.worker = d.table.Borrow()
	for _, family := range []int{4, 6} {
		at := address(family, 1, 3478)
		d.sinks[at] = newSink(at)
	}
	for n := range 3 {
		for _, f := range allFamilies {
			d.allocate(flowOf(f, 4*n+f.client+f.peer/2))
		}
	}
	return d
}

func (d *pair) allocate(f Flow) {
	d.w.t.Helper()
	s := newSink(f.Relayed)
	d.sinks[f.Relayed] = s
	a, err := d.table.Add(relay.Opening{
		FiveTuple: relay.FiveTuple{Client: f.Client, Server: f.Server}, Socket: s,
		Path: relay.Path{Packets: d.sinks[f.Server]}, Relayed: advertise(f.Relayed), Expires: time.Now().Add(time.Hour),
	})
	d.w.must(err)
	d.all = append(d.all, a)
}

func advertise(at netip.AddrPort) netip.AddrPort {
	if at.Addr().Is4() {
		return netip.AddrPortFrom(advertised, at.Port())
	}
	return at
}

func localise(at netip.AddrPort) netip.AddrPort {
	if at.Addr() == advertised {
		return netip.AddrPortFrom(address(4, 1, 0).Addr(), at.Port())
	}
	return at
}

// change does something of what a client, or time, may do to an allocation.
func (d *pair) change() {
	a, now := d.all[d.random.IntN(len(d.all))], time.Now()
	until := now.Add([]time.Duration{-time.Second, time.Hour, time.Hour, time.Hour}[d.random.IntN(4)])
	flows := a.Flows(now)
	switch d.random.IntN(8) {
	case 0:
		a.SetExpires(until)
		return
	case 1, 2:
		if len(flows) == 0 {
			return
		}
		f := flows[d.random.IntN(len(flows))]
		switch d.random.IntN(4) {
		case 0:
			a.Revoke(f.Peer.Addr())
		case 1:
			a.Permit(now, f.Peer.Addr(), until)
		case 2:
			a.Unbind(f.Channel)
		case 3:
			a.Bind(now, f.Channel, f.Peer, now.Add(time.Hour), until)
		}
	default:
		d.bind(a, now, until)
	}
}

// bind binds a random channel to a random peer, as far as the RFC allows.
func (d *pair) bind(a *relay.Allocation, now, until time.Time) {
	family := 4
	if a.Relayed.Addr().Is6() {
		family = 6
	}
	channel, peer := 0x4000+uint16(d.random.IntN(6)), address(family, 20+d.random.IntN(3), 0x8765)
	if d.random.IntN(3) == 0 {
		other := d.all[d.random.IntN(len(d.all))].Relayed
		if other.Addr().Is6() != (family == 6) {
			return
		}
		peer = other
	}
	if _, taken := a.Bound(now, channel); taken {
		return
	}
	if _, taken := a.ChannelOf(now, peer); taken {
		return
	}
	a.Bind(now, channel, peer, now.Add(time.Hour), until)
	d.bound = append(d.bound, Flow{
		Client: a.Client, Server: a.Server, Relayed: localise(a.Relayed), Peer: localise(peer), Channel: channel,
	})
}

// traffic returns a datagram of a flow that is bound or was, or one somewhat like it.
func (d *pair) traffic() datagram {
	f := d.bound[d.random.IntN(len(d.bound))]
	size := d.random.IntN(200)
	in := fromClient(&f, data(size))
	if d.random.IntN(2) == 0 {
		in = fromPeer(&f, data(size))
	}
	other := d.bound[d.random.IntN(len(d.bound))]
	switch d.random.IntN(12) {
	case 0:
		in.payload = slices.Concat(in.payload, data(d.random.IntN(4))) // padding, or more data
	case 1:
		in.payload = in.payload[:d.random.IntN(len(in.payload)+1)]
	case 2:
		if len(in.payload) > 0 {
			in.payload[d.random.IntN(min(len(in.payload), 4))] = byte(d.random.Uint32())
		}
	case 3:
		if other.Client.Addr().Is6() == in.from.Addr().Is6() {
			in.from = other.Client
		}
	case 4:
		if other.Relayed.Addr().Is6() == in.to.Addr().Is6() {
			in.to = other.Relayed
		}
	case 5:
		in.from = netip.AddrPortFrom(in.from.Addr(), uint16(d.random.Uint32()))
	case 6:
		in.payload = channelData(other.Channel, data(size))
	}
	in.sum = []sumKind{wholeSum, pendingSum, noSum}[d.random.IntN(3)]
	return in
}

// userSpace returns what the relay table's data plane sends for a datagram.
func (d *pair) userSpace(in *datagram) []datagram {
	to := d.sinks[in.to]
	if to == nil {
		return nil
	}
	buf := slices.Concat(make([]byte, udp.Headroom), in.payload, make([]byte, udp.Tailroom))
	p := udp.Packet{Buf: buf, Start: udp.Headroom, End: udp.Headroom + len(in.payload), Remote: in.from, Local: in.to.Addr()}
	if in.to.Port() == 3478 {
		d.worker.FromClient(d.table.Now(), &relay.FiveTuple{Client: in.from, Server: in.to}, &p)
		d.worker.Flush()
	} else {
		reader := <-to.reader
		b := reader.Borrow()
		b.Packets = append(b.Packets[:0], p)
		reader.Handle(b)
		reader.Return(b)
		to.reader <- reader
	}
	var sent []datagram
	for _, s := range d.sinks {
		sent = append(sent, s.sent...)
		s.sent = nil
	}
	return sent
}

// TestBothDataPlanesAgree runs random traffic through both while bindings come, change
// and go: what the program relays, user space would have relayed as the same bytes to
// the same address; what user space drops, the program does not relay.
func TestBothDataPlanesAgree(t *testing.T) {
	d := newPair(t)
	for len(d.bound) < 20 {
		d.change()
	}
	const rounds = 40_000
	var both, neither, above int
	for n := range rounds {
		if n%8 == 0 {
			d.change()
		}
		in := d.traffic()
		if in.six() && in.sum == noSum {
			in.sum = wholeSum // the network stack drops those
		}
		action, after, err := d.w.p.Run(device, in.frame())
		d.w.must(err)
		sent := d.userSpace(&in)
		switch {
		case action == Pass && len(sent) == 0:
			neither++
		case action == Pass:
			above++
		case action != Transmit || len(sent) != 1:
			t.Fatalf("%+v: the program says %v, user space sent %+v", in, action, sent)
		default:
			both++
			got, _, ok := read(after)
			want := sent[0]
			if !ok || got.sum == wrongSum || got.from != want.from || got.to != want.to || !bytes.Equal(got.payload, want.payload) {
				t.Fatalf("%+v: the program sent %+v, user space %+v", in, got, want)
			}
		}
	}
	t.Logf("both relayed %d, neither %d, user space alone %d", both, neither, above)
	if both < rounds/10 || neither < rounds/20 || above < rounds/100 {
		t.Errorf("of %d datagrams both relayed %d, neither %d, user space alone %d", rounds, both, neither, above)
	}
}
