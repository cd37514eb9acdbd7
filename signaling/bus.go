package signaling

import (
	"slices"
	"sync"
)

// EventKind is what an [Event] says.
type EventKind string

// The kinds of events.
const (
	EventJoin    EventKind = "join"
	EventLeave   EventKind = "leave"
	EventForward EventKind = "forward"
	EventLock    EventKind = "lock"
	EventUnlock  EventKind = "unlock"
	EventRemove  EventKind = "remove" // of all members of To's user
)

// Event is something that happened in a room. It can be encoded as JSON, for a bus that leaves the
// process. It is immutable once published, the bytes of Frame included.
type Event struct {
	Kind  EventKind    `json:"kind"`
	From  ClientID     `json:"from"`
	To    ClientID     `json:"to,omitempty"`    // of EventForward, where empty means all others, and EventRemove
	Name  string       `json:"name,omitempty"`  // of EventJoin
	User  string       `json:"user,omitempty"`  // of EventJoin
	May   Capabilities `json:"may"`             // of EventJoin
	Frame []byte       `json:"frame,omitempty"` // of EventForward: what its addressees are sent
}

// Bus carries the events of rooms between the hubs that serve them. Package bustest checks what is
// promised here. All methods may be called concurrently.
type Bus interface {
	// Subscribe calls handle with every event that is published for the room from now on, those of
	// this process included, one at a time. All subscribers of a room are given its events in the
	// same order, and one publisher's in the order of its calls. Handle must not block, nor call
	// the bus.
	//
	// Cancel ends the subscription; when it returns, handle is not running and will not be called
	// again. It must not be called from handle; calls after the first do nothing.
	Subscribe(room string, handle func(Event)) (cancel func(), err error)

	// Publish hands an event to the room's subscribers. An error means that none was given it.
	Publish(room string, event Event) error
}

// LocalBus is the [Bus] of one process. The zero value is ready for use. Publish returns when all
// subscribers have handled the event, so publishers of one room wait for each other, and never fails.
type LocalBus struct {
	mu    sync.Mutex // guards rooms
	rooms map[string]*localRoom
}

type localRoom struct {
	mu          sync.Mutex // held while handlers run; guards subscribers
	subscribers []*func(Event)
	users       int // subscriptions and publications under way; guarded by LocalBus.mu
}

// enter finds or makes a room and keeps it until the matching exit.
func (b *LocalBus) enter(name string) *localRoom {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rooms[name]
	if r == nil {
		if b.rooms == nil {
			b.rooms = map[string]*localRoom{}
		}
		r = &localRoom{}
		b.rooms[name] = r
	}
	r.users++
	return r
}

func (b *LocalBus) exit(name string, r *localRoom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(b.rooms, name)
	}
}

// Subscribe implements [Bus].
func (b *LocalBus) Subscribe(room string, handle func(Event)) (cancel func(), err error) {
	r := b.enter(room)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribers = append(r.subscribers, &handle)
	return sync.OnceFunc(func() {
		defer b.exit(room, r)
		r.remove(&handle)
	}), nil
}

func (r *localRoom) remove(handle *func(Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribers = slices.DeleteFunc(r.subscribers, func(s *func(Event)) bool { return s == handle })
}

// Publish implements [Bus].
func (b *LocalBus) Publish(room string, event Event) error {
	r := b.enter(room)
	defer b.exit(room, r)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, handle := range r.subscribers {
		(*handle)(event)
	}
	return nil
}
