package signaling

import (
	"crypto/rand"
	"crypto/subtle"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A member may resume so often, beyond which its address pays with joins: each time costs more than a message.
const (
	resumeRate  = 0.5 // a second
	resumeBurst = 5
)

// seat is a membership: a member's place in its room. Where the client asked for that, it outlives its
// socket, so that another one can resume it.
//
// Both ends count what they got from the other since the join. A resuming client says its count, and is
// sent what is beyond it. The seat keeps what it sent since the last ping that was answered; what was
// sent before has arrived.
type seat struct {
	hub    *Hub
	id     ClientID
	member Member
	roomID string // as the client calls the room
	room   *room
	keeps  bool // the client asked to be able to resume
	since  time.Time

	// acting is held while a message of the client is acted on, so that those of a new socket come
	// after those of the old one.
	acting sync.Mutex

	mu       sync.Mutex // guards all below
	peer     *peer      // nil while the member is away
	entered  bool       // the room has let it in
	ended    bool
	removed  bool         // by a moderator: it is not resumed any more, and ends
	network  netip.Prefix // of the newest socket
	grace    *time.Timer  // runs while the member is away
	secret   Secret       // for the next resumption
	previous Secret       // good too, until something is heard from who should have the newer one
	resumes  *rate.Limiter
	sent     journal
	taken    uint64 // messages from the client since the join
	quality  map[ClientID]Quality
}

func newSeat(p *peer, member Member, j Join) *seat {
	s := &seat{hub: p.hub, id: p.id, member: member, roomID: j.RoomID, since: time.Now(), network: p.network, peer: p}
	l := p.hub.limits
	if s.keeps = j.Resume && l.Grace > 0; s.keeps {
		s.sent.most, s.sent.mostBytes = l.HeldMessages, l.HeldBytes
		s.secret = Secret(rand.Text())
		s.resumes = rate.NewLimiter(resumeRate, resumeBurst)
	}
	return s
}

// welcome makes the seat's peer a member. The room calls it once.
func (s *seat) welcome(users roomUsers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered = true
	if s.keeps {
		users.Resume = resumptionWith(s.secret, s.hub.limits.Grace)
	}
	if s.peer != nil {
		s.peer.welcome(users.frame())
	}
}

// refuse tells the client of a refusal, if it is there. It never blocks.
func (s *seat) refuse(r *Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer != nil {
		s.peer.refuse(r)
	}
}

// send sends a frame of the server now or, to a member that is away, when it is back. It never blocks.
func (s *seat) send(frame []byte) { s.forward("", frame) }

// forward does the same with a frame of a sender, and reports whether the member is to get it: no, where
// the sender's share of the outbox is full.
func (s *seat) forward(sender string, frame []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer != nil && !s.peer.send(outgoing{frame: frame, sender: sender, counts: true}) {
		return false
	}
	s.sent.add(frame)
	return true
}

// remove ends the membership because a moderator said so.
func (s *seat) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = true
	if s.peer != nil {
		s.peer.refuse(refuseRemoved())
	} else if s.grace != nil {
		s.grace.Reset(0)
	}
}

func refuseRemoved() *Refusal {
	return refuse(ReasonRemoved, "A moderator removed you from the room.")
}

// arrived notes that all frames before number n have reached the client, and that it answers on p. A late
// answer on a socket that was replaced says nothing of the new one.
func (s *seat) arrived(p *peer, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.forget(n)
	if s.peer == p {
		s.previous = ""
	}
}

// take counts a message of a client. It reports false where another socket has taken the seat over: the
// client sends the message again there.
func (s *seat) take(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer != p {
		return false
	}
	s.taken++
	s.previous = ""
	return true
}

// holds reports whether a sender should wait for the writer of the member's socket.
func (s *seat) holds(sender string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer != nil && s.peer.outbox.holds(sender, now)
}

