package signaling

import (
	"context"

	"github.com/coder/websocket"
)

// act does what a message asks for.
func (p *peer) act(m Message) *Refusal {
	s := p.seat.Load()
	switch m.Type {
	case TypeJoin, TypeResume:
		if s != nil {
			return refuse(ReasonAlreadyJoined, "This socket has joined a room already; open another one for another room.")
		}
		if m.Type == TypeJoin {
			return p.join(m.Join)
		}
		return p.resume(m.Resume)
	case TypeLeave:
		p.end(ending{code: websocket.StatusNormalClosure})
		return nil
	}
	if s == nil {
		return refuse(ReasonNotJoined, "The first message must be join or resume.")
	}
	switch m.Type {
	case TypeQuality:
		return p.report(s, m)
	case TypeLock, TypeUnlock, TypeRemove:
		return s.moderate(m)
	}
	if m.SendsMedia && !s.member.Capabilities.Publish {
		return refuse(ReasonPublishDenied, "This token lets its user receive only: make every audio and video section recvonly or inactive.")
	}
	return s.publish(Event{Kind: EventForward, From: s.id, To: m.Target, Frame: m.forward(s.id)})
}

func (s *seat) publish(e Event) *Refusal {
	if err := s.hub.bus.Publish(s.room.key, e); err != nil {
		s.hub.log.Error("cannot publish to a room", "error", err)
		return refuse(ReasonInternal, "The room cannot be reached at the moment.")
	}
	return nil
}

// moderate locks, unlocks or removes, where the member may.
func (s *seat) moderate(m Message) *Refusal {
	if !s.member.Capabilities.Moderate {
		return refuse(ReasonNotModerator, "This token does not let its user moderate.")
	}
	if m.Type == TypeRemove {
		return s.hub.remove(s.room, s.id, m.Target)
	}
	kind := EventLock
	if m.Type == TypeUnlock {
		kind = EventUnlock
	}
	return s.publish(Event{Kind: kind, From: s.id})
}

// report takes a report of the connection to another member.
func (p *peer) report(s *seat, m Message) *Refusal {
	if !p.reports.Allow() {
		return refuse(ReasonManyReports, "This report was not looked at: every ten seconds is often enough.")
	}
	if _, _, known := s.room.userOf(m.Target, s.id); !known {
		return refuseTarget()
	}
	report := s.report(m.Target, m.Quality)
	if p.hub.config.Report != nil {
		p.hub.config.Report(report)
	}
	return nil
}

// join asks for leave to enter, and enters. The room answers with welcome or refuse.
func (p *peer) join(j Join) *Refusal {
	h := p.hub
	if !h.addresses.join(p.network) {
		return refuseJoins()
	}
	member, ok := p.authorize(j)
	if !ok {
		return refuse(ReasonUnauthorized, "There is no such room, or it is not open to this token.")
	}
	s := newSeat(p, member, j)
	p.place = s
	if refusal := h.enter(s); refusal != nil {
		return refusal
	}
	refusal := s.publish(Event{Kind: EventJoin, From: s.id, Name: member.Name, User: member.User, May: member.Capabilities})
	if refusal != nil {
		h.exit(s.room, s)
		return refusal
	}
	// Only now, so that the leave that this allows for cannot overtake the join.
	p.seat.Store(s)
	if s.hasEntered() {
		h.log.Info("member joined", "tenant", member.Tenant, "room", member.Room, "client", string(s.id))
	}
	return nil
}

func refuseJoins() *Refusal {
	return refuse(ReasonTooManyJoins, "This address joins rooms too often; try again in a few seconds.")
}

// resume takes a seat over whose socket was lost. Only what is refused counts as a join of the address,
// so that nobody behind it can take what another needs to come back.
func (p *peer) resume(r Resume) *Refusal {
	h := p.hub
	p.request = nil
	s, refusal := h.seat(r.ClientID), refuseUnknownSeat()
	if s != nil {
		refusal = s.resume(p, r)
	}
	if refusal != nil && !h.addresses.join(p.network) {
		return refuseJoins()
	}
	if refusal != nil {
		return refusal
	}
	h.counters.resumed.Add(1)
	h.log.Info("member resumed", "tenant", s.member.Tenant, "room", s.member.Room, "client", string(s.id))
	return nil
}

func (p *peer) authorize(j Join) (Member, bool) {
	ctx, cancel := context.WithCancel(p.request.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	member, err := p.hub.config.Authorize(p.request.WithContext(ctx), j)
	p.request = nil
	if err != nil {
		return Member{}, false
	}
	if member.User == "" {
		member.User = string(p.id)
	}
	if member.Room == "" {
		member.Room = j.RoomID
	}
	if member.Name == "" {
		member.Name = j.Name
	}
	return member, true
}
