package control

import (
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// answer remembers that a Refresh ended a five-tuple's allocation, so that its
// retransmission is answered alike. The client has proven who it is to get one.
type answer struct {
	timer timer
	tuple relay.FiveTuple
	txid  [stun.TransactionIDSize]byte
	user  string
}

// lookup returns the allocation of the request's five-tuple, or nil. One whose
// lifetime is over is ended on the spot, and so is one of a connection that this one
// has replaced before its end was noticed.
func (q *request) lookup() *allocation {
	a := q.server.allocations[q.from.FiveTuple]
	switch {
	case a == nil:
		return nil
	case !q.now.Before(a.Expires()):
		q.server.endLocked(a, q.now, EndExpired)
		return nil
	case a.Path().Frames != q.from.Path.Frames:
		q.server.endLocked(a, q.now, EndClientGone)
		return nil
	}
	return a
}

// own returns the allocation of the request's five-tuple if the request's user made
// it, and answers 437 or 441 otherwise (RFC 8656 §5).
func (q *request) own() (*allocation, Reason) {
	a := q.lookup()
	switch {
	case a == nil:
		return nil, q.fail(codeAllocationMismatch, NoAllocation)
	case a.user != q.user:
		return nil, q.fail(codeWrongCredentials, OtherUser)
	}
	return a, None
}

// refresh answers a Refresh request (RFC 8656 §8.2).
func (q *request) refresh() Reason {
	if q.answeredBefore() {
		q.succeed()
		q.addLifetime(0)
		return None
	}
	a, refusal := q.own()
	if refusal != None {
		return refusal
	}
	if family, ok := q.attribute(stun.AttrRequestedAddressFamily); ok {
		switch {
		case len(family) != 4:
			return q.fail(codeBadRequest, BadRequest)
		case family[0] != familyOf(a.Relayed.Addr()):
			return q.fail(codeFamilyMismatch, FamilyMismatch)
		}
	}
	lifetime, ok := q.lifetime()
	if !ok {
		return q.fail(codeBadRequest, BadRequest)
	}
	if q.ends() {
		q.server.endLocked(a, q.now, EndRefresh)
		q.server.rememberLocked(q)
		lifetime = 0
	} else {
		lifetime = q.server.prolongLocked(a, q, lifetime)
	}
	q.succeed()
	q.addLifetime(lifetime)
	return None
}

// ends reports whether the request asks for a lifetime of zero.
func (q *request) ends() bool {
	value, ok := q.attribute(stun.AttrLifetime)
	return ok && [4]byte(value) == [4]byte{}
}

// answeredBefore reports whether this is a retransmission of the Refresh that ended
// the five-tuple's last allocation. A new allocation there stays untouched.
func (q *request) answeredBefore() bool {
	before := q.server.answered[q.from.FiveTuple]
	return before != nil && before.txid == q.TransactionID && before.user == q.user
}

// rememberLocked keeps the request's transaction for retransmissions, within bounds.
func (s *Server) rememberLocked(q *request) {
	k := &answer{tuple: q.from.FiveTuple, txid: q.TransactionID, user: q.user}
	if before := s.answered[k.tuple]; before != nil {
		s.wheel.cancel(&before.timer)
	} else if len(s.answered) >= answeredMax {
		return
	}
	k.timer.owner = k
	s.answered[k.tuple] = k
	s.wheel.schedule(&k.timer, q.now.Add(answeredTime))
}

// prolongLocked moves the end of an allocation and returns its new lifetime. A newer
// credential of the same user counts from now on.
func (s *Server) prolongLocked(a *allocation, q *request, lifetime time.Duration) time.Duration {
	if q.expires.After(a.credEnd) {
		a.credEnd = q.expires
	}
	lifetime = s.granted(a, q.now, lifetime)
	end := q.now.Add(lifetime)
	a.SetExpires(end)
	s.wheel.schedule(&a.timer, end)
	return lifetime
}
