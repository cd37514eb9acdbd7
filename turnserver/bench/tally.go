package bench

import (
	"sync/atomic"
	"time"
)

// tally is what has arrived of one run. Receivers add to it concurrently, each for
// flows of its own.
type tally struct {
	run      uint32
	flows    []arrivals
	bindings bool          // what is sent are Binding requests
	sink     *Sink         // takes payloads before the receivers; may be nil
	began    time.Duration // when the run began, since the fleet's epoch

	delivered, reordered, duplicate, stray atomic.Uint64

	last atomic.Int64 // when the last packet arrived, in nanoseconds since the fleet's epoch

	delay Histogram
}

func newTally(run uint32, flows []flow) *tally {
	t := &tally{run: run, flows: make([]arrivals, len(flows)), bindings: len(flows) > 0 && flows[0].binding}
	for i := range flows {
		t.flows[i].receiver, t.flows[i].framed = flows[i].receiver, flows[i].framed
	}
	return t
}

// arrivals returns how many packets have been delivered.
func (t *tally) arrivals() uint64 { return t.delivered.Load() + t.sink.dropped() }

// arrived notes when the last packet arrived. It does nothing between runs, when t is nil.
func (t *tally) arrived(now time.Duration) {
	if t != nil {
		t.last.Store(int64(now))
	}
}

// arrivals is what has arrived of one flow. Only its receiver touches it.
type arrivals struct {
	receiver *receiver
	framed   bool // as ChannelData
	window   window
}

// add counts a payload that a receiver got at a time, as ChannelData if it is framed. What belongs to another run, as a
// packet may that was long under way, is not counted.
func (t *tally) add(r *receiver, payload []byte, framed bool, now time.Duration) {
	s, ok := parseStamp(payload)
	if ok && s.run != t.run {
		return
	}
	t.see(r, s, ok && !t.bindings, framed, now)
}

// addBinding counts a STUN message that a receiver got at a time. What was sent before
// this run began is not counted.
func (t *tally) addBinding(r *receiver, p []byte, now time.Duration) {
	s, ok := parseBinding(p)
	if ok && s.sent < t.began {
		return
	}
	t.see(r, s, ok, false, now)
}

// see counts a packet of this run, or a stray one.
func (t *tally) see(r *receiver, s stamp, ok, framed bool, now time.Duration) {
	if !ok || int(s.flow) >= len(t.flows) || t.flows[s.flow].receiver != r || t.flows[s.flow].framed != framed {
		t.stray.Add(1)
		return
	}
	switch t.flows[s.flow].window.see(s.sequence) {
	case late:
		t.reordered.Add(1)
	case seen:
		t.duplicate.Add(1)
		return
	}
	t.delivered.Add(1)
	t.delay.Record(now - s.sent)
}

// window tells duplicates from late packets among the last 64 sequence numbers. Older
// ones count as late: a network that holds a packet back for so long is rarer than one
// that duplicates it, but loss must not be invented.
type window struct {
	next uint64 // the highest number seen, and one
	mask uint64 // bit i is set if next-1-i was seen
}

// order is where a sequence number is in its flow.
type order uint8

const (
	fresh order = iota // higher than all before
	late               // overtaken by others
	seen               // a duplicate
)

func (w *window) see(n uint64) order {
	if n >= w.next {
		w.mask = w.mask<<(n-w.next+1) | 1
		w.next = n + 1
		return fresh
	}
	bit := uint64(1) << (w.next - 1 - n)
	if w.mask&bit != 0 {
		return seen
	}
	w.mask |= bit
	return late
}
