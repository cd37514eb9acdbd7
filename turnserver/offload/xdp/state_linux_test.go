//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// verdicts returns how a flow's good packets end, from the client and from the peer.
func (w *world) verdicts(f *Flow) (client, peer Reason) {
	w.t.Helper()
	a, b := fromClient(f, data(100)), fromPeer(f, data(100))
	return w.reasonFor(a.frame()), w.reasonFor(b.frame())
}

// expect fails the test unless a flow's packets end so.
func (w *world) expect(what string, f *Flow, client, peer Reason) {
	w.t.Helper()
	if c, p := w.verdicts(f); c != client || p != peer {
		w.t.Errorf("%s: from the client %v, want %v; from the peer %v, want %v", what, c, client, p, peer)
	}
}

// monotonic returns the present as this process sees it.
func monotonic(t testing.TB) Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return Time(ts.Nano())
}

func TestNothingIsRelayedUntold(t *testing.T) {
	w := newWorld(t)
	f := flowOf(families{4, 6}, 1)
	w.must(w.p.RemoveInterface(device))
	w.expect("knowing nothing", &f, Unconfigured, Unconfigured)
	w.must(w.p.SetInterface(device+interfacePlaces, Interface{MAC: ownMAC}))
	w.expect("knowing another interface in its place", &f, Unconfigured, Unconfigured)
	if err := w.p.SetInterface(device, Interface{MAC: ownMAC}); !errors.Is(err, ErrFull) {
		t.Errorf("an interface in the place of another: %v", err)
	}
	w.must(w.p.RemoveInterface(device)) // which is not there
	w.must(w.p.RemoveInterface(device + interfacePlaces))
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	w.expect("knowing the interface", &f, NoFlow, NoFlow)
	w.must(w.p.Set(5, f, never))
	w.expect("knowing the flow", &f, NoHop, NoHop)
	w.bind(6, flowOf(families{4, 6}, 2))
	w.expect("knowing all", w.flows[6], RelayedToPeer, RelayedToClient)
}

func TestLifetimes(t *testing.T) {
	w := newWorld(t)
	f := w.bind(3, flowOf(families{6, 4}, 1))
	now := monotonic(t)
	for _, step := range []struct {
		what         string
		expires      Time
		client, peer Reason
	}{
		{"an hour from now", now + 3600e9, RelayedToPeer, RelayedToClient},
		{"now", now, Expired, Expired},
		{"long ago", 1, Expired, Expired},
		{"renewed", never, RelayedToPeer, RelayedToClient},
		{"ended", 0, Stale, Stale},
		{"renewed again", never, RelayedToPeer, RelayedToClient},
	} {
		w.p.Renew(3, step.expires)
		w.expect(step.what, f, step.client, step.peer)
	}
	w.must(w.p.Clear(3))
	w.expect("cleared", f, NoFlow, NoFlow)
	w.must(w.p.Clear(3))
	again := w.bind(3, flowOf(families{6, 4}, 2))
	w.expect("another flow in the slot", again, RelayedToPeer, RelayedToClient)
	w.expect("the flow that was there", f, NoFlow, NoFlow)
	if c := w.p.Counts(3, ToPeer); c.Packets != 1 {
		t.Errorf("the slot's counts are %v, not only its flow's", c)
	}
}

// TestStaleKeysRelayNothing has keys that lead to a slot which is another flow's now.
func TestStaleKeysRelayNothing(t *testing.T) {
	w := newWorld(t)
	old := flowOf(families{4, 4}, 1)
	client, peer := old.keys()
	w.bind(0, flowOf(families{4, 4}, 2))
	r := &w.p.records[0]
	for name, place := range map[string]uint64{
		"of the generation before": uint64(r.Generation-1) << 32,
		"of this one":              uint64(r.Generation) << 32,
		"to no slot":               uint64(w.p.Slots()),
	} {
		for _, key := range []*kernelKey{&client, &peer} {
			w.must(w.p.objects.Flows.Put(key, place))
		}
		w.expect("keys "+name, &old, Stale, Stale)
	}
}

