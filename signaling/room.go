package signaling

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A room is logged so often as locked or unlocked.
const (
	lockLogRate  = 0.1 // a second
	lockLogBurst = 4
)

// room applies the events of one room, in the order in which the bus delivers them. It knows all
// members, and the seats of those that this process serves.
type room struct {
	hub          *Hub
	key          string // on the bus
	tenant, name string
	seats        int // that use the room; guarded by Hub.mu

	open   sync.Once // subscribes
	cancel func()    // set by open
	failed error     // set by open

	lockLogs *rate.Limiter

	mu      sync.Mutex // guards all below
	local   map[ClientID]*seat
	members []member // in the order of their joins
	locked  bool
}

type member struct {
	id   ClientID
	name string
	user string
	may  Capabilities
	seat *seat // nil where another process serves it
}

// sender is whose share of an outbox the member's messages take.
func (m member) sender() string {
	if m.user == "" {
		return string(m.id)
	}
	return m.user
}

func newRoom(h *Hub, tenant, name string) *room {
	return &room{
		hub: h, key: roomKey(tenant, name), tenant: tenant, name: name, local: map[ClientID]*seat{},
		lockLogs: rate.NewLimiter(lockLogRate, lockLogBurst),
	}
}

// roomKey names a room on the bus. No room's name has a NUL, so that no tenant gets at another's rooms.
func roomKey(tenant, name string) string {
	if tenant == "" {
		return name
	}
	return tenant + "\x00" + name
}

// subscribe makes the room hear its events; all but the first call wait for the first.
func (r *room) subscribe(bus Bus) error {
	r.open.Do(func() { r.cancel, r.failed = bus.Subscribe(r.key, r.apply) })
	return r.failed
}

// expect prepares for the join event of a seat of this process.
func (r *room) expect(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.local[s.id] = s
}

// forget lets go of a seat that has left or was never let in.
func (r *room) forget(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.local, s.id)
}

// holds reports whether a member should wait for the writer of another.
func (r *room) holds(id ClientID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.indexLocked(id)
	if from < 0 {
		return false
	}
	sender := r.members[from].sender()
	return slices.ContainsFunc(r.members, func(m member) bool { return m.seat != nil && m.seat.holds(sender, now) })
}

// userOf returns the user of a member other than one, if there is such a member, and whether that one has
// the same user.
func (r *room) userOf(id, other ClientID) (user string, same, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.indexLocked(id)
	if i < 0 || id == other {
		return "", false, false
	}
	user = r.members[i].user
	j := r.indexLocked(other)
	return user, j >= 0 && r.members[j].user == user, true
}

// apply changes the room, and logs who locked or unlocked it, but not each time of who goes on doing so.
func (r *room) apply(e Event) {
	before, after := r.change(e)
	if before != after && e.Kind != EventLeave && r.lockLogs.Allow() {
		r.hub.log.Info("room "+string(e.Kind)+"ed", "tenant", r.tenant, "room", r.name, "client", string(e.From))
	}
}

// change never blocks: peers take frames into their outboxes, or are ended. It returns whether the room was
// locked, and whether it is.
func (r *room) change(e Event) (before, after bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.locked
	switch e.Kind {
	case EventJoin:
		r.joinLocked(e)
	case EventLeave:
		r.leaveLocked(e.From, "")
	case EventForward:
		r.forwardLocked(e)
	case EventLock, EventUnlock:
		r.lockLocked(e)
	case EventRemove:
		r.removeLocked(e)
	}
	return before, r.locked
}

func (r *room) joinLocked(e Event) {
	s := r.local[e.From]
	if refusal := r.closedLocked(e.User); refusal != nil {
		if s != nil {
			s.refuse(refusal)
		}
		return
	}
	users := roomUsers{
		Users: []ClientID{}, ClientID: e.From, Names: map[ClientID]string{},
		Capabilities: e.May.List(), Capacity: r.hub.limits.Members,
	}
	for _, m := range r.members {
		users.Users = append(users.Users, m.id)
		if m.name != "" {
			users.Names[m.id] = m.name
		}
	}
	r.sendLocked(userJoinedFrame(e.From, e.Name), e.From)
	r.members = append(r.members, member{id: e.From, name: e.Name, user: e.User, may: e.May, seat: s})
	if s != nil {
		r.hub.counters.members.Add(1)
		s.welcome(users)
	}
}

