//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hairpin/turnserver/wire"
)

// The interface of the tests is loopback, which every namespace has; only its index is
// used. In the tests it has a MAC.
const device = 1

var (
	ownMAC    = MAC{0x02, 0, 0, 0, 0, 0x01}
	clientMAC = MAC{0x02, 0, 0, 0, 0x0C, 0x02} // of the machine on the way to clients
	peerMAC   = MAC{0x02, 0, 0, 0, 0x0E, 0x03} // and of that to peers
)

// never is when flows of tests end that do not say.
const never = Time(math.MaxInt64)

// world is a loaded program and what it has been told, in the tests' own words.
type world struct {
	t     testing.TB
	p     *Program
	flows map[uint32]*Flow
	limit int // of every hop

	services map[netip.AddrPort]bool // that answer Binding requests
}

// load returns a program. Without the right to load one it skips the test, or fails it
// where the environment has HAIRPIN_TEST_FULL=1.
func load(t testing.TB, c Config) *Program {
	t.Helper()
	p, err := Load(c)
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM):
		lacks(t, err.Error())
	default:
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// lacks skips a test for what this machine has not, or fails it where nothing may be
// skipped.
func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("HAIRPIN_TEST_FULL") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, p: load(t, Config{Flows: 64, Sources: 16}), flows: make(map[uint32]*Flow), limit: 1500}
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// bind puts a flow with both hops into a slot.
func (w *world) bind(slot uint32, f Flow) *Flow {
	w.t.Helper()
	w.must(w.p.Set(slot, f, never))
	w.p.SetHop(slot, ToClient, Hop{Destination: clientMAC, Source: ownMAC, Interface: device, Limit: w.limit})
	if !f.Hairpin {
		w.p.SetHop(slot, ToPeer, Hop{Destination: peerMAC, Source: ownMAC, Interface: device, Limit: w.limit})
	}
	w.flows[slot] = &f
	return &f
}

// families are those of a flow's two sides.
type families struct{ client, peer int }

func (f families) String() string { return string('0'+rune(f.client)) + string('0'+rune(f.peer)) }

var allFamilies = []families{{4, 4}, {4, 6}, {6, 4}, {6, 6}}

// address returns the n-th transport address of a family, with a port that reads
// differently backwards.
func address(family, n int, port uint16) netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	if family == 6 {
		ip = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0D, 0xB8, 0xA5, 0x5A, 7: 0x11, 12: 0xFE, 14: 0x77, 15: byte(n)})
	}
	return netip.AddrPortFrom(ip, port)
}

// flowOf returns a flow of the given families, the n-th.
func flowOf(f families, n int) Flow {
	return Flow{
		Client: address(f.client, 10, 0x1234+uint16(n)), Server: address(f.client, 1, 3478),
		Relayed: address(f.peer, 1, 0xC350+uint16(n)), Peer: address(f.peer, 20, 0x8765),
		Channel: 0x4000 + uint16(n),
	}
}

// populate binds one flow of each pair of families, in the order of allFamilies, and
// then for each family of relayed addresses the four hairpin pairs.
func (w *world) populate() {
	w.t.Helper()
	slot := uint32(0)
	for _, f := range allFamilies {
		w.bind(slot, flowOf(f, int(slot)))
		slot++
	}
	for _, relay := range []int{4, 6} {
		for _, f := range allFamilies { // of two clients
			a, b := flowOf(families{f.client, relay}, int(slot)), flowOf(families{f.peer, relay}, int(slot)+1)
			a.Peer, b.Peer, a.Hairpin, b.Hairpin = b.Relayed, a.Relayed, true, true
			w.bind(slot, a)
			w.bind(slot+1, b)
			slot += 2
		}
	}
}

// fromClient returns a good datagram of a flow's client, and fromPeer one of its peer.
func fromClient(f *Flow, data []byte) datagram {
	return datagram{
		destination: ownMAC, source: clientMAC, from: f.Client, to: f.Server, ttl: 17, class: 0xB9, id: 0x4242,
		payload: channelData(f.Channel, data),
	}
}

func fromPeer(f *Flow, data []byte) datagram {
	return datagram{
		destination: ownMAC, source: peerMAC, from: f.Peer, to: f.Relayed, ttl: 1, class: 0xB9, id: 0x4242,
		payload: data,
	}
}

