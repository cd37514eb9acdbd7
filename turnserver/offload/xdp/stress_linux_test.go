//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"sync"
	"testing"
	"time"
)

// TestReuseUnderLoad binds and unbinds flows as fast as it goes, so that the elements of
// the hash map change hands at once and slots after a while, while their frames come in
// on all processors. What leaves must be the flow's own, to the byte.
func TestReuseUnderLoad(t *testing.T) {
	const flows, slots, duration = 32, 1 << 14, time.Second
	w := &world{t: t, p: load(t, Config{Flows: slots, Sources: 1}), flows: make(map[uint32]*Flow), limit: 1500}
	w.must(w.p.SetInterface(device, Interface{MAC: ownMAC}))
	for n := range uint32(flows) {
		f := flowOf(allFamilies[n%4], int(n))
		f.Peer = address(allFamilies[n%4].peer, 20+int(n), 0x8765)
		w.flows[n] = &f
	}
	end := time.Now().Add(duration)
	var group sync.WaitGroup
	left := make([]int, 2)
	for i := range left {
		group.Go(func() {
			for n := uint32(i); time.Now().Before(end); n++ {
				left[i] += w.runBoth(w.flows[n%flows])
			}
		})
	}
	bound := w.churn(end, flows, slots)
	group.Wait()
	if left[0] == 0 || left[1] == 0 || bound < 2*flows {
		t.Errorf("%d frames left while flows were bound %d times", left, bound)
	}
	t.Logf("%d frames left while flows were bound %d times", left, bound)
}

// churn binds flows and clears them, each slot in turn, and returns how often.
func (w *world) churn(end time.Time, flows, slots uint32) (bound uint32) {
	hop := Hop{Destination: clientMAC, Source: ownMAC, Interface: device, Limit: 1500}
	for ; time.Now().Before(end); bound++ {
		slot := bound % slots
		if bound >= flows/2 { // half of the flows are bound at a time
			if err := w.p.Clear((bound - flows/2) % slots); err != nil {
				w.t.Error(err)
			}
		}
		if err := w.p.Set(slot, *w.flows[bound%flows], never); err != nil {
			w.t.Error(err)
		}
		w.p.SetHop(slot, ToClient, hop)
		w.p.SetHop(slot, ToPeer, Hop{Destination: peerMAC, Source: ownMAC, Interface: device, Limit: 1500})
	}
	return bound
}

// runBoth runs a flow's frames and returns how many left. It may run in any goroutine.
func (w *world) runBoth(f *Flow) (left int) {
	for _, in := range []datagram{fromClient(f, data(50)), fromPeer(f, data(50))} {
		frame := in.frame()
		action, after, err := w.p.Run(device, frame)
		if err != nil {
			w.t.Error(err)
			return left
		}
		if action == Pass {
			continue
		}
		want, _, _ := w.oracle(frame)
		got, _, ok := read(after)
		want.id = got.id
		if action != Transmit || !ok || string(after) != string(want.frame()) {
			w.t.Errorf("%v of\n%x as\n%x want\n%x", action, frame, after, want.frame())
		}
		left++
	}
	return left
}
