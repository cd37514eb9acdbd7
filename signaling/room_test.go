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
		o, ok := s.peers[id].outbox.take()
		if !ok {
			return frames
		}
		frames = append(frames, string(o.frame))
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

// Four senders and more can fill an outbox: then it is its reader who is slow.
func TestSlowReaderIsEndedAlone(t *testing.T) {
	for name, frame := range map[string]string{
		"by number": "x",
		"by bytes":  string(make([]byte, 40<<10)), // six of them are a share before 64 the number
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 16)
			senders := []ClientID{"A", "B", "C", "D", "E"}
			for _, id := range append(senders, "slow") {
				s.local(id)
				s.apply(join(id))
			}
			for range 100 {
				for _, id := range senders {
					s.apply(forward(id, "", frame))
				}
				for _, id := range senders {
					s.sent(id)
				}
			}
			slow, limits := s.peers["slow"], s.hub.limits
			if r := slow.last.refusal; r == nil || r.Reason != ReasonSlowReader {
				t.Fatalf("who never reads got %v", r)
			}
			if o := slow.outbox; o.bytes > outboxShares*limits.OutboxBytes || len(o.waiting) > outboxShares*limits.OutboxMessages {
				t.Errorf("%d frames and %d bytes wait", len(o.waiting), o.bytes)
			}
			s.apply(leave("slow"))
			s.want("C", `{"type":"user-left","clientId":"slow"}`)
			for _, id := range senders {
				if s.peers[id].hasEnded() {
					t.Error("a member who reads was ended too")
				}
			}
		})
	}
}

const memberBehind = `{"type":"error","reason":"member-behind","message":"A member has yet to read what you sent before, and does not get this message."}`

// However much one member sends, it costs nobody a socket or a message of others; who reads gets all of it.
func TestFlooderFillsItsShareOnly(t *testing.T) {
	s := newScene(t, 16)
	for _, id := range []ClientID{"flooder", "slow", "C"} {
		s.local(id)
		s.apply(join(id))
	}
	for id := range s.peers {
		s.sent(id)
	}
	share := s.hub.limits.OutboxMessages
	for i := range 10 * share {
		s.apply(forward("flooder", "", fmt.Sprint(i)))
		s.want("C", fmt.Sprint(i))
		if i < share {
			s.want("flooder")
		} else {
			s.want("flooder", memberBehind)
		}
	}
	s.apply(forward("C", "slow", "from C"), forward("flooder", "slow", "more"), forward("flooder", "C", "to C"))
	s.want("flooder", memberBehind)
	s.want("C", "to C")
	got := s.sent("slow")
	for i := range share {
		if got[i] != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got[i])
		}
	}
	if rest := got[share:]; !slices.Equal(rest, []string{"from C"}) {
		t.Errorf("after the flood, the slow one got %q", rest)
	}
	s.apply(forward("flooder", "slow", "again"))
	s.want("slow", "again")
	for id, p := range s.peers {
		if p.hasEnded() {
			t.Errorf("%s was ended: %+v", id, p.last)
		}
	}
}

// A user with many sockets, or one socket after the other, has one share.
func TestUserHasOneShare(t *testing.T) {
	s := newScene(t, 16)
	s.local("slow")
	s.apply(join("slow"))
	s.sent("slow")
	for i := range 20 {
		id := ClientID(fmt.Sprint("socket-", i))
		s.local(id)
		s.apply(Event{Kind: EventJoin, From: id, User: "eve"})
		for range 10 {
			s.apply(forward(id, "slow", "x"))
		}
		s.apply(leave(id))
	}
	n := 0
	for _, frame := range s.sent("slow") {
		if frame == "x" {
			n++
		}
	}
	if p := s.peers["slow"]; p.hasEnded() || n != s.hub.limits.OutboxMessages {
		t.Errorf("%d messages came through; the socket has ended: %v", n, p.hasEnded())
	}
}

// What is refused to a member is not counted as sent to it, or it could not resume.
func TestRefusedFramesAreNotInTheJournal(t *testing.T) {
	s := newScene(t, 16)
	for _, id := range []ClientID{"A", "slow"} {
		s.local(id)
		s.apply(join(id))
	}
	seat := s.peers["slow"].place
	seat.sent.most, seat.sent.mostBytes = 1000, 1<<20
	for range 100 {
		s.apply(forward("A", "slow", "x"))
	}
	if n := seat.sent.next(); n != uint64(s.hub.limits.OutboxMessages) {
		t.Errorf("the journal has %d frames", n)
	}
}

// A burst waits for writers who have too much of it to do, a little; not for what others sent.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, 16)
		for _, id := range []ClientID{"A", "B", "C"} {
			s.local(id)
			s.apply(join(id))
		}
		a := s.peers["A"]
		a.seat.Store(a.place)
		takes := func(what string, want time.Duration) {
			t.Helper()
			began := time.Now()
			a.pause()
			if d := time.Since(began); d != want {
				t.Errorf("%s: paused for %v, want %v", what, d, want)
			}
		}
		press := func(from ClientID) {
			for range s.hub.limits.OutboxMessages/2 + 1 {
				s.apply(forward(from, "B", "x"))
			}
		}
		takes("nothing to do", messageSpacing)
		press("C")
		takes("a writer lags with what another sent", messageSpacing)
		press("A")
		takes("a writer lags", longestHold)
		takes("it still lags", messageSpacing)
		s.sent("B")
		press("A")
		time.AfterFunc(9*time.Millisecond, func() { s.sent("B") })
		takes("a writer lags and catches up", 10*time.Millisecond)
		press("A")
		a.end(ending{})
		takes("the socket has ended", 0)
	})
}
