package signaling

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// SEC-54: one member floods a full room: it is closed, the others get what was within its limits, in
// order, and go on talking.
func TestFlood(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Members = 16 })
	members := make([]*client, 16)
	for i := range members {
		members[i] = s.enter("r")
		for _, m := range members[:i] {
			m.message("user-joined")
		}
	}
	flooder, others := members[0], members[1:]
	go func() {
		for i := range 2000 {
			text := fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"","sdpMLineIndex":%d}}`, i)
			if flooder.sendRaw(websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}()
	for _, c := range others {
		got := 0
		for {
			m := c.next()
			if m.err != nil {
				t.Fatalf("a member was closed after %d messages: %v", got, m.err)
			}
			if m.message["type"] == "user-left" {
				break
			}
			if m.message["type"] != "candidate" {
				t.Fatalf("after %d messages, a member got %v", got, m.message)
			}
			if line := m.message["candidate"].(map[string]any)["sdpMLineIndex"]; line != float64(got) {
				t.Fatalf("message %v came as the %d.", line, got)
			}
			got++
		}
		if limits := s.hub.limits; got < limits.MessageBurst-1 || got > limits.MessageBurst+int(limits.MessageRate*patience.Seconds()) {
			t.Errorf("%d messages of the flood came through", got)
		}
	}
	flooder.closed(int(websocket.StatusPolicyViolation))
	for i := range others {
		ping(others[i], others[(i+1)%len(others)])
	}
}

// SEC-53, SEC-54: who floods again and again, on one socket after the other, soon waits between them.
func TestFloodOnManySockets(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.JoinRate = 0.001 })
	floods := 0
	for ; floods < s.hub.limits.JoinBurst; floods++ {
		c := s.dial()
		c.send(`{"type":"join","roomId":"r"}`)
		if m := c.next().message; m["type"] == "error" {
			if m["reason"] != string(ReasonTooManyJoins) {
				t.Fatalf("got %v", m)
			}
			break
		}
		for c.sendRaw(websocket.MessageText, []byte(`{"type":"candidate","candidate":null}`)) == nil {
		}
		c.closed(int(websocket.StatusPolicyViolation))
	}
	if want := s.hub.limits.JoinBurst/(floodJoins+1) + 1; floods > want {
		t.Errorf("%d floods were let in, want %d", floods, want)
	}
}

// However many sockets of an address flood, their neighbours wait no longer than one flood takes.
func TestFloodsTogether(t *testing.T) {
	n, limits := netip.MustParsePrefix("192.0.2.1/32"), DefaultLimits()
	a := newAddresses(limits)
	if refusal := a.open(n); refusal != nil {
		t.Fatal(refusal)
	}
	for range limits.SocketsPerAddress {
		a.punish(n)
	}
	if left := a.byNet[n].joins.Tokens(); left < -floodJoins {
		t.Errorf("%.0f joins are left", left)
	}
}

// SEC-53: a neighbour who used all joins up takes nobody's resumption; a wrong secret is a join, and so
// is coming back again and again.
func TestResumingIsNoJoin(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.JoinRate, c.Limits.JoinBurst = 1e-9, 2 })
	a, b := s.enterToStay("r"), s.enter("r")
	a.counted("user-joined")
	late := s.dial()
	late.send(`{"type":"join","roomId":"r"}`)
	late.refused(ReasonTooManyJoins)
	for range resumeBurst {
		a.resume(s, "r")
		ping(b, a.client)
		a.received++
	}
	guess := s.dial()
	guess.send(strings.Replace(a.request("r"), a.secret, "wrong", 1))
	guess.refused(ReasonTooManyJoins)
	s.hub.seat(ClientID(a.id)).resumes.SetBurst(0) // as if no time had passed
	again := s.dial()
	again.send(a.request("r"))
	again.refused(ReasonTooManyJoins)
	again.closed(int(websocket.StatusTryAgainLater))
	ping(b, a.client)
}

func TestByteFlood(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.ByteRate = 1 })
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")
	text := `{"type":"nothing","x":"` + strings.Repeat("x", 60<<10) + `"}`
	go func() {
		for range 8 {
			if b.sendRaw(websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}()
	b.closed(int(websocket.StatusPolicyViolation))
	a.message("user-left")
	n := s.hub.Stats().Refusals
	if n[ReasonUnknownType] != 4 || n[ReasonRateLimited] != 1 { // 240 of 256 KiB
		t.Errorf("%d messages were looked at, want 4; %d floods counted, want 1", n[ReasonUnknownType], n[ReasonRateLimited])
	}
}

func TestPingFlood(t *testing.T) {
	s := start(t, nil)
	c := s.enter("r")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answered := 0
	for c.conn.Ping(ctx) == nil {
		answered++
	}
	if ctx.Err() != nil {
		t.Fatal("the flood of pings was not stopped")
	}
	if answered < controlBurst-1 || answered > controlBurst+controlRate*int(patience.Seconds()) {
		t.Errorf("%d pings were answered", answered)
	}
	c.refused(ReasonRateLimited)
	c.closed(int(websocket.StatusPolicyViolation))
}

// SEC-54: who reads nothing of what many others send is closed, and costs them nothing but its absence.
func TestNeverReadingMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startInMemory(t, func(c *Config) {
			c.Limits.Members = outboxShares + 3
			c.Limits.WriteTimeout = time.Hour
		})
		b := s.dial()
		b.join("r")
		var senders []*client
		for range outboxShares + 1 {
			c := s.dial()
			c.join("r")
			b.message("user-joined")
			senders = append(senders, c)
		}
		deaf, in := s.handshake()
		_, _ = deaf.Write(frame(0x81, `{"type":"join","roomId":"r"}`))
		id := b.message("user-joined")["clientId"].(string)

		for range s.hub.limits.OutboxMessages + 1 {
			for _, sender := range senders {
				sender.send(`{"type":"candidate","candidate":null,"targetClientId":"` + id + `"}`)
			}
		}
		b.want(`{"type":"user-left","clientId":"` + id + `"}`)
		n := s.hub.Stats().Refusals
		if n[ReasonSlowReader] != 1 || n[ReasonPongTimeout] != 0 {
			t.Errorf("%d slow readers counted, want 1; refusals: %v", n[ReasonSlowReader], n)
		}
		for _, sender := range senders {
			ping(sender, b)
		}
		// Once it reads, it is told why.
		if all, _ := io.ReadAll(in); !bytes.HasSuffix(all, []byte("\x88\x0d\x03\xf5slow-reader")) {
			t.Errorf("the socket ended with %q, want code 1013", all[max(0, len(all)-100):])
		}
	})
}

// deaf joins a room with a socket that nobody reads, and that buffers little.
func (s *server) deaf() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, in := s.handshake()
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := conn.Write(frame(0x81, `{"type":"join","roomId":"r"}`)); err != nil {
		s.t.Fatal(err)
	}
	return conn, in
}

func longOffer(t *testing.T, target string) string {
	sdp := sdpFile(t, "chromium-av-offer")
	sdp += strings.Repeat("a=x-filler:"+strings.Repeat("x", 100)+"\r\n", (testSDPBytes-len(sdp))/120)
	return offerTo(target, sdp)
}

// A member whose network takes nothing at all any more is given up after Limits.WriteTimeout.
func TestStuckWrite(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Limits.WriteTimeout = 50 * time.Millisecond
		c.Limits.PingInterval = time.Hour // to fill the kernel's buffers takes long on a busy machine
		c.Limits.OutboxMessages, c.Limits.OutboxBytes = 1<<16, 1<<30
		c.Limits.MessageRate, c.Limits.MessageBurst = 1e6, 1e6
		c.Limits.ByteRate, c.Limits.ByteBurst = 1e9, 1e9
	})
	a := s.enter("r")
	a.patience = 2 * time.Minute
	s.deaf()
	id := a.message("user-joined")["clientId"].(string)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	offer := []byte(longOffer(t, id))
	go func() {
		for ctx.Err() == nil && a.sendRaw(websocket.MessageText, offer) == nil {
		}
	}()
	a.want(`{"type":"user-left","clientId":"` + id + `"}`)
	if n := s.hub.Stats().Refusals[ReasonSlowReader]; n != 1 {
		t.Errorf("%d slow readers counted, want 1", n)
	}
}

// SEC-55: one address has 50 sockets; an IPv6 subscriber has them for the whole /64.
func TestSocketsPerAddress(t *testing.T) {
	address := netip.MustParseAddr("2001:db8::1")
	s := start(t, func(c *Config) {
		c.ClientAddr = func(*http.Request) netip.Addr { return address }
	})
	var sockets []*client
	for range s.hub.limits.SocketsPerAddress {
		sockets = append(sockets, s.dial())
		address = address.Next()
	}
	refused := func() {
		t.Helper()
		_, response, err := s.tryDial()
		if err == nil {
			t.Fatal("one socket too many was let in")
		}
		if m := problem(t, response); response.StatusCode != http.StatusTooManyRequests || m["reason"] != string(ReasonTooManySockets) {
			t.Errorf("status %d, %v", response.StatusCode, m)
		}
		if response.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	refused()
	address = netip.MustParseAddr("2001:db8:0:1::1")
	s.dial()
	address = netip.MustParseAddr("2001:db8::ffff")
	sockets[0].send(`{"type":"leave"}`)
	sockets[0].closed(int(websocket.StatusNormalClosure))
	awaitStats(t, s.hub, func(n Stats) bool { return n.Sockets == len(sockets) })
	s.dial()
	refused()
}

// awaitStats waits for the hub's numbers to be as they should.
func awaitStats(t *testing.T, hub *Hub, ok func(Stats) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(hub.Stats()); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the numbers stay %+v", hub.Stats())
		}
	}
}

func TestAllSocketsInUse(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Sockets = 2 })
	s.dial()
	s.dial()
	_, response, err := s.tryDial()
	if err == nil {
		t.Fatal("one socket too many was let in")
	}
	if m := problem(t, response); response.StatusCode != http.StatusServiceUnavailable || m["reason"] != string(ReasonOverloaded) {
		t.Errorf("status %d, %v", response.StatusCode, m)
	}
	a := s.hub.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byNet[netip.MustParsePrefix("127.0.0.1/32")].sockets != 2 {
		t.Error("the refused socket still counts for its address")
	}
}

// SEC-53: joins an address, members a room, rooms a server.
func TestJoinStorm(t *testing.T) {
	s := start(t, nil)
	var refused, joined int
	for i := range 2 * s.hub.limits.JoinBurst {
		c := s.dial()
		c.send(fmt.Sprintf(`{"type":"join","roomId":"r%d"}`, i))
		switch m := c.next().message; {
		case m["type"] == "room-users":
			joined++
			c.send(`{"type":"leave"}`)
			c.closed(int(websocket.StatusNormalClosure))
		case m["reason"] == string(ReasonTooManyJoins):
			refused++
			c.closed(int(websocket.StatusTryAgainLater))
		default:
			t.Fatalf("got %v", m)
		}
	}
	if joined < s.hub.limits.JoinBurst || refused == 0 {
		t.Errorf("%d joined and %d were refused", joined, refused)
	}
}

func TestFullRoomAndFullServer(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Members, c.Limits.Rooms = 2, 2 })
	a, _ := s.enter("r"), s.enter("r")
	a.message("user-joined")
	late := s.dial()
	late.send(`{"type":"join","roomId":"r"}`)
	late.refused(ReasonRoomFull)
	late.closed(int(websocket.StatusTryAgainLater))

	only := s.enter("r2")
	late = s.dial()
	late.send(`{"type":"join","roomId":"r3"}`)
	late.refused(ReasonTooManyRooms)
	late.closed(int(websocket.StatusTryAgainLater))

	only.send(`{"type":"leave"}`)
	only.closed(int(websocket.StatusNormalClosure))
	awaitStats(t, s.hub, func(n Stats) bool { return n.Rooms == 1 })
	s.enter("r3")
}

// SEC-52: the server never connects to what a candidate names.
func TestCandidateIsNotDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			close(connected)
		}
	}()
	s := start(t, nil)
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")
	port := l.Addr().(*net.TCPAddr).Port
	b.send(fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"candidate:1 1 tcp 1 127.0.0.1 %d typ host tcptype passive"}}`, port))
	a.message("candidate")
	s.shutdown()
	_ = l.Close()
	select {
	case <-connected:
		t.Error("the server connected to a candidate's address")
	default:
	}
}

