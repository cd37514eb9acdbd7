package control

import "time"

// maxRevoked bounds how many users are remembered as revoked. Beyond that, the one whose credentials
// expire first is forgotten.
const maxRevoked = 1 << 16

// Revoke ends a user's allocations and reservations, and refuses its credentials that expire no later
// than until, as long as there can be any. Credentials that expire later are good: to let the user in
// again, issue one.
func (s *Server) Revoke(now time.Time, user string, until time.Time) {
	s.mu.Lock()
	defer s.unlock()
	if s.revoked == nil {
		s.revoked = make(map[string]time.Time)
	}
	if _, known := s.revoked[user]; !known && len(s.revoked) >= maxRevoked {
		s.forgetRevokedLocked(now)
	}
	if until.After(s.revoked[user]) {
		s.revoked[user] = until
	}
	for _, a := range s.allocations {
		if a.user == user {
			s.endLocked(a, now, EndRevoked)
		}
	}
	for _, r := range s.reservations {
		if r.user == user {
			s.lapseLocked(r, now)
		}
	}
}

// forgetRevokedLocked forgets the users who have no credentials left, and one in any case.
func (s *Server) forgetRevokedLocked(now time.Time) {
	first := ""
	for user, until := range s.revoked {
		if now.After(until) {
			delete(s.revoked, user)
		} else if first == "" || until.Before(s.revoked[first]) {
			first = user
		}
	}
	if len(s.revoked) >= maxRevoked {
		delete(s.revoked, first)
	}
}

// checkRevokedLocked refuses a proven user whose credential was revoked, as if it had proven nothing.
func (q *request) checkRevokedLocked() Reason {
	until, revoked := q.server.revoked[q.user]
	if !revoked || q.expires.After(until) {
		return None
	}
	q.key, q.user = nil, ""
	return q.challenge(codeUnauthenticated, Revoked)
}