// TestStaleRecordFields changes each field that tells flows apart.
func TestStaleRecordFields(t *testing.T) {
	w := newWorld(t)
	for slot, f := range allFamilies {
		flow := w.bind(uint32(slot), flowOf(f, slot))
		r := &w.p.records[slot]
		good := *r
		for name, c := range map[string]struct {
			change       func()
			client, peer Reason
		}{
			"client":       {func() { r.Client[0]++ }, Stale, RelayedToClient},
			"client's end": {func() { r.Client[3]++ }, Stale, RelayedToClient},
			"client port":  {func() { r.ClientPort++ }, Stale, RelayedToClient},
			"server":       {func() { r.Server[0]++ }, Stale, RelayedToClient},
			"server port":  {func() { r.ServerPort++ }, Stale, RelayedToClient},
			"channel":      {func() { r.Channel++ }, Stale, RelayedToClient},
			"relayed":      {func() { r.Relayed[2]++ }, RelayedToPeer, Stale},
			"relayed port": {func() { r.RelayedPort++ }, RelayedToPeer, Stale},
			"peer":         {func() { r.Peer[1]++ }, RelayedToPeer, Stale},
			"peer port":    {func() { r.PeerPort++ }, RelayedToPeer, Stale},
			"families":     {func() { r.Flags ^= clientIsSix | peerIsSix }, Stale, Stale},
			"generation":   {func() { r.Generation++ }, Stale, Stale},
		} {
			c.change()
			for in, want := range map[*datagram]Reason{
				new(fromClient(flow, data(9))): c.client, new(fromPeer(flow, data(9))): c.peer,
			} {
				action, _, err := w.p.Run(device, in.frame())
				w.must(err)
				if passed := action == Pass; passed != (want == Stale) {
					t.Errorf("%v, other %s: %v, want %v", f, name, action, want)
				}
			}
			*r = good
		}
	}
}

func TestKeysOfAnotherFlow(t *testing.T) {
	w := newWorld(t)
	f := w.bind(0, flowOf(families{4, 4}, 1))
	samePeer := flowOf(families{4, 4}, 2)
	samePeer.Relayed = f.Relayed
	sameClient := flowOf(families{4, 4}, 3)
	sameClient.Client, sameClient.Channel = f.Client, f.Channel
	for slot, other := range []Flow{samePeer, sameClient} {
		if err := w.p.Set(uint32(slot)+1, other, never); !errors.Is(err, ErrTaken) {
			t.Errorf("%v beside %v: %v", other, *f, err)
		}
		w.must(w.p.Clear(uint32(slot) + 1))
	}
	w.expect("after others", f, RelayedToPeer, RelayedToClient)
	w.expect("with the client's packets", &sameClient, RelayedToPeer, NoFlow)
}

func TestFullMapKeepsWhatItHas(t *testing.T) {
	w := &world{t: t, p: load(t, Config{Flows: 8, Sources: 1}), flows: make(map[uint32]*Flow), limit: 1500}
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	for slot := range uint32(8) {
		w.bind(slot, flowOf(families{4, 4}, int(slot)))
	}
	// The map has no room for keys that are nobody's.
	client, _ := new(flowOf(families{4, 4}, 100)).keys()
	if err := w.p.putKey(&client, 0); !errors.Is(err, ErrFull) {
		t.Errorf("one key more than there can be: %v", err)
	}
	for slot := range uint32(8) {
		w.expect("full", w.flows[slot], RelayedToPeer, RelayedToClient)
	}
	w.must(w.p.Clear(0))
	w.must(w.p.putKey(&client, 0)) // takes the room of one of the two keys
	if err := w.p.Set(0, flowOf(families{4, 4}, 9), never); !errors.Is(err, ErrFull) {
		t.Errorf("a flow with room for one key: %v", err)
	}
	_, peer := new(flowOf(families{4, 4}, 9)).keys()
	if err := w.p.objects.Flows.Lookup(&peer, new(uint64)); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("the key of a flow that did not fit: %v", err)
	}
}

func TestLengthLimits(t *testing.T) {
	w := newWorld(t)
	for slot, f := range allFamilies {
		flow := w.bind(uint32(slot), flowOf(f, slot))
		for _, limit := range []int{1280, 1500} {
			for d, want := range map[Direction]Reason{ToPeer: RelayedToPeer, ToClient: RelayedToClient} {
				w.p.SetHop(uint32(slot), d, Hop{Destination: peerMAC, Source: ownMAC, Interface: device, Limit: limit})
				for _, over := range []int{-4, -3, 0, 1, 3, 4} {
					expected := want
					if over > 0 {
						expected = TooLong
					}
					if got := w.longest(flow, d, f, limit+over); got != expected {
						t.Errorf("%v %d, limit %d, %d over: %v, want %v", f, d, limit, over, got, expected)
					}
				}
			}
		}
	}
}

// longest runs a packet that would leave as an IP packet of n bytes.
func (w *world) longest(flow *Flow, d Direction, f families, n int) Reason {
	w.t.Helper()
	header := map[int]int{4: 20, 6: 40}
	in, size := fromClient(flow, nil), n-header[f.peer]-udpLen
	if d == ToClient {
		in, size = fromPeer(flow, nil), n-header[f.client]-udpLen-4
		in.payload = data(size)
	} else {
		in.payload = channelData(flow.Channel, data(size))
	}
	before := w.totals()
	if _, _, err := w.p.Run(device, in.frame()); err != nil {
		w.t.Fatal(err)
	}
	for why, c := range w.totals() {
		if c.Packets != before[why].Packets {
			return Reason(why)
		}
	}
	return Reason(reasons)
}

