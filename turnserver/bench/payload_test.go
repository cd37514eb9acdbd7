package bench

import (
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/wire"
)

// The answer of a real responder carries the stamp of the request back.
func TestBindingCarriesItsStamp(t *testing.T) {
	want := stamp{flow: 0xfedc, sequence: 0xba987654, sent: 0x321012345678}
	request := make([]byte, wire.HeaderLen)
	putBinding(request, want)
	answer := make([]byte, wire.MaxBindingResponseLen)
	n := wire.AnswerBinding(answer, request, netip.MustParseAddrPort("192.0.2.1:7"))
	if n == 0 {
		t.Fatalf("%x is no Binding request", request)
	}
	if got, ok := parseBinding(answer[:n]); !ok || got != want {
		t.Errorf("%+v, %v, want %+v", got, ok, want)
	}
	for _, p := range [][]byte{nil, request, answer[:n-1], append(answer[:n:n], 0)} {
		if got, ok := parseBinding(p); ok {
			t.Errorf("%x is the answer %+v", p, got)
		}
	}
}

func TestRunsAreMarked(t *testing.T) {
	first := firstRun()
	for _, run := range []uint32{first, nextRun(first), nextRun(mark<<24 | 0xffffff)} {
		if run>>24 != mark {
			t.Errorf("run %x", run)
		}
	}
	if nextRun(first) == first {
		t.Error("the next run is the same")
	}
	if k := wire.Classify([]byte{mark}); k == wire.STUN || k == wire.ChannelData {
		t.Errorf("a payload is taken for %v", k)
	}
}

func TestTallyOfBindings(t *testing.T) {
	r := new(receiver)
	tally := newTally(1, []flow{{receiver: r, binding: true}})
	tally.began = time.Second
	answer := func(s stamp) []byte {
		request, p := make([]byte, wire.HeaderLen), make([]byte, wire.MaxBindingResponseLen)
		putBinding(request, s)
		return p[:wire.AnswerBinding(p, request, netip.MustParseAddrPort("192.0.2.1:7"))]
	}
	tally.addBinding(r, answer(stamp{sent: 2 * time.Second}), 3*time.Second)
	tally.addBinding(r, answer(stamp{sent: 2 * time.Second}), 3*time.Second)                    // twice
	tally.addBinding(r, answer(stamp{sequence: 1, sent: time.Millisecond}), time.Second)        // of the run before
	tally.addBinding(r, answer(stamp{flow: 1, sent: 2 * time.Second}), time.Second)             // of no flow
	tally.addBinding(r, []byte("nonsense"), time.Second)                                        // of nobody
	tally.add(r, append([]byte{0, 0, 0, 1}, make([]byte, MinPayload)...), false, 3*time.Second) // was not asked for
	counts := [...]uint64{tally.delivered.Load(), tally.duplicate.Load(), tally.stray.Load()}
	if want := [...]uint64{1, 1, 3}; counts != want {
		t.Errorf("delivered, duplicate, stray are %v, want %v", counts, want)
	}
}
