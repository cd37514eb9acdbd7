package signaling

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// byToken lets tokens say who somebody is and what he may do: "alice publish moderate".
func byToken(_ *http.Request, j Join) (Member, error) {
	words := strings.Fields(string(j.Token) + " .")
	m := Member{User: words[0]}
	for _, word := range words {
		m.Capabilities.Publish = m.Capabilities.Publish || word == "publish"
		m.Capabilities.Moderate = m.Capabilities.Moderate || word == "moderate"
	}
	return m, nil
}

// enterAs joins with a token of byToken.
func (s *server) enterAs(room, token string) *client {
	s.t.Helper()
	c := s.dial()
	c.send(`{"type":"join","roomId":` + quote(room) + `,"token":` + quote(token) + `}`)
	c.id = c.message("room-users")["clientId"].(string)
	return c
}

func (s *server) refusedAs(room, token string, reason Reason, code int) {
	s.t.Helper()
	c := s.dial()
	c.send(`{"type":"join","roomId":` + quote(room) + `,"token":` + quote(token) + `}`)
	c.refused(reason)
	c.closed(code)
}

func TestJoinerIsToldOfTheRoom(t *testing.T) {
	s := start(t, func(c *Config) { c.Authorize = byToken })
	a := s.dial()
	a.send(`{"type":"join","roomId":"r","token":"alice publish moderate","name":"Ali <b>"}`)
	a.id = a.message("room-users")["clientId"].(string)
	s.enterAs("r", "bob")
	a.message("user-joined")
	a.send(`{"type":"lock"}`)
	a.want(`{"type":"room-locked","clientId":"` + a.id + `"}`)
	a.send(`{"type":"unlock"}`)
	a.message("room-unlocked")
	c := s.dial()
	c.send(`{"type":"join","roomId":"r","token":"carol publish"}`)
	m := c.message("room-users")
	if m["capacity"] != float64(s.hub.limits.Members) || m["locked"] != false || m["resume"] != nil ||
		m["capabilities"].([]any)[0] != "publish" || len(m["capabilities"].([]any)) != 1 {
		t.Errorf("got %v", m)
	}
	if names := m["names"].(map[string]any); len(names) != 1 || names[a.id] != "Ali <b>" {
		t.Errorf("names %v", names)
	}
}

func TestLock(t *testing.T) {
	s := start(t, func(c *Config) { c.Authorize = byToken })
	mod, other := s.enterAs("r", "mod moderate"), s.enterAs("r", "other")
	mod.message("user-joined")
	for _, text := range []string{`{"type":"lock"}`, `{"type":"unlock"}`, `{"type":"remove","targetClientId":"` + mod.id + `"}`} {
		other.send(text)
		other.refused(ReasonNotModerator)
	}
	mod.send(`{"type":"lock"}`)
	mod.send(`{"type":"lock"}`) // is locked already, so nobody is told
	mod.want(`{"type":"room-locked","clientId":"` + mod.id + `"}`)
	other.want(`{"type":"room-locked","clientId":"` + mod.id + `"}`)
	s.refusedAs("r", "late moderate", ReasonRoomLocked, CloseLocked)
	s.enterAs("another room", "late")
	mod.send(`{"type":"unlock"}`)
	mod.want(`{"type":"room-unlocked","clientId":"` + mod.id + `"}`)
	other.message("room-unlocked")
	s.enterAs("r", "late")
	other.message("user-joined")

	// A room that nobody could unlock any more is unlocked.
	mod.send(`{"type":"lock"}`)
	other.message("room-locked")
	mod.send(`{"type":"leave"}`)
	other.want(`{"type":"user-left","clientId":"` + mod.id + `"}`)
	other.want(`{"type":"room-unlocked"}`)
	s.enterAs("r", "later")
}

