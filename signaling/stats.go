package signaling

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of a hub's numbers. The keys of the maps are always all [Types] and all
// [Reasons]; clients cannot add any.
type Stats struct {
	Rooms   int
	Members int // those away included
	Away    int // members whose socket was lost and who may come back
	Sockets int // of members, and of those who have not joined yet

	Messages map[Type]uint64   // taken from clients since the start, acted on or not
	Refusals map[Reason]uint64 // since the start
	Resumed  uint64            // memberships resumed since the start
}

// MemberInfo is what is to be known of a member.
type MemberInfo struct {
	ID           ClientID
	Name         string
	User         string
	Since        time.Time
	Away         bool // its socket was lost, and it may come back
	Capabilities Capabilities
	Quality      map[ClientID]Quality // of its connections to others, as it last reported them
}

// RoomInfo is what is to be known of a room. Members are those that this process serves.
type RoomInfo struct {
	Tenant, Name string
	Locked       bool
	Capacity     int
	Members      []MemberInfo // in the order of their joins
}

// counters are safe for concurrent use; the maps are never changed.
type counters struct {
	members  atomic.Int64
	away     atomic.Int64
	resumed  atomic.Uint64
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
		Away:     int(c.away.Load()),
		Resumed:  c.resumed.Load(),
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
