//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"bytes"
	"fmt"
	"testing"
)

// data returns n bytes that all matter to a checksum.
func data(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(7 + i*31 + i>>8)
	}
	return b
}

// lengths are those of application data to try: every small one, those around powers of
// two, and the longest that a frame of the tests' devices has.
func lengths() []int {
	var all []int
	for n := range 40 {
		all = append(all, n)
	}
	for n := 64; n <= 1024; n *= 2 {
		all = append(all, n-13, n-12, n-9, n-8, n-1, n, n+1)
	}
	return append(all, 160, 1200, 1400, 1423, 1424)
}

func TestGoodFramesAreRelayed(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(w.flows)) {
		f := w.flows[slot]
		t.Run(fmt.Sprintf("%v to %v", f.Client, f.Peer), func(t *testing.T) {
			w.t = t
			for _, n := range lengths() {
				for _, sum := range []sumKind{wholeSum, pendingSum, noSum} {
					w.checkGood(f, n, sum)
				}
			}
		})
	}
}

// checkGood runs n bytes of data from a flow's client and from its peer.
func (w *world) checkGood(f *Flow, n int, sum sumKind) {
	w.t.Helper()
	a, b := fromClient(f, data(n)), fromPeer(f, data(n))
	a.sum, b.sum = sum, sum
	out := f.Peer
	if f.Hairpin {
		out = w.other(f).Client
	}
	four := f.Client.Addr().Is4() && out.Addr().Is4()
	if action, _ := w.run(a.frame()); (action == Transmit) != (four || sum != noSum) {
		w.t.Errorf("%d bytes from the client, checksum %d: %v", n, sum, action)
	}
	if action, _ := w.run(b.frame()); (action == Transmit) != (!f.Hairpin && (four || sum != noSum)) {
		w.t.Errorf("%d bytes from the peer, checksum %d: %v", n, sum, action)
	}
}

// other returns the other flow of a hairpin pair.
func (w *world) other(f *Flow) *Flow {
	for _, other := range w.flows {
		if other.Relayed == f.Peer {
			return other
		}
	}
	w.t.Fatal("a hairpin flow is alone")
	return nil
}

func TestCountsAreThoseOfUserSpace(t *testing.T) {
	w := newWorld(t)
	w.populate()
	const packets, size = 3, 100
	for range packets {
		for slot := range uint32(len(w.flows)) {
			in := fromClient(w.flows[slot], data(size))
			w.run(in.frame())
		}
	}
	each := Counts{packets, packets * size}
	for slot, f := range w.flows {
		back := Counts{}
		if f.Hairpin {
			back = each // the other's packets
		}
		if c := w.p.Counts(slot, ToPeer); c != each {
			t.Errorf("slot %d to its peer: %v, want %v", slot, c, each)
		}
		if c := w.p.Counts(slot, ToClient); c != back {
			t.Errorf("slot %d to its client: %v, want %v", slot, c, back)
		}
	}
	totals := w.totals()
	hairpins := uint64(len(w.flows) - len(allFamilies))
	if got, want := totals[RelayedHairpin], (Counts{hairpins * packets, hairpins * packets * size}); got != want {
		t.Errorf("%v hairpin turns, want %v", got, want)
	}
}

// TestChecksumZero has data for which the checksum comes out as zero, which means none.
func TestChecksumZero(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(allFamilies)) {
		for _, in := range []datagram{fromClient(w.flows[slot], data(6)), fromPeer(w.flows[slot], data(6))} {
			last := in.payload[len(in.payload)-2:]
			last[0], last[1] = 0, 0
			out, _, _ := w.oracle(in.frame())
			field := func() []byte { return out.frame()[ethernetLen+out.ipLen()+6:][:2] }
			copy(last, field())
			if out, _, _ = w.oracle(in.frame()); !bytes.Equal(field(), []byte{0xFF, 0xFF}) {
				t.Fatalf("slot %d: the checksum is %x", slot, field())
			}
			for _, in.sum = range []sumKind{wholeSum, pendingSum} {
				if action, _ := w.run(in.frame()); action != Transmit {
					t.Errorf("slot %d: %v", slot, action)
				}
			}
		}
	}
}