// closedLocked is why a user may not join now, if so. Removals are asked here, where events are in one
// order: no socket slips in while its user is being removed.
func (r *room) closedLocked(user string) *Refusal {
	switch {
	case r.hub.removals.has(r.key, user, time.Now()):
		return refuse(ReasonRemoved, "A moderator removed you from this room; you may come back later.")
	case r.locked:
		return refuse(ReasonRoomLocked, "A moderator has locked the room; ask somebody who is in it.")
	case len(r.members) >= r.hub.limits.Members:
		return refuse(ReasonRoomFull, "The room is full; try again when somebody has left.")
	}
	return nil
}

func (r *room) leaveLocked(id ClientID, why Reason) {
	i := r.indexLocked(id)
	if i < 0 {
		return
	}
	if r.members[i].seat != nil {
		r.hub.counters.members.Add(-1)
	}
	r.members = slices.Delete(r.members, i, i+1)
	for _, m := range r.members {
		if m.seat != nil {
			m.seat.forgetQuality(id)
		}
	}
	r.sendLocked(userLeftFrame(id, why), id)
	if r.locked && !slices.ContainsFunc(r.members, func(m member) bool { return m.may.Moderate }) {
		r.locked = false // or nobody could unlock it any more
		r.sendLocked(roomLockFrame(false, ""), "")
	}
}

func (r *room) forwardLocked(e Event) {
	from := r.indexLocked(e.From)
	if from < 0 {
		return
	}
	found, behind := e.To == "", false
	for i, m := range r.members {
		if i == from || e.To != "" && m.id != e.To {
			continue
		}
		found = true
		if m.seat != nil && !m.seat.forward(r.members[from].sender(), e.Frame) {
			behind = true
		}
	}
	switch s := r.members[from].seat; {
	case s == nil:
	case !found:
		s.refuse(refuseTarget())
	case behind:
		s.refuse(refuse(ReasonMemberBehind, "A member has yet to read what you sent before, and does not get this message."))
	}
}

func refuseTarget() *Refusal {
	return refuse(ReasonUnknownTarget, "No other member of this room has that id.")
}

func (r *room) lockLocked(e Event) {
	locked := e.Kind == EventLock
	if r.moderatesLocked(e.From) && r.locked != locked {
		r.locked = locked
		r.sendLocked(roomLockFrame(locked, e.From), "")
	}
}

func (r *room) moderatesLocked(id ClientID) bool {
	i := r.indexLocked(id)
	return i >= 0 && r.members[i].may.Moderate
}

// removeLocked removes all members of the target's user, because the next device would stand for the
// first; of the moderator's own user only the target.
func (r *room) removeLocked(e Event) {
	from, to := r.indexLocked(e.From), r.indexLocked(e.To)
	if !r.moderatesLocked(e.From) || to < 0 || to == from {
		return
	}
	user := r.members[to].user
	own := user == r.members[from].user
	if !own {
		r.hub.removals.add(r.key, user, time.Now().Add(r.hub.limits.RemovedFor))
	}
	for _, m := range slices.Clone(r.members) {
		if m.id != e.To && (own || m.user != user) {
			continue
		}
		r.leaveLocked(m.id, ReasonRemoved)
		if m.seat != nil {
			m.seat.remove()
		}
	}
}

// sendLocked sends to all members but one.
func (r *room) sendLocked(frame []byte, except ClientID) {
	for _, m := range r.members {
		if m.id != except && m.seat != nil {
			m.seat.send(frame)
		}
	}
}

func (r *room) indexLocked(id ClientID) int {
	return slices.IndexFunc(r.members, func(m member) bool { return m.id == id })
}

// info returns what is to be known of the room, and of the members that this process serves.
func (r *room) info() RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := RoomInfo{Tenant: r.tenant, Name: r.name, Locked: r.locked, Capacity: r.hub.limits.Members}
	for _, m := range r.members {
		if m.seat != nil {
			info.Members = append(info.Members, m.seat.info())
		}
	}
	return info
}
