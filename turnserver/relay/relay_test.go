package relay

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// socket is a relay socket, or a listening one, that keeps what it is given.
type socket struct {
	local netip.AddrPort
	done  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	sent     []sent
	dontFrag error // what WriteDontFragment returns
}

type sent struct {
	data   []byte
	remote netip.AddrPort
	local  netip.Addr
	df     bool
}

func newSocket(local string) *socket {
	return &socket{local: netip.MustParseAddrPort(local), done: make(chan struct{})}
}

func (s *socket) LocalAddr() netip.AddrPort { return s.local }
func (s *socket) Close() error              { s.once.Do(func() { close(s.done) }); return nil }
func (s *socket) Serve(udp.Borrower) error  { <-s.done; return net.ErrClosed }

func (s *socket) WriteBatch(_ *udp.Writer, ps []udp.Packet) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ps {
		s.sent = append(s.sent, sent{bytes.Clone(ps[i].Data()), ps[i].Remote, ps[i].Local, false})
	}
	return len(ps), nil
}

func (s *socket) WriteDontFragment(_ *udp.Writer, p *udp.Packet) error {
	if s.dontFrag == nil {
		s.sent = append(s.sent, sent{bytes.Clone(p.Data()), p.Remote, p.Local, true})
	}
	return s.dontFrag
}

func (s *socket) take() []sent {
	out := s.sent
	s.sent = nil
	return out
}

// stream is a stream client that keeps its frames, or takes none.
type stream struct {
	frames [][]byte
	full   bool
}

func (s *stream) Send(frames ...[]byte) bool {
	for _, f := range frames {
		s.frames = append(s.frames, bytes.Clone(f))
	}
	return !s.full
}

// rig is a table with a clock in the test's hands.
type rig struct {
	t      *testing.T
	now    time.Time
	table  *Table
	worker *Worker
	listen *socket
}

var epoch = time.Unix(1_000_000, 0)

func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: epoch, listen: newSocket("198.51.100.1:3478")}
	r.table = NewTable(Config{
		Epoch:     epoch,
		Now:       func() Instant { return Instant(r.now.Sub(epoch)) },
		Addresses: []Address{{addr("10.0.0.1"), addr("203.0.113.1")}, {addr("2001:db8::1"), addr("2001:db8::1")}},
	})
	r.worker = r.table.Borrow()
	t.Cleanup(r.table.Close)
	return r
}

func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// add makes an allocation of a UDP client with a relay socket on a port.
func (r *rig) add(client string, port uint16) (*Allocation, *socket) {
	return r.addPath(client, port, UDP, Path{Packets: r.listen}, "10.0.0.1", "203.0.113.1")
}

func (r *rig) addPath(client string, port uint16, transport Transport, path Path, local, advertised string) (*Allocation, *socket) {
	r.t.Helper()
	s := newSocket(netip.AddrPortFrom(addr(local), port).String())
	a, err := r.table.Add(Opening{
		FiveTuple: FiveTuple{addrPort(client), r.listen.local, transport},
		Path:      path, Socket: s,
		Relayed: netip.AddrPortFrom(addr(advertised), port),
		Expires: r.now.Add(time.Hour),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return a, s
}

// packet puts a payload into a slot as a read does.
func packet(payload []byte, remote string) udp.Packet {
	buf := append(make([]byte, udp.Headroom), payload...)
	return udp.Packet{
		Buf: append(buf, bytes.Repeat([]byte{0xEE}, udp.Tailroom)...), Start: udp.Headroom,
		End: udp.Headroom + len(payload), Remote: addrPort(remote),
	}
}

func channelData(channel uint16, data string, padding int) []byte {
	p := make([]byte, 4, 4+len(data)+padding)
	wire.PutChannelDataHeader(p, channel, len(data))
	return append(append(p, data...), make([]byte, padding)...)
}

func (r *rig) fromClient(a *Allocation, payload []byte) Verdict {
	p := packet(payload, a.Client.String())
	v := r.worker.FromClient(r.table.Now(), &a.FiveTuple, &p)
	r.worker.Flush()
	return v
}

func (r *rig) fromPeer(a *Allocation, payload, peer string) Verdict {
	p := packet([]byte(payload), peer)
	v := r.worker.fromPeer(r.table.Now(), a, &p)
	r.worker.Flush()
	return v
}

// wantDrop checks that the last packet was dropped for one reason.
func (r *rig) wantDrop(v Verdict, why Drop) {
	r.t.Helper()
	if v != Dropped || r.table.Totals().Dropped[why] == 0 {
		r.t.Errorf("verdict %d and drops %v, want %v", v, r.table.Totals().Dropped, why)
	}
}

func (r *rig) bind(a *Allocation, channel uint16, peer string) {
	a.Bind(r.now, channel, addrPort(peer), r.now.Add(10*time.Minute), r.now.Add(5*time.Minute))
}

const peer = "192.0.2.9:9000"

func TestChannelDataReachesThePeer(t *testing.T) {
	for name, padding := range map[string]int{"C9: unpadded": 0, "C9: padded": 3} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a, s := r.add("192.0.2.7:7000", 50000)
			r.bind(a, 0x4000, peer)
			for _, data := range []string{"hello", ""} {
				if v := r.fromClient(a, channelData(0x4000, data, padding)); v != Relayed {
					t.Fatalf("verdict %d", v)
				}
				got := s.take()
				if len(got) != 1 || string(got[0].data) != data || got[0].remote != addrPort(peer) {
					t.Fatalf("the peer got %v", got)
				}
			}
		})
	}
}