// A moderator who locks and unlocks in turn fills no log, and a lock that is one already is not logged.
func TestLockLog(t *testing.T) {
	var log syncBuffer
	s := start(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	mod := s.enter("r")
	for range 20 {
		mod.send(`{"type":"lock"}`)
		mod.message("room-locked")
		mod.send(`{"type":"lock"}`)
		mod.send(`{"type":"unlock"}`)
		mod.message("room-unlocked")
	}
	text := log.String()
	if n := strings.Count(text, "room locked") + strings.Count(text, "room unlocked"); n < lockLogBurst || n > lockLogBurst+2 {
		t.Errorf("%d times logged:\n%s", n, text)
	}
}

// SEC-57: a removed user gets no more credentials, what it holds is ended, and it does not come back soon.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []string
		s := startInMemory(t, func(c *Config) {
			c.Authorize, c.ICEServers = byToken, testICE
			c.Removed = func(m Member) { ended = append(ended, m.Room+"/"+m.User) }
		})
		enter := func(room, token string, others ...*client) *client {
			c := s.enterAs(room, token)
			c.message("ice-servers")
			for _, other := range others {
				other.message("user-joined")
			}
			return c
		}
		mod := enter("r", "mod moderate")
		other := enter("r", "other", mod)
		bad := enter("r", "bad publish", mod, other)
		twin := enter("r", "bad", mod, other, bad)
		elsewhere := enter("r2", "bad")
		for _, nobody := range []string{mod.id, elsewhere.id, "nobody"} {
			mod.send(`{"type":"remove","targetClientId":"` + nobody + `"}`)
			mod.refused(ReasonUnknownTarget)
		}
		mod.send(`{"type":"remove","targetClientId":"` + bad.id + `"}`)
		for _, c := range []*client{mod, other} {
			c.want(`{"type":"user-left","clientId":"` + bad.id + `","reason":"removed"}`)
			c.want(`{"type":"user-left","clientId":"` + twin.id + `","reason":"removed"}`)
		}
		bad.refused(ReasonRemoved)
		bad.closed(CloseForbidden)
		twin.closed(CloseForbidden)
		synctest.Wait()
		if len(ended) != 1 || ended[0] != "r/bad" {
			t.Errorf("removed: %v", ended)
		}
		s.refusedAs("r", "bad publish", ReasonRemoved, CloseForbidden)
		s.enterAs("r3", "bad")
		ping(mod, other)
		time.Sleep(10 * time.Minute)
		s.enterAs("r", "bad")
	})
}

// Who is away is removed like everybody else, and cannot resume.
func TestRemoveWhoIsAway(t *testing.T) {
	s := start(t, nil)
	mod, a := s.enter("r"), s.enterToStay("r")
	mod.message("user-joined")
	a.lose(s)
	mod.send(`{"type":"remove","targetClientId":"` + a.id + `"}`)
	mod.want(`{"type":"user-left","clientId":"` + a.id + `","reason":"removed"}`)
	awaitStats(t, s.hub, func(n Stats) bool { return n.Away == 0 })
	c := s.dial()
	c.send(a.request("r"))
	c.refused(ReasonResumeUnknown)
	c.closed(CloseNotFound)
}

// SEC-57: a member that is removed between the loss of its socket and the server's notice of that cannot
// resume either, and is not waited for.
func TestRemoveWhoseSocketIsJustLost(t *testing.T) {
	for _, away := range []bool{false, true} {
		hub := hubFor(t, nil)
		old, fresh := newPeer(hub, httptest.NewRequest("GET", "/", nil)), newPeer(hub, httptest.NewRequest("GET", "/", nil))
		for _, p := range []*peer{old, fresh} {
			if refusal := hub.addresses.open(p.network); refusal != nil {
				t.Fatal(refusal)
			}
		}
		if refusal := old.join(Join{RoomID: "r", Resume: true}); refusal != nil {
			t.Fatal(refusal)
		}
		s := old.place
		old.end(ending{lost: true})
		if away {
			s.lose(old)
		}
		s.remove()
		refusal := s.resume(fresh, Resume{RoomID: "r", ClientID: s.id, Secret: s.secret})
		if refusal == nil || refusal.Reason != ReasonRemoved && refusal.Reason != ReasonResumeUnknown {
			t.Errorf("away %v: a removed member resumes: %v", away, refusal)
		}
		old.leave()
		awaitStats(t, hub, func(n Stats) bool { return n.Away == 0 && n.Members == 0 && n.Rooms == 0 })
	}
}

// Who joins while its user is being removed is not let in: the room itself remembers.
func TestRemovalIsAskedByTheRoom(t *testing.T) {
	s := start(t, func(c *Config) { c.Authorize = byToken })
	mod, bad := s.enterAs("r", "mod moderate"), s.enterAs("r", "bad")
	mod.message("user-joined")
	mod.send(`{"type":"remove","targetClientId":"` + bad.id + `"}`)
	mod.message("user-left")
	r := s.hub.allRooms()[0]
	r.apply(Event{Kind: EventJoin, From: "late", User: "bad"})
	if _, _, known := r.userOf("late", ""); known {
		t.Error("a join that passed its checks before the removal is let in after it")
	}
}

