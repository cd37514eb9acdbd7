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

func (w *world) checkGood(f *Flow, n int, sum sumKind) {
	w.t.Helper()
	in := fromClient(f, data(n))
	in.sum = sum
	want := RelayedToPeer
	sixOut := f.Peer.Addr().Is6()
	if f.Hairpin {
		want, sixOut = RelayedHairpin, w.otherClientIsSix(f)
	}
	if sum == noSum && (f.Client.Addr().Is6() || sixOut) {
		want = Checksum
	}
	if got := w.reasonFor(in.frame()); got != want {
		w.t.Errorf("%d bytes from the client, checksum %d: %v, want %v", n, sum, got, want)
	}
	in = fromPeer(f, data(n))
	in.sum = sum
	switch want = RelayedToClient; {
	case f.Hairpin:
		want = HairpinWire
	case sum == noSum && (f.Client.Addr().Is6() || sixOut):
		want = Checksum
	}
	if got := w.reasonFor(in.frame()); got != want {
		w.t.Errorf("%d bytes from the peer, checksum %d: %v, want %v", n, sum, got, want)
	}
}

func (w *world) otherClientIsSix(f *Flow) bool {
	for _, other := range w.flows {
		if other.Relayed == f.Peer {
			return other.Client.Addr().Is6()
		}
	}
	w.t.Fatal("a hairpin flow is alone")
	return false
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

// TestChecksumZero finds data for which the checksum comes out as zero, which means none.
func TestChecksumZero(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for slot := range uint32(len(allFamilies)) {
		for _, in := range []datagram{fromClient(w.flows[slot], data(6)), fromPeer(w.flows[slot], data(6))} {
			last := in.payload[len(in.payload)-2:]
			seen := false
			for n := range 1 << 16 {
				last[0], last[1] = byte(n>>8), byte(n)
				out, _, _ := w.oracle(in.frame())
				if f := out.frame(); bytes.Equal(f[ethernetLen+out.ipLen()+6:][:2], []byte{0xFF, 0xFF}) {
					seen = true
					w.run(in.frame())
					in.sum = pendingSum
					w.run(in.frame())
					break
				}
			}
			if !seen {
				t.Errorf("slot %d: no such data", slot)
			}
		}
	}
}