func TestHops(t *testing.T) {
	w := newWorld(t)
	f := w.bind(0, flowOf(families{4, 4}, 1))
	w.p.SetHop(0, ToPeer, Hop{})
	w.expect("no hop to the peer", f, NoHop, RelayedToClient)
	w.p.SetHop(0, ToClient, Hop{})
	w.expect("no hops", f, NoHop, NoHop)
	elsewhere := otherInterface(t)
	hop := Hop{Destination: peerMAC, Source: MAC{2, 2, 2, 2, 2, 2}, Interface: elsewhere, Limit: 1500}
	w.p.SetHop(0, ToPeer, hop)
	w.expect("a hop elsewhere", f, NoEgress, NoHop)
	w.must(w.p.SetEgress(elsewhere, true))
	in := fromClient(f, data(100))
	action, after, err := w.p.Run(device, in.frame())
	w.must(err)
	want, _, _ := w.oracle(in.frame())
	want.source = hop.Source
	got, _, ok := read(after)
	want.id = got.id
	if action != Redirect || !ok || string(after) != string(want.frame()) {
		t.Errorf("%v of %x, want %x", action, after, want.frame())
	}
	w.must(w.p.SetEgress(elsewhere, false))
	w.must(w.p.SetEgress(elsewhere, false))
	w.expect("a hop elsewhere, no longer able", f, NoEgress, NoHop)
}

// otherInterface returns the index of an interface that is not the tests' device.
func otherInterface(t *testing.T) int {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Index != device {
			return i.Index
		}
	}
	lacks(t, "there is no interface but loopback")
	return 0
}

func TestInterfaceFlags(t *testing.T) {
	w := newWorld(t)
	w.populate()
	f, hairpin := w.flows[0], w.flows[uint32(len(allFamilies))]
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC, Flags: Merges}))
	w.expect("merging", f, RelayedToPeer, Merged)
	w.expect("merging", hairpin, RelayedHairpin, HairpinWire)
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC, Flags: ChecksumsLater}))
	w.expect("checksums later", f, RelayedToPeer, RelayedToClient)
	for _, d := range []datagram{fromClient(f, data(9)), fromPeer(f, data(9)), fromClient(hairpin, data(9))} {
		d.sum = pendingSum
		if got := w.reasonFor(d.frame()); got != ChecksumLeft {
			t.Errorf("a checksum for later: %v", got)
		}
	}
}

func TestLoopbackKeepsTheFamily(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.must(w.p.SetInterface(device, Interface{}))
	for slot, f := range w.flows {
		in := fromClient(f, data(9))
		in.destination = MAC{}
		out := f.Peer
		if f.Hairpin {
			out = w.other(f).Client
		}
		action, _, err := w.p.Run(device, in.frame())
		w.must(err)
		// An IPv6 packet to a peer would lose its checksum, and so passes.
		want := in.six() == out.Addr().Is6() && (f.Hairpin || !in.six())
		if (action == Transmit) != want {
			t.Errorf("slot %d, from %v to %v: %v", slot, in.from, out, action)
		}
	}
}

func TestLoopbackIsNotLeft(t *testing.T) {
	w := newWorld(t)
	f := w.bind(0, flowOf(families{4, 4}, 1))
	elsewhere := otherInterface(t)
	w.p.SetHop(0, ToPeer, Hop{Destination: peerMAC, Source: ownMAC, Interface: elsewhere, Limit: 1500})
	w.must(w.p.SetEgress(elsewhere, true))
	w.must(w.p.SetInterface(device, Interface{}))
	in := fromClient(f, data(9))
	in.destination = MAC{}
	if action, _, err := w.p.Run(device, in.frame()); err != nil || action != Pass {
		t.Errorf("%v: %v", action, err)
	}
}

// TestLongPendingChecksum has a datagram that is too long to be summed whole.
func TestLongPendingChecksum(t *testing.T) {
	w := newWorld(t)
	w.limit = maxPacket
	w.populate()
	for slot := range uint32(len(w.flows)) {
		for n, want := range map[int]bool{2047 - udpLen - 4: true, 2048 - udpLen - 4: false, 3000: false} {
			in := fromClient(w.flows[slot], data(n))
			in.sum = pendingSum
			if got := w.reasonFor(in.frame()); (got == ChecksumLeft) == want {
				t.Errorf("slot %d, %d bytes: %v", slot, n, got)
			}
		}
	}
}

