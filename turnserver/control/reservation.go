package control

import (
	"io"
	"time"
)

// reservationToken names a port that is held for a later allocation (RFC 8656 §18.9).
type reservationToken [8]byte

// reservation is a relay socket held for the user who has the token.
type reservation struct {
	opened
	timer timer
	token reservationToken
	user  string
	until time.Time
}

// reserveLocked holds a socket and returns the token for it.
func (s *Server) reserveLocked(q *request, o opened) *reservationToken {
	r := &reservation{opened: o, user: q.user, until: q.now.Add(reservationTime)}
	_, _ = io.ReadFull(s.config.Random, r.token[:]) // crypto/rand never fails
	r.timer.owner = r
	s.reservations[r.token] = r
	s.reserved[r.user]++
	s.wheel.schedule(&r.timer, r.until)
	return &r.token
}

// redeemLocked ends the user's reservation of that token, if it lasts; its socket
// passes to the caller.
func (s *Server) redeemLocked(token reservationToken, user string, now time.Time) (opened, bool) {
	r := s.reservations[token]
	if r == nil || r.user != user || !now.Before(r.until) {
		return opened{}, false
	}
	s.forgetReservationLocked(r)
	return r.opened, true
}

// lapseLocked ends a reservation that nobody redeemed.
func (s *Server) lapseLocked(r *reservation, now time.Time) {
	s.forgetReservationLocked(r)
	r.giveUp(now)
}

func (s *Server) forgetReservationLocked(r *reservation) {
	s.wheel.cancel(&r.timer)
	delete(s.reservations, r.token)
	countDown(s.reserved, r.user)
}

// countDown decrements a count and forgets it at zero.
func countDown[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}
