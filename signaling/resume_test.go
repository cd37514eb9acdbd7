package signaling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// survivor is a client that counts what it gets, to resume.
type survivor struct {
	*client
	secret   string
	received int
}

// enterToStay joins a room so that the membership can be resumed.
func (s *server) enterToStay(room string) *survivor {
	s.t.Helper()
	c := &survivor{client: s.dial()}
	c.send(`{"type":"join","roomId":` + quote(room) + `,"resume":true}`)
	m := c.message("room-users")
	c.id = m["clientId"].(string)
	resume := m["resume"].(map[string]any)
	c.secret = resume["secret"].(string)
	if grace := resume["graceSeconds"]; grace != s.hub.limits.Grace.Seconds() {
		s.t.Errorf("the grace time is %v", grace)
	}
	return c
}

// counted is the next message, which counts.
func (c *survivor) counted(kind string) map[string]any {
	c.t.Helper()
	m := c.message(kind)
	c.received++
	return m
}

// lose drops the connection, and waits until the server knows.
func (c *survivor) lose(s *server) {
	c.t.Helper()
	away := s.hub.Stats().Away
	_ = c.conn.CloseNow()
	awaitStats(c.t, s.hub, func(n Stats) bool { return n.Away == away+1 })
}

func (c *survivor) request(room string) string {
	return fmt.Sprintf(`{"type":"resume","roomId":%q,"clientId":%q,"secret":%q,"received":%d}`, room, c.id, c.secret, c.received)
}

// resume opens another socket and resumes. It returns the server's count.
func (c *survivor) resume(s *server, room string) float64 {
	c.t.Helper()
	before := c.secret
	fresh := s.dial()
	fresh.id = c.id
	c.client = fresh
	c.send(c.request(room))
	m := c.message("resumed")
	if m["clientId"] != c.id || m["secret"] == before || m["secret"] == "" {
		c.t.Errorf("resumed as %v", m)
	}
	c.secret = m["secret"].(string)
	return m["received"].(float64)
}

func (c *survivor) candidate(i int) string {
	return fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":%d}}`, i)
}

// Nothing that was sent to a member is lost or comes twice, and the others are not told.
func TestResume(t *testing.T) {
	s := start(t, func(c *Config) { c.ICEServers = testICE })
	a := s.enterToStay("r")
	a.counted("ice-servers")
	b := s.enter("r")
	b.message("ice-servers")
	a.counted("user-joined")
	for i := range 3 {
		b.send(a.candidate(i))
		a.counted("candidate")
	}
	a.send(`{"type":"candidate","candidate":null}`)
	b.message("candidate")
	a.received-- // as if the last one had been lost with the socket
	a.lose(s)
	for i := 3; i < 6; i++ {
		b.send(a.candidate(i))
	}
	b.send(`{"type":"nothing"}`) // once refused, all before has been forwarded
	b.refused(ReasonUnknownType)

	if n := a.resume(s, "r"); n != 1 {
		t.Errorf("the server took %v messages, want 1", n)
	}
	for i := 2; i < 6; i++ {
		if m := a.counted("candidate"); m["candidate"].(map[string]any)["sdpMLineIndex"] != float64(i) {
			t.Fatalf("candidate %d came as %v", i, m)
		}
	}
	a.counted("ice-servers")
	ping(a.client, b)
	ping(b, a.client)
	a.received++
	if n := s.hub.Stats(); n.Members != 2 || n.Away != 0 || n.Resumed != 1 {
		t.Errorf("stats %+v", n)
	}

	// And again, with the new secret.
	a.lose(s)
	if n := a.resume(s, "r"); n != 2 {
		t.Errorf("the server took %v messages, want 2", n)
	}
	a.counted("ice-servers")
	a.send(`{"type":"leave"}`)
	b.want(`{"type":"user-left","clientId":"` + a.id + `"}`)
}

// A socket that still seems open is replaced.
func TestResumeReplaces(t *testing.T) {
	s := start(t, nil)
	a, b := s.enterToStay("r"), s.enter("r")
	a.counted("user-joined")
	old := a.client
	a.resume(s, "r")
	old.refused(ReasonReplaced)
	old.closed(CloseConflict)
	ping(a.client, b)
	ping(b, a.client)
	if n := s.hub.Stats(); n.Members != 2 || n.Away != 0 {
		t.Errorf("stats %+v", n)
	}
}

