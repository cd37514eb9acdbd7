package signaling

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// scene is a room with peers that have no sockets.
type scene struct {
	t     *testing.T
	hub   *Hub
	room  *room
	peers map[ClientID]*peer
}

func newScene(t *testing.T, members int) *scene {
	limits := DefaultLimits()
	limits.Members = members
	hub, err := NewHub(Config{Limits: limits, Authorize: everybody})
	if err != nil {
		t.Fatal(err)
	}
	return &scene{t: t, hub: hub, room: newRoom(hub, "", "r"), peers: map[ClientID]*peer{}}
}

// local makes a peer of this process, which has yet to join.
func (s *scene) local(id ClientID) {
	p := newPeer(s.hub, httptest.NewRequest("GET", "/", nil))
	p.id = id
	s.peers[id] = p
	seat := newSeat(p, Member{}, Join{})
	seat.room = s.room
	p.place = seat
	s.room.expect(seat)
}

func (s *scene) apply(events ...Event) {
	for _, e := range events {
		s.room.apply(e)
	}
}

// sent takes what waits in a peer's outbox.
func (s *scene) sent(id ClientID) []string {
	var frames []string
	for {
		select {
		case f := <-s.peers[id].outbox:
			s.peers[id].queued.Add(-int64(len(f.frame)))
			frames = append(frames, string(f.frame))
		default:
			return frames
		}
	}
}

func (s *scene) want(id ClientID, frames ...string) {
	s.t.Helper()
	if got := s.sent(id); !slices.Equal(got, frames) {
		s.t.Errorf("%s was sent %q, want %q", id, got, frames)
	}
}

// users is the answer to a join of who may do nothing but receive.
func users(s *scene, ids, own, names string) string {
	return fmt.Sprintf(`{"type":"room-users","users":%s,"clientId":%q,"names":%s,"capabilities":[],"locked":false,"capacity":%d}`,
		ids, own, names, s.hub.limits.Members)
}

func join(id ClientID) Event  { return Event{Kind: EventJoin, From: id} }
func leave(id ClientID) Event { return Event{Kind: EventLeave, From: id} }
func forward(from, to ClientID, text string) Event {
	return Event{Kind: EventForward, From: from, To: to, Frame: []byte(text)}
}

func TestRoomJoinAndLeave(t *testing.T) {
	s := newScene(t, 16)
	s.local("A")
	s.local("B")
	s.apply(join("A"))
	s.want("A", users(s, `[]`, "A", `{}`))
	s.apply(Event{Kind: EventJoin, From: "B", Name: "Bo"})
	s.want("A", `{"type":"user-joined","clientId":"B","name":"Bo"}`)
	s.want("B", users(s, `["A"]`, "B", `{}`))
	s.apply(leave("A"), leave("A"))
	s.want("B", `{"type":"user-left","clientId":"A"}`)
	s.want("A")
	if n := s.hub.Stats().Members; n != 1 {
		t.Errorf("%d members, want 1", n)
	}
}

func TestRoomForwards(t *testing.T) {
	s := newScene(t, 16)
	for _, id := range []ClientID{"A", "B", "C"} {
		s.local(id)
		s.apply(join(id))
	}
	for id := range s.peers {
		s.sent(id)
	}
	s.apply(forward("A", "C", "1"), forward("A", "", "2"), forward("C", "A", "3"))
	s.want("A", "3")
	s.want("B", "2")
	s.want("C", "1", "2")

	const unknown = `{"type":"error","reason":"unknown-target","message":"No other member of this room has that id."}`
	s.apply(forward("A", "X", "x"), forward("A", "A", "x"))
	s.want("A", unknown, unknown)
	s.apply(leave("A"), forward("A", "B", "late"))
	s.want("B", `{"type":"user-left","clientId":"A"}`)
}

// Members of other processes are counted and addressed like ours; their frames are left to their hubs.
func TestRoomWithMembersElsewhere(t *testing.T) {
	s := newScene(t, 3)
	s.local("A")
	s.local("D")
	s.apply(join("far"), join("A"))
	s.want("A", users(s, `["far"]`, "A", `{}`))
	s.apply(forward("A", "far", "1"), forward("far", "A", "2"), forward("far", "", "3"), forward("far", "nobody", "4"))
	s.want("A", "2", "3")
	s.apply(join("near"), join("D"))
	if s.peers["D"].last.refusal.Reason != ReasonRoomFull {
		t.Errorf("D got %+v", s.peers["D"].last)
	}
	s.sent("A")
	s.apply(leave("far"))
	s.want("A", `{"type":"user-left","clientId":"far"}`)
	if n := s.hub.Stats().Members; n != 1 {
		t.Errorf("%d members of this process, want 1", n)
	}
}

func TestRoomIsFull(t *testing.T) {
	s := newScene(t, 2)
	for _, id := range []ClientID{"A", "B", "C"} {
		s.local(id)
		s.apply(join(id))
	}
	s.want("A", users(s, `[]`, "A", `{}`), `{"type":"user-joined","clientId":"B"}`)
	s.want("C")
	if r := s.peers["C"].last.refusal; r == nil || r.Reason != ReasonRoomFull {
		t.Errorf("the third of two got %v", r)
	}
	s.apply(leave("C"), forward("C", "", "x"), leave("B"))
	s.want("A", `{"type":"user-left","clientId":"B"}`)
}

func TestSlowReaderIsEndedAlone(t *testing.T) {
	for name, frame := range map[string]string{
		"by number": "x",
		"by bytes":  string(make([]byte, 40<<10)), // 27 of them pass the bytes before 64 the number
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 16)
			for _, id := range []ClientID{"A", "slow", "C"} {
				s.local(id)
				s.apply(join(id))
			}
			for range 100 {
				s.apply(forward("A", "", frame))
				s.sent("C")
			}
			slow, limits := s.peers["slow"], s.hub.limits
			if r := slow.last.refusal; r == nil || r.Reason != ReasonSlowReader {
				t.Fatalf("who never reads got %v", r)
			}
			if n := slow.queued.Load(); n > int64(limits.OutboxBytes) || len(slow.outbox) > limits.OutboxMessages {
				t.Errorf("%d frames and %d bytes wait", len(slow.outbox), n)
			}
			s.apply(leave("slow"))
			s.want("C", `{"type":"user-left","clientId":"slow"}`)
			if s.peers["C"].hasEnded() || s.peers["A"].hasEnded() {
				t.Error("a member who reads was ended too")
			}
		})
	}
}

// A burst waits for writers who have too much to do, a little; not for one that is stuck.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 16)
		for _, id := range []ClientID{"A", "B"} {
			s.local(id)
			s.apply(join(id))
		}
		a, b := s.peers["A"], s.peers["B"]
		a.seat.Store(a.place)
		takes := func(what string, want time.Duration) {
			t.Helper()
			began := time.Now()
			a.pause()
			if d := time.Since(began); d != want {
				t.Errorf("%s: paused for %v, want %v", what, d, want)
			}
		}
		takes("nothing to do", messageSpacing)
		for len(b.outbox) <= cap(b.outbox)/2 {
			s.apply(forward("A", "B", "x"))
		}
		takes("a writer lags", longestPause+messageSpacing)
		time.AfterFunc(9*time.Millisecond, func() { s.sent("B") })
		takes("a writer lags and catches up", 10*time.Millisecond)
		for len(b.outbox) <= cap(b.outbox)/2 {
			s.apply(forward("A", "B", "x"))
		}
		b.wrote.Store(time.Now().UnixNano())
		takes("a write gets stuck", stuckAfter)
		a.end(ending{})
		takes("the socket has ended", 0)
	})
}