func TestHairpinStates(t *testing.T) {
	w := newWorld(t)
	slot := uint32(0)
	for _, relay := range []int{4, 6} {
		for _, clients := range allFamilies {
			t.Run(fmt.Sprintf("%v by %d", clients, relay), func(t *testing.T) {
				w.t = t
				w.hairpinStates(slot, clients, relay)
			})
			slot += 3
		}
	}
}

func (w *world) hairpinStates(slot uint32, clients families, relay int) {
	n := int(slot)
	a, b := flowOf(families{clients.client, relay}, n), flowOf(families{clients.peer, relay}, n+1)
	a.Peer, b.Peer, a.Hairpin, b.Hairpin = b.Relayed, a.Relayed, true, true
	w.bind(slot, a)
	w.expect("the other has bound nothing", &a, HairpinMiss, HairpinWire)
	w.bind(slot+1, flowOf(families{clients.peer, relay}, n+1)) // the same relayed address, another peer
	w.expect("the other has bound another", &a, HairpinMiss, HairpinWire)
	w.must(w.p.Clear(slot + 1))
	delete(w.flows, slot+1)
	w.bind(slot+2, b)
	w.expect("both", &a, RelayedHairpin, HairpinWire)
	w.expect("both", &b, RelayedHairpin, HairpinWire)
	w.p.Renew(slot+2, 1)
	w.expect("the other has expired", &a, HairpinMiss, HairpinWire)
	w.p.Renew(slot+2, never)
	w.p.Renew(slot, 1)
	w.expect("the one has expired", &a, Expired, Expired)
	w.expect("the one has expired", &b, HairpinMiss, HairpinWire)
	w.p.Renew(slot, never)
	w.p.SetHop(slot+2, ToClient, Hop{})
	w.expect("no hop to the other's client", &a, NoHop, HairpinWire)
	w.must(w.p.Clear(slot + 2))
	w.expect("the other is gone", &a, HairpinMiss, HairpinWire)
}

// TestHairpinToItself: a client may bind its own relayed transport address.
func TestHairpinToItself(t *testing.T) {
	w := newWorld(t)
	f := flowOf(families{4, 6}, 1)
	f.Peer, f.Hairpin = f.Relayed, true
	w.bind(0, f)
	w.expect("itself", &f, RelayedHairpin, HairpinWire)
	for _, d := range []Direction{ToPeer, ToClient} {
		if c := w.p.Counts(0, d); c != (Counts{1, 100}) {
			t.Errorf("direction %d: %v", d, c)
		}
	}
}

// TestNoHeadroom has a frame that grows by four bytes as often as it can: flows of which
// each relays to a client what the other made.
func TestNoHeadroom(t *testing.T) {
	w := newWorld(t)
	there := flowOf(families{4, 4}, 1)
	back := Flow{Client: there.Relayed, Server: there.Peer, Relayed: there.Client, Peer: there.Server, Channel: 0x4FFF}
	for slot, f := range []Flow{there, back} {
		w.bind(uint32(slot), f)
		w.p.SetHop(uint32(slot), ToClient, Hop{Destination: ownMAC, Source: ownMAC, Interface: device, Limit: 1500})
	}
	const runs = 200
	in := fromPeer(&there, data(20))
	frame := in.frame()
	out := make([]byte, 4096)
	o := ebpf.RunOptions{Data: frame, DataOut: out, Repeat: runs, Context: runContext{DataEnd: uint32(len(frame)), IngressInterface: device}}
	action, err := w.p.objects.Hairpin.Run(&o)
	w.must(err)
	totals := w.totals()
	grown := int(totals[RelayedToClient].Packets)
	if Action(action) != Pass || grown == 0 || totals[NoHeadroom].Packets != uint64(runs-grown) {
		t.Fatalf("%v after growing %d times, and %d times no room", Action(action), grown, totals[NoHeadroom].Packets)
	}
	got, padded, ok := read(o.DataOut)
	if !ok || padded || len(o.DataOut) != len(frame)+4*grown || len(got.payload) != 20+4*grown {
		t.Errorf("what cannot grow any more is %x", o.DataOut)
	}
}

func TestClock(t *testing.T) {
	w := newWorld(t)
	before := monotonic(t)
	now, err := w.p.Clock()
	w.must(err)
	if after := monotonic(t); now < before || now > after {
		t.Errorf("the program's clock shows %d between %d and %d", now, before, after)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{{}, {Flows: -1}, {Flows: maxFlows + 1}, {Flows: 1, Sources: 3}, {Flows: 1, Sources: -1}} {
		if p, err := Load(c); err == nil {
			t.Errorf("%+v was loaded: %v", c, p.Close())
		}
	}
}