func TestPeerReachesTheClient(t *testing.T) {
	r := newRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	a.Permit(r.now, addr("192.0.2.9"), r.now.Add(5*time.Minute))
	if v := r.fromPeer(a, "hi", peer); v != Relayed {
		t.Fatalf("D5: verdict %d", v)
	}
	got := r.listen.take()
	if len(got) != 1 || got[0].remote != a.Client || got[0].local != a.Server.Addr() {
		t.Fatalf("D5: the client got %v", got)
	}
	checkIndication(t, got[0].data, peer, "hi")

	r.bind(a, 0x4001, peer)
	r.fromPeer(a, "hi", peer)
	if got := r.listen.take(); len(got) != 1 || !bytes.Equal(got[0].data, channelData(0x4001, "hi", 0)) {
		t.Fatalf("C11: the client got %v", got)
	}
	r.wantDrop(r.fromPeer(a, "hi", "192.0.2.10:9000"), DropNoPermission)
}

func checkIndication(t *testing.T, message []byte, peer, data string) {
	t.Helper()
	m := new(stun.Message)
	if err := stun.Decode(message, m); err != nil {
		t.Fatal(err)
	}
	value, _ := m.Get(stun.AttrXORPeerAddress)
	from, ok := wire.ParseXORAddress(value, message)
	got, _ := m.Get(stun.AttrData)
	if m.Type != stun.NewType(stun.MethodData, stun.ClassIndication) || !ok || from != addrPort(peer) || string(got) != data {
		t.Fatalf("got %v from %v with %q", m.Type, from, got)
	}
}

func TestStreamClientsGetPaddedFrames(t *testing.T) {
	r := newRig(t)
	client := &stream{}
	a, _ := r.addPath("192.0.2.7:7000", 50000, TCP, Path{Frames: client}, "10.0.0.1", "203.0.113.1")
	r.bind(a, 0x4000, peer)
	r.fromPeer(a, "hello", peer)
	if want := channelData(0x4000, "hello", 3); len(client.frames) != 1 || !bytes.Equal(client.frames[0], want) {
		t.Fatalf("C11: got %x, want %x", client.frames, want)
	}
	big := string(bytes.Repeat([]byte{'x'}, 4000))
	a.Unbind(0x4000)
	r.fromPeer(a, big, peer)
	checkIndication(t, client.frames[1], peer, big) // D6
	client.full = true
	r.fromPeer(a, "hello", peer)
	if r.table.Totals().Dropped[DropClientSlow] != 1 {
		t.Error("SEC-36: what a slow reader did not take is not counted")
	}
}