// A moderator that removes another device of its own loses nothing else.
func TestRemoveOwnDevice(t *testing.T) {
	var ended atomic.Int32
	s := start(t, func(c *Config) {
		c.Authorize = byToken
		c.Removed = func(Member) { ended.Add(1) }
	})
	mod, second, third := s.enterAs("r", "mod moderate"), s.enterAs("r", "mod"), s.enterAs("r", "mod")
	for _, c := range []*client{mod, mod, second} {
		c.message("user-joined")
	}
	mod.send(`{"type":"remove","targetClientId":"` + second.id + `"}`)
	mod.want(`{"type":"user-left","clientId":"` + second.id + `","reason":"removed"}`)
	third.message("user-left")
	second.refused(ReasonRemoved)
	second.closed(CloseForbidden)
	ping(mod, third)
	s.enterAs("r", "mod")
	mod.message("user-joined")
	mod.send(`{"type":"remove","targetClientId":"nobody"}`) // once refused, the removal is over
	mod.refused(ReasonUnknownTarget)
	if n := ended.Load(); n != 0 {
		t.Errorf("the moderator's own relays were ended %d times", n)
	}
}

// A member that may not publish receives, and talks over data channels.
func TestPublish(t *testing.T) {
	s := start(t, func(c *Config) { c.Authorize = byToken })
	talker, listener := s.enterAs("r", "a publish"), s.enterAs("r", "b")
	talker.message("user-joined")
	offer := offerTo("", sdpFile(t, "chromium-av-offer"))
	talker.send(offer)
	listener.message("offer")
	listener.send(offer)
	listener.refused(ReasonPublishDenied)
	listener.send(strings.ReplaceAll(offer, "a=sendrecv", "a=recvonly"))
	talker.message("offer")
	listener.send(offerTo("", sdpFile(t, "chromium-data-offer")))
	talker.message("offer")
	ping(listener, talker)
}

func TestSendsMedia(t *testing.T) {
	const session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	const transport = "a=ice-ufrag:jjBN\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n" +
		"a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n"
	const video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + transport
	for text, want := range map[string]bool{
		session:                                                                      false,
		session + video:                                                              true,
		session + video + "a=sendrecv\r\n":                                           true,
		session + video + "a=sendonly\r\n":                                           true,
		session + video + "a=recvonly\r\n":                                           false,
		session + video + "a=inactive\r\n":                                           false,
		session + "a=recvonly\r\n" + video:                                           true,
		session + video + "a=recvonly\r\na=sendrecv\r\n":                             true,
		session + video + "a=sendrecv\r\na=recvonly\r\n":                             true,
		session + video + "a=recvonly\r\na=recvonly\r\n":                             true,
		session + video + "a=recvonly:x\r\n":                                         true,
		session + video + "a=RECVONLY\r\n":                                           true,
		session + "a=recvonly\r\n" + video + "a=sendonly\r\n":                        true,
		session + video + "a=recvonly\r\n" + video:                                   true,
		session + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n":                               false,
		session + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + transport: false,
	} {
		sends, refusal := checkSDP(text, 48<<10)
		if refusal != nil || sends != want {
			t.Errorf("sends %v (%v), want %v:\n%s", sends, refusal, want, text)
		}
	}
}

func TestRemovalsAreBounded(t *testing.T) {
	var r removals
	now := time.Now()
	for i := range maxRemovals + 10 {
		r.add("r", string(rune('0'+i)), now.Add(time.Duration(i)*time.Second))
	}
	if len(r.until) != maxRemovals {
		t.Errorf("%d removals are remembered", len(r.until))
	}
	if r.has("r", "0", now) || !r.has("r", string(rune('0'+maxRemovals)), now) {
		t.Error("the wrong removals were dropped")
	}
	if r.has("r", string(rune('0'+20)), now.Add(time.Minute)) || len(r.until) != maxRemovals-1 {
		t.Error("a removal outlives its time")
	}
}

// Rooms of one name and two tenants are two, whatever the names are.
func TestTenants(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Authorize = func(_ *http.Request, j Join) (Member, error) { return Member{Tenant: string(j.Token)}, nil }
	})
	a, b := s.enterAs("r", "one"), s.enterAs("r", "two")
	s.enterAs("one/r", "")
	s.enterAs("r", "")
	rooms := s.hub.Rooms()
	if len(rooms) != 4 {
		t.Fatalf("rooms %+v", rooms)
	}
	if r := rooms[2]; r.Tenant != "one" || r.Name != "r" || len(r.Members) != 1 || string(r.Members[0].ID) != a.id {
		t.Errorf("got %+v", r)
	}
	b.send(`{"type":"candidate","candidate":null,"targetClientId":"` + a.id + `"}`)
	b.refused(ReasonUnknownTarget)
	b.send(`{"type":"leave"}`)
	b.closed(int(websocket.StatusNormalClosure))
}
