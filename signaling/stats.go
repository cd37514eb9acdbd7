package signaling

import "sync/atomic"

// Stats is a snapshot of a hub's numbers. The keys of the maps are always all [Types] and all
// [Reasons]; clients cannot add any.
type Stats struct {
	Rooms   int
	Members int
	Sockets int // members, and those who have not joined yet

	Messages map[Type]uint64   // taken from clients since the start, acted on or not
	Refusals map[Reason]uint64 // since the start
}

// counters are safe for concurrent use; the maps are never changed.
type counters struct {
	members  atomic.Int64
	messages map[Type]*atomic.Uint64
	refusals map[Reason]*atomic.Uint64
}

func newCounters() *counters {
	c := &counters{messages: map[Type]*atomic.Uint64{}, refusals: map[Reason]*atomic.Uint64{}}
	for _, t := range Types() {
		c.messages[t] = new(atomic.Uint64)
	}
	for _, r := range Reasons() {
		c.refusals[r] = new(atomic.Uint64)
	}
	return c
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Members:  int(c.members.Load()),
		Messages: make(map[Type]uint64, len(c.messages)),
		Refusals: make(map[Reason]uint64, len(c.refusals)),
	}
	for t, n := range c.messages {
		s.Messages[t] = n.Load()
	}
	for r, n := range c.refusals {
		s.Refusals[r] = n.Load()
	}
	return s
}
