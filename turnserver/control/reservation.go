package control

import (
	"io"
	"time"

	"hairpin/turnserver/relay"
)

// reservationToken names a port that is held for a later allocation (RFC 8656 §18.9).
type reservationToken [8]byte

// reservation is a port held for the user who has the token.
type reservation struct {
	timer   timer
	token   reservationToken
	user    string
	address relay.Address
	port    claim
	until   time.Time
}

// reserveLocked holds a port and returns the token for it.
func (s *Server) reserveLocked(q *request, address relay.Address, port claim) *reservationToken {
	r := &reservation{user: q.user, address: address, port: port, until: q.now.Add(reservationTime)}
	_, _ = io.ReadFull(s.config.Random, r.token[:]) // crypto/rand never fails
	r.timer.owner = r
	s.reservations[r.token] = r
	s.reserved[r.user]++
	s.wheel.schedule(&r.timer, r.until)
	return &r.token
}

// reservationLocked returns the user's reservation of that token if it lasts, or nil.
func (s *Server) reservationLocked(token reservationToken, user string, now time.Time) *reservation {
	if r := s.reservations[token]; r != nil && r.user == user && now.Before(r.until) {
		return r
	}
	return nil
}

// redeemLocked ends a reservation; its port passes to the caller.
func (s *Server) redeemLocked(token reservationToken) (uint16, bool) {
	r := s.reservations[token]
	if r == nil {
		return 0, false
	}
	s.wheel.cancel(&r.timer)
	s.forgetReservationLocked(r)
	return r.port.port, true
}

// unreserveLocked gives back what was reserved for an allocation that came to nothing.
// Token may be nil.
func (s *Server) unreserveLocked(token *reservationToken, now time.Time) {
	if token == nil {
		return
	}
	r := s.reservations[*token]
	s.wheel.cancel(&r.timer)
	s.lapseLocked(r, now)
}

// lapseLocked ends a reservation that nobody redeemed.
func (s *Server) lapseLocked(r *reservation, now time.Time) {
	s.forgetReservationLocked(r)
	r.port.release(now)
}

func (s *Server) forgetReservationLocked(r *reservation) {
	delete(s.reservations, r.token)
	countDown(s.reserved, r.user)
}

// countDown decrements a count and forgets it at zero.
func countDown[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}