// RFC 6455, section 5.1: a server closes on a frame that is not masked.
func TestProtocolErrors(t *testing.T) {
	s := start(t, nil)
	for name, frame := range map[string][]byte{
		"unmasked":           {0x81, 0x02, '{', '}'},
		"reserved bits":      frame(0xC1, ""),
		"unknown opcode":     frame(0x83, ""),
		"continuing nothing": frame(0x80, ""),
		"fragmented ping":    frame(0x09, ""),
		"a huge length":      {0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := s.in(t).handshake()
			if _, err := conn.Write(frame); err != nil {
				t.Fatal(err)
			}
			header := make([]byte, 4)
			if _, err := io.ReadFull(in, header); err != nil || header[0] != 0x88 || int(header[2])<<8|int(header[3]) != 1002 {
				t.Errorf("got % x (%v), want a close frame with 1002", header, err)
			}
		})
	}
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")
	ping(a, b)
}

func TestShutdown(t *testing.T) {
	s := start(t, nil)
	member, visitor := s.enter("r"), s.dial()
	s.shutdown()
	member.closed(int(websocket.StatusGoingAway))
	visitor.closed(int(websocket.StatusGoingAway))
	_, response, err := s.tryDial()
	if err == nil {
		t.Fatal("a socket was opened after shutdown")
	}
	if m := problem(t, response); response.StatusCode != http.StatusServiceUnavailable || m["reason"] != string(ReasonShuttingDown) {
		t.Errorf("status %d, %v", response.StatusCode, m)
	}
	wantNoGoroutines(t)
}

// wantNoGoroutines waits until no goroutine of this package is left but tests and their clients.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "signaling.(*peer)") && !strings.Contains(text, "signaling.(*Hub)") &&
			!strings.Contains(text, "signaling.(*throttledConn)") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", text)
		}
	}
}