func sendIndication(t *testing.T, to string, data string, more ...stun.Setter) []byte {
	t.Helper()
	header := make([]byte, 20)
	m, err := stun.Build(append([]stun.Setter{
		stun.NewType(stun.MethodSend, stun.ClassIndication), stun.NewTransactionIDSetter([12]byte{}),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	copy(header, m.Raw)
	m.Add(stun.AttrXORPeerAddress, wire.AppendXORAddress(nil, header, addrPort(to)))
	m.Add(stun.AttrData, []byte(data))
	return m.Raw
}

func TestSendIndication(t *testing.T) {
	r := newRig(t)
	a, s := r.add("192.0.2.7:7000", 50000)
	r.wantDrop(r.fromClient(a, sendIndication(t, peer, "x")), DropNoPermission) // D2
	a.Permit(r.now, addr("192.0.2.9"), r.now.Add(5*time.Minute))
	for _, data := range []string{"hello", ""} { // D1
		r.fromClient(a, sendIndication(t, peer, data))
		if got := s.take(); len(got) != 1 || string(got[0].data) != data || got[0].remote != addrPort(peer) || got[0].df {
			t.Fatalf("D1: the peer got %v", got)
		}
	}
	df := stun.RawAttribute{Type: stun.AttrDontFragment}
	r.fromClient(a, sendIndication(t, peer, "df", df))
	if got := s.take(); len(got) != 1 || !got[0].df {
		t.Fatalf("D3: DF is not set: %v", got)
	}
	s.dontFrag = errors.ErrUnsupported
	r.wantDrop(r.fromClient(a, sendIndication(t, peer, "df", df)), DropDontFragment) // D3
	r.wantDrop(r.fromClient(a, sendIndication(t, "192.0.2.9:0", "x")), DropPeerDenied)
}

func TestNothingIsRelayedAfterALifetime(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		refresh func(r *rig, a *Allocation)
		out, in Drop
		dropped bool
	}{
		{"all live", 299 * time.Second, func(*rig, *Allocation) {}, 0, 0, false},
		{"C12: permission lapsed", 301 * time.Second, func(*rig, *Allocation) {}, DropNoPermission, DropNoPermission, true},
		{"SEC-09: revoked", 0, func(_ *rig, a *Allocation) { a.Revoke(addr("192.0.2.9")) }, DropNoPermission, DropNoPermission, true},
		{"allocation over", 0, func(r *rig, a *Allocation) { a.SetExpires(r.now) }, DropExpired, DropExpired, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			a, _ := r.add("192.0.2.7:7000", 50000)
			r.bind(a, 0x4000, peer)
			r.now = r.now.Add(c.after)
			c.refresh(r, a)
			out, in := r.fromClient(a, channelData(0x4000, "x", 0)), r.fromPeer(a, "x", peer)
			if !c.dropped {
				if out != Relayed || in != Relayed {
					t.Fatalf("verdicts %d and %d", out, in)
				}
				return
			}
			r.wantDrop(out, c.out)
			r.wantDrop(in, c.in)
		})
	}
}

func TestChannelBindings(t *testing.T) {
	r := newRig(t)
	a, s := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	r.bind(a, 0x4001, "192.0.2.10:1")
	r.now = r.now.Add(590 * time.Second)
	r.bind(a, 0x4000, peer)
	r.now = r.now.Add(11 * time.Second)
	if _, bound := a.Bound(r.now, 0x4001); bound {
		t.Error("C5: a channel outlived 600 s")
	}
	if v := r.fromClient(a, channelData(0x4000, "x", 0)); v != Relayed || len(s.take()) != 1 {
		t.Error("C5: a rebound channel does not relay")
	}
	r.wantDrop(r.fromClient(a, channelData(0x4001, "x", 0)), DropNoChannel)
	r.wantDrop(r.fromClient(a, channelData(0x4FFF, "x", 0)), DropNoChannel) // C8
	if flows := a.Flows(r.now); len(flows) != 1 || flows[0].Peer != addrPort(peer) || flows[0].Channel != 0x4000 {
		t.Errorf("flows %v", flows)
	}
	a.Unbind(0x4000)
	a.Unbind(0x4000)
	r.wantDrop(r.fromClient(a, channelData(0x4000, "x", 0)), DropNoChannel)
	r.fromPeer(a, "x", peer)
	checkIndication(t, r.listen.take()[0].data, peer, "x")
}

// A permission that is granted anew after it was swept out of the snapshot must serve
// the channels that outlived it.
func TestChannelFollowsItsPermission(t *testing.T) {
	r := newRig(t)
	a, s := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	r.now = r.now.Add(301 * time.Second)
	a.Permit(r.now, addr("192.0.2.77"), r.now.Add(time.Minute)) // sweeps the lapsed one
	r.wantDrop(r.fromClient(a, channelData(0x4000, "x", 0)), DropNoPermission)
	a.Permit(r.now, addr("192.0.2.9"), r.now.Add(time.Minute))
	if v := r.fromClient(a, channelData(0x4000, "x", 0)); v != Relayed || len(s.take()) != 1 {
		t.Error("the channel did not come back with its permission")
	}
	if got := a.Permissions(r.now); len(got) != 2 || !slices.Contains(got, addr("192.0.2.9")) {
		t.Errorf("permissions %v", got)
	}
}

func TestWithoutAllocation(t *testing.T) { // G5
	r := newRig(t)
	stranger := &Allocation{FiveTuple: FiveTuple{Client: addrPort("192.0.2.8:1"), Server: r.listen.local}}
	r.wantDrop(r.fromClient(stranger, channelData(0x4000, "x", 0)), DropNoAllocation)
	r.wantDrop(r.fromClient(stranger, sendIndication(t, peer, "x")), DropNoAllocation)
	r.wantDrop(r.fromClient(stranger, []byte{0x16, 0xfe, 0xfd}), DropMalformed)
	bind, _ := stun.Build(stun.TransactionID, stun.BindingRequest)
	if v := r.fromClient(stranger, bind.Raw); v != Punt {
		t.Errorf("a Binding request got verdict %d", v)
	}
}

func TestHairpin(t *testing.T) {
	r := newRig(t)
	client := &stream{}
	a, aSocket := r.add("192.0.2.7:7000", 50000)
	b, bSocket := r.addPath("192.0.2.8:8000", 50001, TCP, Path{Frames: client}, "10.0.0.1", "203.0.113.1")
	for _, form := range []string{"203.0.113.1:50001", "10.0.0.1:50001"} {
		a.Permit(r.now, addrPort(form).Addr(), r.now.Add(5*time.Minute))
		r.wantDrop(r.fromClient(a, sendIndication(t, form, "x")), DropNoPermission) // SEC-04: B does not permit A
	}
	b.Permit(r.now, addr("203.0.113.1"), r.now.Add(5*time.Minute))
	r.fromClient(a, sendIndication(t, "203.0.113.1:50001", "abc"))
	checkIndication(t, client.frames[0], "203.0.113.1:50000", "abc")

	r.bind(a, 0x4005, "203.0.113.1:50001")
	r.bind(b, 0x4006, "203.0.113.1:50000")
	r.fromClient(a, channelData(0x4005, "abc", 0))
	if want := channelData(0x4006, "abc", 1); !bytes.Equal(client.frames[1], want) {
		t.Fatalf("got %x, want %x", client.frames[1], want)
	}
	r.fromClient(b, channelData(0x4006, "xyz", 1))
	if got := r.listen.take(); len(got) != 1 || !bytes.Equal(got[0].data, channelData(0x4005, "xyz", 0)) || got[0].remote != a.Client {
		t.Fatalf("the way back: %v", got)
	}
	if len(aSocket.take())+len(bSocket.take()) != 0 {
		t.Error("a relay socket was used between two clients of this server")
	}
	// What B refused had left A all the same.
	if a.Counts(ToPeer) != (Counts{4, 8}) || b.Counts(ToClient) != (Counts{2, 6}) || b.Counts(ToPeer) != (Counts{1, 3}) {
		t.Errorf("counts %v %v %v", a.Counts(ToPeer), b.Counts(ToClient), b.Counts(ToPeer))
	}
	b.Close()
	r.wantDrop(r.fromClient(a, channelData(0x4005, "abc", 0)), DropPeerDenied)
}

func TestOwnAddressesAreNoPeers(t *testing.T) { // SEC-04
	r := newRig(t)
	a, s := r.add("192.0.2.7:7000", 50000)
	for _, to := range []string{"203.0.113.1:3478", "10.0.0.1:22", "203.0.113.1:50009"} {
		a.Permit(r.now, addrPort(to).Addr(), r.now.Add(5*time.Minute))
		r.wantDrop(r.fromClient(a, sendIndication(t, to, "x")), DropPeerDenied)
	}
	if got := s.take(); len(got) != 0 {
		t.Fatalf("sent %v", got)
	}
	r.wantDrop(r.fromPeer(a, "x", "10.0.0.1:53"), DropPeerDenied)
	r.table.own = func(at netip.AddrPort) bool { return at.Port() == 9000 }
	r.fromClient(a, sendIndication(t, "10.0.0.1:9000", "x"))
	if got := s.take(); len(got) != 1 {
		t.Error("an own peer that was re-opened got nothing")
	}
}

func TestIPv6(t *testing.T) {
	r := newRig(t)
	a, s := r.addPath("[2001:db8:7::7]:7000", 50000, UDP, Path{Packets: r.listen}, "2001:db8::1", "2001:db8::1")
	const six = "[2001:db8:9::9]:9000"
	r.bind(a, 0x4000, six)
	r.fromClient(a, channelData(0x4000, "six", 0))
	if got := s.take(); len(got) != 1 || got[0].remote != addrPort(six) {
		t.Fatalf("the peer got %v", got)
	}
	a.Unbind(0x4000)
	r.fromPeer(a, "six", six)
	checkIndication(t, r.listen.take()[0].data, six, "six")
	r.wantDrop(r.fromClient(a, sendIndication(t, "[2001:db8:9::9]:0", "x")), DropPeerDenied)
}

func TestTableRefusesWhatIsTaken(t *testing.T) {
	r := newRig(t)
	a, s := r.add("192.0.2.7:7000", 50000)
	_, err := r.table.Add(Opening{FiveTuple: a.FiveTuple, Socket: s, Relayed: addrPort("203.0.113.1:50001")})
	if !errors.Is(err, ErrTaken) {
		t.Errorf("a second allocation of a five-tuple: %v", err)
	}
	_, err = r.table.Add(Opening{FiveTuple: FiveTuple{Client: addrPort("192.0.2.1:1")}, Socket: s, Relayed: a.Relayed})
	if !errors.Is(err, ErrTaken) || r.table.Len() != 1 {
		t.Errorf("a second owner of a relayed address: %v", err)
	}
	a.Close()
	a.Close()
	if r.table.Lookup(a.FiveTuple) != nil || r.table.relayed(a.Relayed) != nil || r.table.Len() != 0 {
		t.Error("a closed allocation is still found")
	}
	b, _ := r.add("192.0.2.7:7000", 50000) // SEC-12
	r.wantDrop(r.fromClient(b, channelData(0x4000, "x", 0)), DropNoChannel)
}

func TestIndexUnderChurn(t *testing.T) {
	x := newIndex[addrKey, int]()
	values := make([]int, 5000)
	key := func(i int) addrKey { return addrKey{port: uint16(i)} }
	var writers sync.WaitGroup
	for part := range 2 {
		writers.Go(func() {
			for i := part; i < len(values); i += 2 {
				x.put(key(i), &values[i])
			}
		})
	}
	writers.Wait()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() { // what stays must be found at every moment of the churn
		for {
			select {
			case <-stop:
				return
			default:
				if x.get(key(0)) != &values[0] {
					t.Error("a stable key was not found")
					return
				}
			}
		}
	})
	for i := 1; i < len(values); i++ {
		x.remove(key(i), &values[i])
		x.remove(key(i), &values[i])
	}
	close(stop)
	readers.Wait()
	if x.size() != 1 {
		t.Errorf("%d values are left", x.size())
	}
}

// Totals outlive allocations, and count by the client's transport.
func TestTotals(t *testing.T) {
	r := newRig(t)
	a, _ := r.add("192.0.2.7:7000", 50000)
	r.bind(a, 0x4000, peer)
	r.fromClient(a, channelData(0x4000, "12345", 0))
	r.fromPeer(a, "123", peer)
	a.Close()
	totals := r.table.Totals()
	if totals.Relayed[UDP][ToPeer] != (Counts{1, 5}) || totals.Relayed[UDP][ToClient] != (Counts{1, 3}) {
		t.Errorf("totals %v", totals.Relayed[UDP])
	}
}
