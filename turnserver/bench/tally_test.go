package bench

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	tests := []struct {
		name    string
		numbers []uint64
		want    []order
	}{
		{"in order", []uint64{0, 1, 2}, []order{fresh, fresh, fresh}},
		{"with loss", []uint64{0, 5, 6}, []order{fresh, fresh, fresh}},
		{"overtaken", []uint64{1, 0, 2}, []order{fresh, late, fresh}},
		{"twice", []uint64{0, 0, 1, 0, 1}, []order{fresh, seen, fresh, seen, seen}},
		{"overtaken and twice", []uint64{3, 1, 1, 2, 1}, []order{fresh, late, seen, late, seen}},
		{"the oldest remembered", []uint64{0, 63, 0, 1}, []order{fresh, fresh, seen, late}},
		{"older than remembered", []uint64{0, 64, 0}, []order{fresh, fresh, late}},
		{"far ahead", []uint64{0, 1 << 40, 1 << 40, 1<<40 - 1}, []order{fresh, fresh, seen, late}},
	}
	for _, test := range tests {
		var w window
		for i, n := range test.numbers {
			if got := w.see(n); got != test.want[i] {
				t.Errorf("%s: %d, as number %d, is %v, want %v", test.name, n, i, got, test.want[i])
			}
		}
	}
}

func TestTally(t *testing.T) {
	right, wrong := new(receiver), new(receiver)
	tally := newTally(7, []flow{{receiver: wrong}, {receiver: right}})
	arrive := func(s stamp) {
		p := make([]byte, 100)
		s.put(p)
		tally.add(right, p, false, 5*time.Millisecond)
	}
	arrive(stamp{run: 7, flow: 1, sequence: 0, sent: time.Millisecond})
	arrive(stamp{run: 7, flow: 1, sequence: 2})
	arrive(stamp{run: 7, flow: 1, sequence: 1})
	arrive(stamp{run: 7, flow: 1, sequence: 1})
	arrive(stamp{run: 6, flow: 1, sequence: 3})                      // of the run before
	arrive(stamp{run: 7, flow: 0, sequence: 3})                      // meant for another
	arrive(stamp{run: 7, flow: 2, sequence: 3})                      // of no flow
	tally.add(right, make([]byte, MinPayload-1), false, time.Second) // of nobody
	tally.add(right, nil, false, time.Second)                        // likewise
	counts := [...]uint64{tally.delivered.Load(), tally.reordered.Load(), tally.duplicate.Load(), tally.stray.Load()}
	if want := [...]uint64{3, 1, 1, 4}; counts != want {
		t.Errorf("delivered, reordered, duplicate, stray are %v, want %v", counts, want)
	}
	if tally.delay.Count() != 3 {
		t.Errorf("%d delays of 3 packets delivered", tally.delay.Count())
	}
	if got := tally.delay.Quantile(0).Round(100 * time.Microsecond); got != 4*time.Millisecond {
		t.Errorf("the shortest delay is %v", got)
	}
}

// What is parsed is what was put, and touches nothing else.
func FuzzStamp(f *testing.F) {
	f.Add(make([]byte, MinPayload-1))
	f.Add([]byte("0123456789abcdef0123456789"))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, ok := parseStamp(p)
		if ok != (len(p) >= MinPayload) {
			t.Fatalf("%d bytes: ok is %v", len(p), ok)
		}
		if !ok {
			return
		}
		again := append([]byte(nil), p...)
		clear(again[:MinPayload])
		s.put(again)
		if string(again) != string(p) {
			t.Fatalf("%x became %x", p, again)
		}
	})
}
