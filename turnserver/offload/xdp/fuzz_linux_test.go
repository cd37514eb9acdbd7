//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// What a mutated frame may have repaired, so that it gets past the first checks.
const (
	repairIP4 = 1 << iota // the header's checksum
	repairLengths
	repairFraming // ChannelData's length
	pending       // the UDP checksum is left to a device

	repairs
)

// repair makes a frame right in some respects, as far as it is long enough.
func repair(f []byte, what byte) []byte {
	six := len(f) > 13 && f[12] == 0x86
	header := ethernetLen + 20
	if six {
		header += 20
	}
	if len(f) < header+udpLen {
		return f
	}
	if what&repairLengths != 0 {
		binary.BigEndian.PutUint16(f[header+4:], uint16(len(f)-header))
		if six {
			binary.BigEndian.PutUint16(f[ethernetLen+4:], uint16(len(f)-header))
		} else {
			binary.BigEndian.PutUint16(f[ethernetLen+2:], uint16(len(f)-ethernetLen))
		}
	}
	if what&repairFraming != 0 && len(f) >= header+udpLen+4 {
		binary.BigEndian.PutUint16(f[header+udpLen+2:], uint16(len(f)-header-udpLen-4))
	}
	if what&repairIP4 != 0 && !six {
		ip4(0)(f, 20)
	}
	if d, _, ok := read(f); ok && what&pending != 0 {
		binary.BigEndian.PutUint16(f[header+6:], ones(d.pseudo(udpLen+len(d.payload))))
	}
	return f
}

// fuzzWorld returns a world with flows of all kinds, and good frames for all of it.
func fuzzWorld(t testing.TB) (w *world, good [][]byte) {
	w = newWorld(t)
	w.populate()
	w.serve()
	for slot := range uint32(len(w.flows)) {
		for _, n := range []int{0, 1, 30, 160} {
			c, p := fromClient(w.flows[slot], data(n)), fromPeer(w.flows[slot], data(n))
			good = append(good, c.frame(), p.frame())
		}
	}
	four, six := request(4), request(6)
	return w, append(good, four.frame(), six.frame())
}

// FuzzFrame: what passes is untouched, and what leaves is what the oracle says.
func FuzzFrame(f *testing.F) {
	w, good := fuzzWorld(f)
	for _, frame := range good {
		f.Add(frame, byte(0))
		f.Add(frame, byte(repairs-1))
	}
	f.Fuzz(func(t *testing.T, frame []byte, what byte) {
		if len(frame) < ethernetLen || len(frame) > 3000 {
			t.Skip()
		}
		w.t = t
		w.run(repair(frame, what))
	})
}

// TestRandomMutations is the same for some thousands of frames that differ little from
// good ones, so that most come far.
func TestRandomMutations(t *testing.T) {
	w, good := fuzzWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	left := 0
	const rounds = 30_000
	for range rounds {
		frame := append([]byte(nil), good[random.IntN(len(good))]...)
		for range random.IntN(4) {
			frame[random.IntN(len(frame))] = byte(random.Uint32())
		}
		switch random.IntN(8) {
		case 0:
			frame = frame[:max(ethernetLen, random.IntN(len(frame)))]
		case 1:
			frame = append(frame, data(random.IntN(40))...)
		}
		if action, _ := w.run(repair(frame, byte(random.IntN(repairs)))); action == Transmit {
			left++
		}
	}
	if left < rounds/10 || left > rounds*9/10 {
		t.Errorf("%d of %d frames left: mutations too hard, or too soft", left, rounds)
	}
}