func TestResumeRefused(t *testing.T) {
	s := start(t, nil)
	a, b := s.enterToStay("r"), s.enter("r")
	a.counted("user-joined")
	plain := s.enter("elsewhere")
	a.lose(s)
	refused := func(what, text string, reason Reason, code int) {
		t.Helper()
		c := s.dial()
		c.send(text)
		if m := c.message("error"); m["reason"] != string(reason) {
			t.Errorf("%s: got %v, want %s", what, m, reason)
		}
		c.closed(code)
	}
	right := a.request("r")
	wrong := func(old, replacement string) string { return strings.Replace(right, old, replacement, 1) }
	refused("a wrong secret", wrong(a.secret, "x"+a.secret), ReasonResumeDenied, CloseUnauthorized)
	refused("another room", wrong(`"r"`, `"elsewhere"`), ReasonResumeUnknown, CloseNotFound)
	refused("nobody", wrong(a.id, "nobody"), ReasonResumeUnknown, CloseNotFound)
	refused("who did not ask for it", wrong(a.id, plain.id), ReasonResumeUnknown, CloseNotFound)
	refused("no secret", wrong(a.secret, ""), ReasonBadMessage, CloseBadRequest)
	refused("no count", wrong(`"received":1`, `"received":-1`), ReasonBadMessage, CloseBadRequest)
	if n := s.hub.Stats().Away; n != 1 {
		t.Fatalf("%d members are away, want 1: a stranger must not end a membership", n)
	}
	refused("what was never sent", wrong(`"received":1`, `"received":2`), ReasonResumeMissed, CloseGone)
	b.want(`{"type":"user-left","clientId":"` + a.id + `"}`)
	refused("too late", right, ReasonResumeUnknown, CloseNotFound)
}

// The answer to a resumption may be what is lost next: until something is heard, the secret before is good.
func TestResumeTwiceWithOneSecret(t *testing.T) {
	s := start(t, nil)
	a, b := s.enterToStay("r"), s.enter("r")
	a.counted("user-joined")
	first := a.secret
	a.lose(s)
	a.resume(s, "r")
	a.secret = first
	a.resume(s, "r")
	ping(a.client, b)
	a.secret = first
	c := s.dial()
	c.send(a.request("r"))
	c.refused(ReasonResumeDenied)
	c.closed(CloseUnauthorized)
	ping(b, a.client)
}

// The late answer to a ping on a socket that was replaced says nothing of the new socket.
func TestLatePongKeepsTheSecretBefore(t *testing.T) {
	s := start(t, nil)
	a := s.enterToStay("r")
	seat := s.hub.seat(ClientID(a.id))
	seat.mu.Lock()
	old := seat.peer
	seat.mu.Unlock()
	first := a.secret
	a.resume(s, "r")
	seat.arrived(old, 0)
	a.secret = first
	a.resume(s, "r")
}

func TestTooMuchIsMissed(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.HeldMessages = 4 })
	a, b := s.enterToStay("r"), s.enter("r")
	a.counted("user-joined")
	a.lose(s)
	for i := range 5 {
		b.send(a.candidate(i))
	}
	b.send(`{"type":"nothing"}`) // once refused, all before has been forwarded
	b.refused(ReasonUnknownType)
	c := s.dial()
	c.send(a.request("r"))
	c.refused(ReasonResumeMissed)
	c.closed(CloseGone)
	b.want(`{"type":"user-left","clientId":"` + a.id + `"}`)
}

// The others are told once the grace time is over; a member that says goodbye is not waited for.
func TestGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, nil)
		b := s.dial()
		b.join("r")
		a := s.enterToStay("r")
		b.message("user-joined")
		began := time.Now()
		_ = a.conn.CloseNow()
		b.want(`{"type":"user-left","clientId":"` + a.id + `"}`)
		if d := time.Since(began); d != 20*time.Second {
			t.Errorf("told after %v, want 20 s", d)
		}
		for _, code := range []websocket.StatusCode{websocket.StatusNormalClosure, websocket.StatusGoingAway} {
			a = s.enterToStay("r")
			b.message("user-joined")
			began = time.Now()
			_ = a.conn.Close(code, "")
			b.want(`{"type":"user-left","clientId":"` + a.id + `"}`)
			if d := time.Since(began); d != 0 {
				t.Errorf("code %d: told after %v, want at once", code, d)
			}
		}
	})
}

