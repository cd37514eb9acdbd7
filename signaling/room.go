package signaling

import (
	"slices"
	"sync"
	"time"
)

// room applies the events of one room, in the order in which the bus delivers them. It knows all
// members, and the peers of those that this process serves.
type room struct {
	key      string
	limit    int // of members
	counters *counters
	sockets  int // that use the room; guarded by Hub.mu

	open   sync.Once // subscribes
	cancel func()    // set by open
	failed error     // set by open

	mu      sync.Mutex // guards all below
	local   map[ClientID]*peer
	members []member // in the order of their joins
}

type member struct {
	id   ClientID
	peer *peer // nil where another process serves it
}

func newRoom(key string, limit int, c *counters) *room {
	return &room{key: key, limit: limit, counters: c, local: map[ClientID]*peer{}}
}

// subscribe makes the room hear its events; all but the first call wait for the first.
func (r *room) subscribe(bus Bus) error {
	r.open.Do(func() { r.cancel, r.failed = bus.Subscribe(r.key, r.apply) })
	return r.failed
}

// expect prepares for the join event of a peer of this process.
func (r *room) expect(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.local[p.id] = p
}

// forget lets go of a peer that has left or was never let in.
func (r *room) forget(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.local, p.id)
}

// isPressed reports whether a burst should wait for the writer of some member.
func (r *room) isPressed(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.members, func(m member) bool { return m.peer != nil && m.peer.isPressed(now) })
}

// apply never blocks: peers take frames into their outboxes, or are ended.
func (r *room) apply(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case EventJoin:
		r.joinLocked(e)
	case EventLeave:
		r.leaveLocked(e)
	case EventForward:
		r.forwardLocked(e)
	}
}

func (r *room) joinLocked(e Event) {
	p := r.local[e.From]
	if len(r.members) >= r.limit {
		if p != nil {
			p.refuse(refuse(ReasonRoomFull, "The room is full; try again when somebody has left."))
		}
		return
	}
	users := make([]ClientID, len(r.members))
	for i, m := range r.members {
		users[i] = m.id
	}
	r.sendLocked(userJoinedFrame(e.From, e.Name), e.From)
	r.members = append(r.members, member{id: e.From, peer: p})
	if p != nil {
		r.counters.members.Add(1)
		p.welcome(roomUsersFrame(users, e.From))
	}
}

func (r *room) leaveLocked(e Event) {
	i := r.indexLocked(e.From)
	if i < 0 {
		return
	}
	if r.members[i].peer != nil {
		r.counters.members.Add(-1)
	}
	r.members = slices.Delete(r.members, i, i+1)
	r.sendLocked(userLeftFrame(e.From), e.From)
}

func (r *room) forwardLocked(e Event) {
	from := r.indexLocked(e.From)
	if from < 0 {
		return
	}
	if e.To == "" {
		r.sendLocked(e.Frame, e.From)
		return
	}
	to := r.indexLocked(e.To)
	switch {
	case to >= 0 && to != from:
		if p := r.members[to].peer; p != nil {
			p.send(e.Frame)
		}
	case r.members[from].peer != nil:
		r.members[from].peer.refuse(refuse(ReasonUnknownTarget, "No other member of this room has that id."))
	}
}

// sendLocked sends to all members but one.
func (r *room) sendLocked(frame []byte, except ClientID) {
	for _, m := range r.members {
		if m.id != except && m.peer != nil {
			m.peer.send(frame)
		}
	}
}

func (r *room) indexLocked(id ClientID) int {
	return slices.IndexFunc(r.members, func(m member) bool { return m.id == id })
}
