package control

import (
	"net/netip"
	"time"

	"hairpin/turnserver/relay"
)

// EventKind is what happened to an allocation.
type EventKind uint8

// What happens to allocations.
const (
	Allocated EventKind = iota
	Ended
)

// End is why an allocation ended. The codes are stable.
type End string

// Why allocations end.
const (
	EndExpired    End = "expired"     // its lifetime passed without a refresh
	EndRefresh    End = "refresh"     // the client gave it back
	EndRevoked    End = "revoked"     // its user's credentials were taken back
	EndClientGone End = "client-gone" // the client's connection ended
	EndShutdown   End = "shutdown"    // the server stops
)

// Event tells of an allocation that was made or has ended.
type Event struct {
	Kind EventKind
	At   time.Time

	relay.FiveTuple
	Path    relay.Path // the way back to the client
	Relayed netip.AddrPort
	User    string

	// Of an allocation that has ended:
	End              End
	Age              time.Duration
	ToPeer, ToClient relay.Counts
}

// eventLocked notes an event, to be told once Server.mu is released.
func (s *Server) eventLocked(a *allocation, e Event) {
	if s.config.Observe == nil {
		return
	}
	e.FiveTuple, e.Path, e.Relayed, e.User = a.FiveTuple, a.Path(), a.Relayed, a.user
	s.events = append(s.events, e)
}

// unlock releases Server.mu and tells of what has happened. Whoever finds nobody
// telling tells everything, so that events come in order and one at a time.
func (s *Server) unlock() {
	for !s.telling && len(s.events) > 0 {
		events := s.events
		s.events, s.telling = nil, true
		s.mu.Unlock()
		for _, e := range events {
			s.config.Observe(e)
		}
		s.mu.Lock()
		s.telling = false
	}
	s.mu.Unlock()
}

// endLocked ends an allocation: every path out comes through here, once.
func (s *Server) endLocked(a *allocation, now time.Time, why End) {
	s.wheel.cancel(&a.timer)
	delete(s.allocations, a.FiveTuple)
	countDown(s.users, a.user)
	countDown(s.addresses, quotaAddress(a.Client.Addr()))
	a.Close()
	a.port.release(now)
	s.eventLocked(a, Event{
		Kind: Ended, At: now, End: why, Age: now.Sub(a.made),
		ToPeer: a.Counts(relay.ToPeer), ToClient: a.Counts(relay.ToClient),
	})
}

// Tick ends what has lapsed by now. It is to be called every second or so; being late
// gives memory, ports and quota back late, and has no other effect.
func (s *Server) Tick(now time.Time) {
	s.mu.Lock()
	defer s.unlock()
	s.wheel.advance(now, func(t *timer) {
		switch o := t.owner.(type) {
		case *allocation:
			s.endLocked(o, now, EndExpired)
		case *reservation:
			s.lapseLocked(o, now)
		case *answer:
			delete(s.answered, o.tuple)
		}
	})
}

// ClientGone ends the allocation of a client whose connection has ended. That of a
// newer connection from the same address stays: from says which connection it was.
func (s *Server) ClientGone(now time.Time, from *From) {
	s.mu.Lock()
	defer s.unlock()
	if a := s.allocations[from.FiveTuple]; a != nil && a.Path() == from.Path {
		s.endLocked(a, now, EndClientGone)
	}
}

// Close ends every allocation and reservation.
func (s *Server) Close(now time.Time) {
	s.mu.Lock()
	defer s.unlock()
	for _, a := range s.allocations {
		s.endLocked(a, now, EndShutdown)
	}
	for _, r := range s.reservations {
		s.lapseLocked(r, now)
	}
}
