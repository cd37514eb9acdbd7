package signaling

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

func TestOutbox(t *testing.T) {
	limits := DefaultLimits()
	limits.OutboxMessages, limits.OutboxBytes = 4, 100
	type put struct {
		sender string
		bytes  int
		want   verdict
	}
	for name, puts := range map[string][]put{
		"a share by number":         {{"a", 1, outboxTakes}, {"a", 1, outboxTakes}, {"a", 1, outboxTakes}, {"a", 1, outboxTakes}, {"a", 1, shareIsFull}, {"b", 1, outboxTakes}, {"", 1, outboxTakes}},
		"a share by bytes":          {{"a", 60, outboxTakes}, {"a", 41, shareIsFull}, {"a", 40, outboxTakes}, {"a", 1, shareIsFull}, {"b", 100, outboxTakes}},
		"longer than a share":       {{"a", 150, outboxTakes}, {"a", 1, shareIsFull}, {"b", 100, outboxTakes}},
		"all by bytes":              {{"a", 100, outboxTakes}, {"b", 100, outboxTakes}, {"c", 100, outboxTakes}, {"d", 100, outboxTakes}, {"e", 1, outboxIsFull}, {"a", 1, shareIsFull}, {"", 1, outboxIsFull}},
		"the server by bytes":       {{"", 400, outboxTakes}, {"", 1, outboxIsFull}, {"a", 1, outboxIsFull}},
		"longer than all there is":  {{"a", 401, outboxIsFull}, {"a", 1, outboxTakes}},
		"senders of refused frames": {{"a", 401, outboxIsFull}, {"b", 401, outboxIsFull}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOutbox(limits)
			var taken []put
			for i, p := range puts {
				if got := b.put(outgoing{sender: p.sender, frame: make([]byte, p.bytes)}, time.Now()); got != p.want {
					t.Fatalf("put %d: %v, want %v", i, got, p.want)
				}
				if p.want == outboxTakes {
					taken = append(taken, p)
				}
			}
			for _, p := range taken {
				if o, ok := b.take(); !ok || o.sender != p.sender || len(o.frame) != p.bytes {
					t.Fatalf("took %d bytes of %q (%v), want %+v", len(o.frame), o.sender, ok, p)
				}
			}
			if _, ok := b.take(); ok || b.bytes != 0 || len(b.shares) != 0 {
				t.Errorf("left are %d bytes and %+v", b.bytes, b.shares)
			}
		})
	}
}

// Who is slow on purpose, and reads just enough to hold a sender back again, holds it back no longer for that.
func TestOutboxHoldsOnceUntilEmpty(t *testing.T) {
	limits := DefaultLimits()
	limits.OutboxMessages = 4
	b, now := newOutbox(limits), time.Unix(0, 0)
	put := func() { b.put(outgoing{sender: "a", frame: []byte("x")}, now) }
	holds := func(what string, want bool) {
		t.Helper()
		if got := b.holds("a", now); got != want {
			t.Errorf("%s: held back: %v", what, got)
		}
	}
	holds("nothing waits", false)
	put()
	put()
	holds("half waits", false)
	put()
	holds("more than half waits", true)
	b.take()
	holds("half waits again", false)
	now = now.Add(longestHold)
	put()
	holds("it was held back already", false)
	for range 3 {
		b.take()
	}
	for range 3 {
		put()
	}
	holds("all was read in between", true)
	if b.holds("b", now) {
		t.Error("a sender of nothing is held back")
	}
}

// crowd is a room in a synctest bubble, of one member who reads as it likes and two who read all the time.
type crowd struct {
	*server
	slow           *websocket.Conn
	slowID         string
	sender, reader *client
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{server: startInMemory(t, nil)}
	c.sender, c.reader = c.dial(), c.dial()
	c.sender.join("r")
	c.reader.join("r")
	c.sender.message("user-joined")
	conn, _, err := c.tryDial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	c.slow = conn
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"join","roomId":"r"}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.slowID = c.sender.message("user-joined")["clientId"].(string)
	c.reader.message("user-joined")
	return c
}

// flood sends numbered candidates to all others, faster than any member may for long, until the socket ends.
func (c *crowd) flood() {
	for i := 0; ; i++ {
		text := fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":%d}}`, i)
		if c.sender.sendRaw(websocket.MessageText, []byte(text)) != nil {
			return
		}
	}
}

// gotAll reads what came of the flood until its sender had left, and returns how many messages that were.
func (c *crowd) gotAll(t *testing.T) (n int) {
	t.Helper()
	for {
		m := c.reader.next()
		switch {
		case m.err != nil:
			t.Fatalf("who reads all was closed after %d messages: %v", n, m.err)
		case m.message["type"] == "user-left":
			if m.message["clientId"] != c.sender.id {
				t.Fatalf("who left is not the flooder: %v", m.message)
			}
			return n
		case m.message["candidate"].(map[string]any)["sdpMLineIndex"] != float64(n):
			t.Fatalf("message %d came as %v", n, m.message)
		}
		n++
	}
}

// SEC-54: a slow reader beside a flooder is not closed, and who reads gets all that the flooder may send.
func TestSlowReaderBesideFlooder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		go c.flood()
		var last string
		go func() { // a message every half second, where the flood may bring thirty in that time
			for last != "the end" {
				time.Sleep(500 * time.Millisecond)
				_, text, err := c.slow.Read(t.Context())
				if err != nil {
					last = "closed: " + err.Error()
					return
				}
				if strings.Contains(string(text), c.reader.id) {
					last = "the end"
				}
			}
		}()
		if n := c.gotAll(t); n < c.hub.limits.MessageBurst-1 {
			t.Errorf("who reads got %d messages", n)
		}
		c.sender.closed(int(websocket.StatusPolicyViolation))
		c.reader.send(`{"type":"candidate","candidate":null,"targetClientId":"` + c.slowID + `"}`)
		time.Sleep(5 * time.Minute) // of the bubble's time
		synctest.Wait()
		n := c.hub.Stats()
		if last != "the end" || n.Refusals[ReasonSlowReader] != 0 {
			t.Errorf("the slow reader saw %s; refusals: %v", last, n.Refusals)
		}
		if n.Refusals[ReasonMemberBehind] == 0 {
			t.Error("the flooder got all through to the slow reader: the test floods too little")
		}
	})
}

// SEC-54: who never reads is closed when a write has taken Limits.WriteTimeout.
func TestNeverReadingMemberIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		began := time.Now()
		c.sender.send(`{"type":"candidate","candidate":null}`)
		c.reader.message("candidate")
		c.reader.want(`{"type":"user-left","clientId":"` + c.slowID + `"}`)
		if d := time.Since(began); d != c.hub.limits.WriteTimeout {
			t.Errorf("closed after %v, want %v", d, c.hub.limits.WriteTimeout)
		}
		if n := c.hub.Stats().Refusals[ReasonSlowReader]; n != 1 {
			t.Errorf("%d slow readers, want 1", n)
		}
	})
}