// SEC-55: who does not answer pings is waited for like who was cut off; nobody is without the grace time.
func TestHalfOpenSocketIsAway(t *testing.T) {
	for _, grace := range []time.Duration{20 * time.Second, 0} {
		synctest.Test(t, func(t *testing.T) {
			s := startInMemory(t, func(c *Config) { c.Limits.Grace = grace })
			b := s.dial()
			b.join("r")
			began := time.Now()
			dead, in := s.handshake()
			_, _ = dead.Write(frame(0x81, `{"type":"join","roomId":"r","resume":true}`))
			go func() { _, _ = in.ReadBytes(0x89) }()
			id := b.message("user-joined")["clientId"].(string)
			b.want(`{"type":"user-left","clientId":"` + id + `"}`)
			if d := time.Since(began); d != 30*time.Second+grace {
				t.Errorf("told after %v, want %v", d, 30*time.Second+grace)
			}
		})
	}
}

// What was sent before a ping that was answered is not kept any longer.
func TestAnsweredPingEmptiesTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, nil)
		a := s.enterToStay("r")
		b := s.dial()
		b.join("r")
		a.counted("user-joined")
		seat := s.hub.seat(ClientID(a.id))
		kept := func() int {
			seat.mu.Lock()
			defer seat.mu.Unlock()
			return len(seat.sent.frames)
		}
		if n := kept(); n != 1 {
			t.Errorf("%d frames are kept, want 1", n)
		}
		time.Sleep(21 * time.Second) // of the bubble's time
		if n := kept(); n != 0 {
			t.Errorf("%d frames are kept after a ping, want none", n)
		}
	})
}

// SEC-55: members that are away have their share of an address too.
func TestAwayPerAddress(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.SocketsPerAddress = 3 })
	var all []*survivor
	for range 3 {
		all = append(all, s.enterToStay("r"))
	}
	for _, c := range all {
		c.lose(s)
	}
	late := s.enterToStay("r")
	_ = late.conn.CloseNow()
	awaitStats(t, s.hub, func(n Stats) bool { return n.Members == 3 && n.Sockets == 0 })
}

func TestShutdownEndsWhoIsAway(t *testing.T) {
	s := start(t, nil)
	a := s.enterToStay("r")
	a.lose(s)
	s.shutdown() // checks that nothing is left
}

func TestJournal(t *testing.T) {
	j := journal{most: 3, mostBytes: 10}
	texts := func(n uint64) string {
		frames, ok := j.from(n)
		return fmt.Sprint(ok, " ", strings.Join(strings.Fields(fmt.Sprintf("%s", frames)), " "))
	}
	for _, text := range []string{"a", "b", "c", "d"} {
		j.add([]byte(text))
	}
	for n, want := range []string{"false []", "true [b c d]", "true [c d]", "true [d]", "true []", "false []"} {
		if got := texts(uint64(n)); got != want {
			t.Errorf("from %d: %s, want %s", n, got, want)
		}
	}
	j.add([]byte("123456789"))
	if got := texts(3); got != "true [d 123456789]" {
		t.Errorf("10 bytes fit: %s", got)
	}
	j.add([]byte("1234567890+"))
	if j.bytes != 0 || len(j.frames) != 0 || j.next() != 6 {
		t.Errorf("a frame over the bound leaves %+v", j)
	}
	j.add([]byte("x"))
	j.forget(100)
	if j.first != 7 || j.bytes != 0 {
		t.Errorf("forgotten beyond the end: %+v", j)
	}
}

// Sockets come and go at once, of many members who all resume; each gets everything, once and in order.
func TestResumeUnderLoad(t *testing.T) {
	const rounds = 20
	s := start(t, func(c *Config) { c.Limits.JoinRate, c.Limits.JoinBurst = 1e6, 1e6 })
	b := s.enter("r")
	var got []int
	a := s.enterToStay("r")
	b.message("user-joined")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds * 5 {
			if b.sendRaw(websocket.MessageText, []byte(a.candidate(i))) != nil {
				return
			}
		}
	}()
	for len(got) < rounds*5 {
		r := a.next()
		if r.err != nil {
			t.Fatal(r.err)
		}
		got = append(got, int(r.message["candidate"].(map[string]any)["sdpMLineIndex"].(float64)))
		a.received++
		if len(got)%5 == 0 && len(got) < rounds*5 {
			if len(got)%2 == 0 {
				_ = a.conn.CloseNow()
			}
			a.resume(s, "r")
		}
	}
	<-done
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != rounds*5 {
		t.Errorf("got %v", got)
	}
}