// resume makes p the seat's socket, in place of whichever it has. It sends what the client missed.
func (s *seat) resume(p *peer, r Resume) *Refusal {
	s.acting.Lock()
	defer s.acting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended || !s.entered || !s.keeps || s.roomID != r.RoomID:
		return refuseUnknownSeat()
	case !equal(s.secret, r.Secret) && (s.previous == "" || !equal(s.previous, r.Secret)):
		return refuse(ReasonResumeDenied, "That is not the newest secret of this member; join anew.")
	}
	switch {
	case s.removed:
		return refuseRemoved()
	case !s.resumes.Allow() && !s.hub.addresses.join(p.network):
		return refuseJoins()
	}
	missed, ok := s.sent.from(r.Received)
	if !ok {
		s.leaveSoonLocked()
		return refuse(ReasonResumeMissed, "More messages were missed than are kept; join anew.")
	}
	s.replaceLocked(p)
	s.previous, s.secret = r.Secret, Secret(rand.Text())
	p.resumed(s, missed, resumedFrame(s.id, resumptionWith(s.secret, s.hub.limits.Grace), s.taken))
	return nil
}

func refuseUnknownSeat() *Refusal {
	return refuse(ReasonResumeUnknown, "No such member is waited for in this room; join anew.")
}

func equal(a, b Secret) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// leaveSoonLocked gives up a member that cannot resume.
func (s *seat) leaveSoonLocked() {
	if s.peer != nil {
		s.peer.refuse(refuse(ReasonReplaced, "The member gave this socket up."))
	} else {
		s.grace.Reset(0)
	}
}

// replaceLocked ends the wait for a socket, or the socket that still seems open.
func (s *seat) replaceLocked(p *peer) {
	if s.peer != nil {
		s.peer.refuse(refuse(ReasonReplaced, "The member resumed on another socket."))
	} else {
		s.grace.Stop()
		s.hub.backFrom(s)
	}
	s.peer, s.network = p, p.network
}

// lose parts the seat from a socket. It reports whether that socket's end leaves the membership as it
// is: because another socket has it, or because one may come.
func (s *seat) lose(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.peer != p:
		return true
	case !p.last.lost || !s.keeps || !s.entered || s.removed || !s.hub.waitFor(s):
		s.peer, s.ended = nil, true
		return false
	}
	s.peer = nil
	s.grace = time.AfterFunc(s.hub.limits.Grace, s.expire)
	return true
}

// expire ends the membership of who did not come back.
func (s *seat) expire() {
	s.mu.Lock()
	over := s.peer == nil && !s.ended
	s.ended = s.ended || over
	s.mu.Unlock()
	if over {
		s.hub.backFrom(s)
		s.leave("gone")
	}
}

// leave tells the room that the membership has ended. It is called once, by who set ended.
func (s *seat) leave(why string) {
	r, h := s.room, s.hub
	left := Event{Kind: EventLeave, From: s.id}
	if err := h.bus.Publish(r.key, left); err != nil {
		h.log.Error("cannot tell other hubs that a member left", "error", err)
		r.apply(left)
	}
	h.exit(r, s)
	if s.hasEntered() {
		h.log.Info("member left", "tenant", s.member.Tenant, "room", s.member.Room, "client", string(s.id), "why", why)
	}
}

func (s *seat) hasEntered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entered
}

// report keeps a report of a connection to another member, and returns what statistics make of it.
func (s *seat) report(to ClientID, q Quality) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quality == nil {
		s.quality = map[ClientID]Quality{}
	}
	before := s.quality[to]
	s.quality[to] = q.keep(before)
	return q.reportSince(before)
}

// forgetQuality drops the report of a connection to a member that has left.
func (s *seat) forgetQuality(to ClientID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.quality, to)
}

func (s *seat) info() MemberInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return MemberInfo{
		ID: s.id, Name: s.member.Name, User: s.member.User, Since: s.since, Away: s.peer == nil,
		Capabilities: s.member.Capabilities, Quality: maps.Clone(s.quality),
	}
}