func channelData(channel uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, channel)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// oracle says what a relay does with a frame, by RFC 8656 and by what user space does:
// which datagram leaves, if one does. The flow it leaves by is for the counts.
func (w *world) oracle(frame []byte) (out datagram, reason Reason, relayed bool) {
	d, padded, ok := read(frame)
	if !ok || padded || d.destination != ownMAC {
		return out, 0, false
	}
	if out, ok = w.answer(&d); ok {
		return out, Binding, true
	}
	for _, f := range w.flows {
		if d.from == f.Client && d.to == f.Server && len(d.payload) >= 4 && !f.unframe(&d) {
			continue
		}
		switch {
		case d.from == f.Client && d.to == f.Server:
			return w.fromFlowsClient(f, &d)
		case d.from == f.Peer && d.to == f.Relayed && !f.Hairpin:
			return w.toFlowsClient(f, &d), RelayedToClient, true
		}
	}
	return out, 0, false
}

// answer returns what a STUN server answers to a Binding request, if it is one.
func (w *world) answer(d *datagram) (out datagram, ok bool) {
	from := d.from.Addr()
	if !w.services[d.to] || d.sum == wrongSum || len(d.payload) != 20 || d.source[0]&1 != 0 {
		return out, false
	}
	if d.from.Port() == 0 || from == d.to.Addr() || from.IsMulticast() || from.IsLoopback() || from.IsUnspecified() {
		return out, false
	}
	b := make([]byte, wire.MaxBindingResponseLen)
	n := wire.AnswerBinding(b, d.payload, d.from)
	out = datagram{destination: d.source, source: ownMAC, from: d.to, to: d.from, ttl: 64, payload: b[:n]}
	return out, n > 0
}

// unframe takes the ChannelData header of the flow's channel away, if it is there and
// its length is that of the datagram.
func (f *Flow) unframe(d *datagram) bool {
	data := d.payload[4:]
	if !bytes.Equal(d.payload[:4], channelData(f.Channel, data)[:4]) {
		return false
	}
	d.payload = data
	return true
}

func (w *world) fromFlowsClient(f *Flow, d *datagram) (out datagram, reason Reason, relayed bool) {
	if !f.Hairpin {
		out = datagram{destination: peerMAC, from: f.Relayed, to: f.Peer, payload: d.payload}
		return w.leave(out, d), RelayedToPeer, true
	}
	for _, other := range w.flows {
		if other.Hairpin && other.Relayed == f.Peer && other.Peer == f.Relayed {
			return w.toFlowsClient(other, d), RelayedHairpin, true
		}
	}
	return out, 0, false
}

func (w *world) toFlowsClient(f *Flow, d *datagram) datagram {
	out := datagram{destination: clientMAC, from: f.Server, to: f.Client, payload: channelData(f.Channel, d.payload)}
	return w.leave(out, d)
}

// leave fills in what is the same for all that leaves.
func (w *world) leave(out datagram, in *datagram) datagram {
	out.source, out.ttl = ownMAC, 64
	if in.sum == noSum || in.sum == wrongSum {
		out.sum, out.odd = in.sum, in.odd
	}
	return out
}

// run runs a frame and fails the test unless it either passed untouched or left as the
// oracle says.
func (w *world) run(frame []byte) (Action, datagram) {
	w.t.Helper()
	action, after, err := w.p.Run(device, frame)
	w.must(err)
	switch action {
	case Pass:
		if !bytes.Equal(after, frame) {
			w.t.Fatalf("passed, but changed from\n%x to\n%x", frame, after)
		}
		return action, datagram{}
	case Transmit:
	default:
		w.t.Fatalf("%v of\n%x", action, frame)
	}
	want, _, relayed := w.oracle(frame)
	if !relayed {
		w.t.Fatalf("left, but should not have:\n%x as\n%x", frame, after)
	}
	got, _, ok := read(after)
	want.id = got.id
	if expect := want.frame(); !ok || !bytes.Equal(after, expect) {
		w.t.Fatalf("in\n%x: got\n%x want\n%x", frame, after, expect)
	}
	return action, got
}

// reasonFor runs a frame and returns how the program came to its verdict.
func (w *world) reasonFor(frame []byte) Reason {
	w.t.Helper()
	before := w.totals()
	action, _ := w.run(frame)
	found := Reason(reasons)
	for why, c := range w.totals() {
		if n := c.Packets - before[why].Packets; n == 1 && found == reasons {
			found = Reason(why)
		} else if n != 0 {
			w.t.Fatalf("a frame counted %d times under %v, and under %v", n, Reason(why), found)
		}
	}
	if left := found <= Binding; left != (action == Transmit) {
		w.t.Fatalf("%v under %v", action, found)
	}
	return found
}

func (w *world) totals() []Counts {
	w.t.Helper()
	totals, err := w.p.Totals()
	w.must(err)
	return totals
}
