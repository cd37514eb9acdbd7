package signaling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func testICE(m Member) (ICEServers, error) {
	return ICEServers{
		Servers: []ICEServer{
			{URLs: []string{"stun:turn.example:3478"}},
			{URLs: []string{"turn:turn.example:3478?transport=udp"}, Username: "1:" + m.User, Credential: "c0ffee=="},
		},
		TTL:       time.Hour,
		ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}, nil
}

func TestJoin(t *testing.T) {
	s := start(t, func(c *Config) { c.ICEServers = testICE })
	const ice = `{"type":"ice-servers","iceServers":[
		{"urls":["stun:turn.example:3478"]},
		{"urls":["turn:turn.example:3478?transport=udp"],"username":"1:USER","credential":"c0ffee=="}],
		"ttl":3600,"expiresAt":"2030-01-02T03:04:05Z"}`
	a := s.dial()
	if users := a.join("r"); len(users) != 0 {
		t.Errorf("an empty room has %v", users)
	}
	a.want(strings.ReplaceAll(ice, "USER", a.id))

	b := s.dial()
	b.send(`{"type":"join","roomId":"r","name":"Bo \"<b>\" ü"}`)
	b.id = b.message("room-users")["clientId"].(string)
	b.want(strings.ReplaceAll(ice, "USER", b.id))
	a.want(`{"type":"user-joined","clientId":"` + b.id + `","name":"Bo \"<b>\" ü"}`)

	c := s.dial()
	if users := c.join("r"); !slices.Equal(users, []any{a.id, b.id}) {
		t.Errorf("the third joiner was told of %v", users)
	}
	other := s.dial()
	if users := other.join("r2"); len(users) != 0 {
		t.Errorf("another room has %v", users)
	}
	if n := s.hub.Stats(); n.Rooms != 2 || n.Members != 4 || n.Sockets != 4 || n.Messages[TypeJoin] != 4 {
		t.Errorf("stats %+v", n)
	}
	if len(a.id) < 22 || a.id == b.id {
		t.Errorf("ids %q and %q", a.id, b.id)
	}
}

// The messages of the guide's SignalingClient, and of its onicecandidate snippet, which names no target.
func TestConversation(t *testing.T) {
	s := start(t, nil)
	a, b, c := s.enter("r"), s.enter("r"), s.enter("r")
	a.message("user-joined")
	a.message("user-joined")
	b.message("user-joined")

	sdp := sdpFile(t, "chromium-av-offer")
	b.send(offerTo(a.id, sdp))
	a.want(`{"type":"offer","offer":{"type":"offer","sdp":` + quote(sdp) + `},"clientId":"` + b.id + `"}`)
	sdp = sdpFile(t, "firefox-av-answer")
	a.send(`{"type":"answer","answer":{"type":"answer","sdp":` + quote(sdp) + `},"targetClientId":"` + b.id + `"}`)
	b.want(`{"type":"answer","answer":{"type":"answer","sdp":` + quote(sdp) + `},"clientId":"` + a.id + `"}`)

	candidate := `{"candidate":"` + hostCandidate + `","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"jjBN"}`
	b.send(`{"type":"candidate","candidate":` + candidate + `}`)
	forwarded := `{"type":"candidate","candidate":` + candidate + `,"clientId":"` + b.id + `"}`
	a.want(forwarded)
	c.want(forwarded)
	ping(a, c) // nothing else came to either, the offer least of all
	ping(c, a)
}

func TestLeave(t *testing.T) {
	s := start(t, nil)
	stays, leaves, closes, vanishes := s.enter("r"), s.enter("r"), s.enter("r"), s.enter("r")
	for range 3 {
		stays.message("user-joined")
	}
	leaves.send(`{"type":"leave"}`)
	stays.want(`{"type":"user-left","clientId":"` + leaves.id + `"}`)
	leaves.closed(int(websocket.StatusNormalClosure))
	_ = closes.conn.Close(websocket.StatusGoingAway, "")
	stays.want(`{"type":"user-left","clientId":"` + closes.id + `"}`)
	_ = vanishes.conn.CloseNow()
	stays.want(`{"type":"user-left","clientId":"` + vanishes.id + `"}`)
}

// SEC-51: the sender is who the server says, and nothing leaves the room; absent and elsewhere look the same.
func TestSpoofedSenderAndForeignTarget(t *testing.T) {
	s := start(t, nil)
	a, b, elsewhere := s.enter("r"), s.enter("r"), s.enter("other")
	a.message("user-joined")
	b.send(`{"type":"candidate","candidate":null,"clientId":"` + a.id + `","from":"` + a.id + `","targetClientId":"` + a.id + `"}`)
	a.want(`{"type":"candidate","candidate":null,"clientId":"` + b.id + `"}`)

	var answers []map[string]any
	for _, target := range []string{elsewhere.id, "nobody", b.id} {
		b.send(offerTo(target, sdpFile(t, "chromium-data-offer")))
		answers = append(answers, b.message("error"))
	}
	for _, m := range answers {
		if m["reason"] != string(ReasonUnknownTarget) || m["message"] != answers[0]["message"] {
			t.Errorf("the answers differ: %v", answers)
		}
	}
	// Had anything been delivered to the other room, it would come before what is sent now.
	friend := s.enter("other")
	elsewhere.message("user-joined")
	ping(friend, elsewhere)
	ping(b, a)
}

func TestRefusedMessages(t *testing.T) {
	s := start(t, nil)
	text := websocket.MessageText
	tooDeep := `{"type":"leave","x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`
	long := func(n int) string {
		head := `{"type":"nothing","x":"`
		return head + strings.Repeat("x", n-len(head)-2) + `"}`
	}
	for name, tt := range map[string]struct {
		kind websocket.MessageType
		data string
		want Reason
		code int // 0: the member stays
	}{
		"SEC-50 binary":             {websocket.MessageBinary, `{"type":"leave"}`, ReasonBinary, 1003},
		"SEC-50 invalid UTF-8":      {text, "{\"type\":\"le\xffve\"}", ReasonInvalidUTF8, 1007},
		"SEC-50 not JSON":           {text, `{"type":`, ReasonBadJSON, 1007},
		"SEC-50 deep nesting":       {text, tooDeep, ReasonTooDeep, 1008},
		"SEC-50 duplicate key":      {text, `{"type":"leave","type":"join"}`, ReasonDuplicateKey, 1008},
		"SEC-50 65536 bytes":        {text, long(65536), ReasonUnknownType, 0},
		"SEC-50 unknown type":       {text, `{"type":"shout"}`, ReasonUnknownType, 0},
		"a second join":             {text, `{"type":"join","roomId":"r"}`, ReasonAlreadyJoined, 0},
		"SEC-52 no SDP":             {text, offerTo("", "</script>"), ReasonBadSDP, 0},
		"SEC-52 plain RTP":          {text, offerTo("", testSession+strings.Replace(testAudio, "UDP/TLS/RTP/SAVPF", "RTP/AVP", 1)+testTransport), ReasonSDPNotDTLS, 0},
		"SEC-52 64 KB of a= lines":  {text, offerTo("", testSession+strings.Repeat("a="+strings.Repeat("x", 50)+"\r\n", 1000)), ReasonSDPTooLarge, 0},
		"a candidate that is none":  {text, `{"type":"candidate","candidate":{"candidate":"x"}}`, ReasonBadCandidate, 0},
		"an offer without an offer": {text, `{"type":"offer"}`, ReasonBadMessage, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, room := s.in(t), t.Name()
			a, b := s.enter(room), s.enter(room)
			a.message("user-joined")
			before := s.hub.Stats().Refusals[tt.want]
			if err := b.sendRaw(tt.kind, []byte(tt.data)); err != nil {
				t.Fatal(err)
			}
			b.refused(tt.want)
			if n := s.hub.Stats().Refusals[tt.want]; n != before+1 {
				t.Errorf("%d refusals counted, want 1", n-before)
			}
			if tt.code == 0 {
				ping(b, a)
				return
			}
			b.closed(tt.code)
			a.want(`{"type":"user-left","clientId":"` + b.id + `"}`)
		})
	}
}

const testTransport = testICECredentials + testFingerprint

// Before the join, a message that a member could be forgiven ends the socket.
func TestFirstMessageMustJoin(t *testing.T) {
	s := start(t, nil)
	offer := offerTo("", sdpFile(t, "chromium-data-offer"))
	for message, want := range map[string]Reason{
		`{"type":"candidate","candidate":null}`: ReasonNotJoined,
		offer:                                   ReasonNotJoined,
		`{"type":"join"}`:                       ReasonBadMessage,
		`{"type":"join","roomId":"a\nb"}`:       ReasonBadMessage,
		`{"type":"hello"}`:                      ReasonUnknownType,
		`{"type":"offer","offer":{"type":"offer","sdp":"none"}}`: ReasonBadSDP,
	} {
		c := s.dial()
		c.send(message)
		c.refused(want)
		c.closed(CloseBadRequest)
	}
	c := s.dial()
	c.send(`{"type":"leave"}`)
	c.closed(int(websocket.StatusNormalClosure))
}

// SEC-50: 65 537 bytes, in one frame and in many.
func TestTooLongMessage(t *testing.T) {
	s := start(t, nil)
	for name, size := range map[string]int{"one byte too long": 65537, "much too long": 512 << 10} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			a, b := s.enter(name), s.enter(name)
			a.message("user-joined")
			go b.sendRaw(websocket.MessageText, bytes.Repeat([]byte("x"), size)) // fails when the server hangs up
			b.closed(int(websocket.StatusMessageTooBig))
			a.message("user-left")
		})
	}
	t.Run("in fragments", func(t *testing.T) {
		c := s.in(t).enter("fragments")
		w, err := c.conn.Writer(context.Background(), websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 70 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}()
		c.closed(int(websocket.StatusMessageTooBig))
	})
	// The library says goodbye before we have counted.
	awaitStats(t, s.hub, func(n Stats) bool { return n.Refusals[ReasonMessageTooBig] == 3 })
}

func TestAuthorize(t *testing.T) {
	authorize := func(r *http.Request, j Join) (Member, error) {
		switch {
		case j.Token != "good" && r.Header.Get("Authorization") != "Bearer good":
			return Member{}, errors.New("wrong token hunter2")
		case j.RoomID == "missing":
			return Member{}, errors.New("no such room")
		}
		return Member{User: "alice", Room: "tenant/" + j.RoomID, Name: "Alice"}, nil
	}
	s := start(t, func(c *Config) {
		c.Authorize, c.ICEServers, c.OriginOptional = authorize, testICE, false
	})
	t.Run("SEC-53 missing and forbidden look the same", func(t *testing.T) {
		s := s.in(t)
		var answers []string
		for _, join := range []string{
			`{"type":"join","roomId":"forbidden","token":"bad"}`,
			`{"type":"join","roomId":"missing","token":"good"}`,
			`{"type":"join","roomId":"forbidden"}`,
		} {
			c := s.dial("Origin", s.url)
			c.send(join)
			answers = append(answers, fmt.Sprint(c.message("error")))
			c.closed(CloseUnauthorized)
		}
		if answers[0] != answers[1] || answers[0] != answers[2] || strings.Contains(answers[0], "hunter2") {
			t.Errorf("the answers differ, or tell: %q", answers)
		}
	})
	t.Run("a member is who Authorize says", func(t *testing.T) {
		s := s.in(t)
		a := s.dial("Authorization", "Bearer good")
		a.join("r")
		if ice := fmt.Sprint(a.message("ice-servers")); !strings.Contains(ice, "1:alice") {
			t.Errorf("ICE servers of another user: %s", ice)
		}
		b := s.dial("Origin", s.url)
		b.send(`{"type":"join","roomId":"r","token":"good","name":"Mallory"}`)
		b.message("room-users")
		if m := a.message("user-joined"); m["name"] != "Alice" {
			t.Errorf("the name is %v", m["name"])
		}
	})
	t.Run("a panic costs one socket", func(t *testing.T) {
		s := start(t, func(c *Config) {
			c.Authorize = func(*http.Request, Join) (Member, error) { panic("oops") }
		})
		c := s.dial()
		c.send(`{"type":"join","roomId":"r"}`)
		c.refused(ReasonInternal)
		c.closed(int(websocket.StatusInternalError))
		s.dial().send(`{"type":"leave"}`)
	})
}

// SEC-47, SEC-48: decided before the upgrade.
func TestHandshake(t *testing.T) {
	hub := hubFor(t, func(c *Config) {
		c.OriginOptional = false
		c.AllowedOrigins = []string{"https://good.example", "http://localhost:3000"}
	})
	const same = "http://turn.example:8080"
	for name, tt := range map[string]struct {
		target string
		header map[string][]string
		want   Reason // empty: upgraded
	}{
		"same origin":               {"/", map[string][]string{"Origin": {same}}, ""},
		"same host behind TLS":      {"/", map[string][]string{"Origin": {"https://turn.example:8080"}}, ""},
		"allowed":                   {"/", map[string][]string{"Origin": {"https://good.example"}}, ""},
		"allowed with port":         {"/", map[string][]string{"Origin": {"http://localhost:3000"}}, ""},
		"no origin, but a token":    {"/", map[string][]string{"Authorization": {"Bearer t"}}, ""},
		"another origin":            {"/", map[string][]string{"Origin": {"https://evil.example"}}, ReasonOriginDenied},
		"another, with cookie":      {"/", map[string][]string{"Origin": {"https://evil.example"}, "Cookie": {"session=1"}}, ReasonOriginDenied},
		"another, with token":       {"/", map[string][]string{"Origin": {"https://evil.example"}, "Authorization": {"Bearer t"}}, ReasonOriginDenied},
		"null":                      {"/", map[string][]string{"Origin": {"null"}}, ReasonOriginDenied},
		"empty":                     {"/", map[string][]string{"Origin": {""}}, ReasonOriginDenied},
		"longer than allowed":       {"/", map[string][]string{"Origin": {"https://good.example.evil"}}, ReasonOriginDenied},
		"ends like allowed":         {"/", map[string][]string{"Origin": {"https://evilgood.example"}}, ReasonOriginDenied},
		"allowed, other scheme":     {"/", map[string][]string{"Origin": {"http://good.example"}}, ReasonOriginDenied},
		"allowed, other port":       {"/", map[string][]string{"Origin": {"http://localhost:3001"}}, ReasonOriginDenied},
		"same host, other port":     {"/", map[string][]string{"Origin": {"http://turn.example"}}, ReasonOriginDenied},
		"same host, file scheme":    {"/", map[string][]string{"Origin": {"file://turn.example:8080"}}, ReasonOriginDenied},
		"two origins":               {"/", map[string][]string{"Origin": {same, "https://evil.example"}}, ReasonOriginDenied},
		"no origin":                 {"/", nil, ReasonOriginDenied},
		"no origin, another scheme": {"/", map[string][]string{"Authorization": {"Basic dDp0"}}, ReasonOriginDenied},
		"no origin, no token":       {"/", map[string][]string{"Authorization": {"Bearer "}}, ReasonOriginDenied},
		"token in the URL":          {"/?token=t", map[string][]string{"Origin": {same}}, ReasonTokenInURL},
		"key in the URL":            {"/?x=1&key=t", map[string][]string{"Origin": {same}}, ReasonTokenInURL},
		"no WebSocket":              {"/", map[string][]string{"Origin": {same}, "Upgrade": {"h2c"}}, ReasonUpgradeRequired},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", same+tt.target, nil)
			r.Header.Set("Upgrade", "websocket")
			for k, v := range tt.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			before := hub.Stats().Refusals[tt.want]
			hub.ServeHTTP(w, r)
			response := w.Result()
			if tt.want == "" {
				// The request lacks the rest of a handshake, which is looked at next.
				if response.StatusCode != http.StatusUpgradeRequired || response.Header.Get("Content-Type") == "application/problem+json" {
					t.Errorf("status %d: %s", response.StatusCode, w.Body)
				}
				return
			}
			if m := problem(t, response); m["reason"] != string(tt.want) || response.StatusCode != tt.want.httpStatus() {
				t.Errorf("status %d, %v, want reason %s", response.StatusCode, m, tt.want)
			}
			if n := hub.Stats().Refusals[tt.want]; n != before+1 {
				t.Errorf("%d refusals counted, want 1", n-before)
			}
		})
	}
}

func TestOriginOverTheWire(t *testing.T) {
	s := start(t, func(c *Config) {
		c.OriginOptional = false
		c.AllowedOrigins = []string{"https://good.example"}
	})
	s.dial("Origin", s.url).join("r")
	s.dial("Origin", "https://good.example").join("r")
	conn, response, err := s.tryDial("Origin", "https://evil.example")
	if err == nil {
		_ = conn.CloseNow()
		t.Fatal("a foreign page was let in")
	}
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", response.StatusCode)
	}
}

// SEC-50: a deflate bomb needs deflate.
func TestNoCompression(t *testing.T) {
	s := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, s.url, &websocket.DialOptions{
		CompressionMode: websocket.CompressionContextTakeover,
		HTTPHeader:      http.Header{"Sec-Websocket-Protocol": {"token.abc"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if e := response.Header.Get("Sec-WebSocket-Extensions"); e != "" {
		t.Errorf("negotiated %q", e)
	}
	if p := response.Header.Get("Sec-WebSocket-Protocol"); p != "" {
		t.Errorf("negotiated %q", p)
	}
}

func TestAllowedOriginsForm(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://good.example": true, "http://localhost:3000": true, "https://[2001:db8::1]:8443": true,
		"https://192.0.2.1": true, "http://good.example:443": true,
		"": false, "*": false, "null": false, "good.example": false, "https://": false, "https://*.example": false,
		"https://good.example/": false, "https://good.example/app": false, "https://good.example?a": false,
		"https://good.example#a": false, "https://u@good.example": false, "https://good.example:443": false,
		"http://good.example:80": false, "https://Good.example": false, "ftp://good.example": false,
		"https://good.example:": false, "https://:8443": false, "chrome-extension://abc": false, "//good.example": false,
	} {
		_, err := NewHub(Config{Authorize: everybody, AllowedOrigins: []string{origin}})
		if (err == nil) != want {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	limits := DefaultLimits()
	limits.Rooms, limits.ByteBurst, limits.PongTimeout = 0, 1, time.Hour
	_, err := NewHub(Config{Limits: limits, AllowedOrigins: []string{"*"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, fault := range []string{"Rooms", "ByteBurst", "PongTimeout", `"*"`, "Authorize"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not among the faults: %v", fault, err)
		}
	}
	if _, err := NewHub(Config{Authorize: everybody}); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// For every two members, exactly one is told of the other by room-users, and that other is told by user-joined.
func TestEveryPairMeetsOnce(t *testing.T) {
	const n = 16
	s := start(t, func(c *Config) { c.Limits.Members = n })
	members := make([]*client, n)
	for i := range members {
		members[i] = s.dial()
	}
	var joining sync.WaitGroup
	for _, c := range members {
		joining.Go(func() { c.send(`{"type":"join","roomId":"r"}`) })
	}
	joining.Wait()
	meetings := map[[2]string]int{}
	for _, c := range members {
		var met []string
		for len(met) < n-1 || c.id == "" {
			m := c.next().message
			switch m["type"] {
			case "room-users":
				c.id = m["clientId"].(string)
				for _, u := range m["users"].([]any) {
					met = append(met, u.(string))
					meetings[[2]string{c.id, u.(string)}]++
				}
			case "user-joined":
				met = append(met, m["clientId"].(string))
			default:
				t.Fatalf("got %v", m)
			}
		}
		slices.Sort(met)
		if slices.Contains(met, c.id) || len(slices.Compact(met)) != n-1 {
			t.Errorf("%s met %v", c.id, met)
		}
	}
	if len(meetings) != n*(n-1)/2 {
		t.Errorf("%d pairs were introduced by room-users, want %d", len(meetings), n*(n-1)/2)
	}
}

// Many come, talk and go at once, politely or not; in the end nothing is left, which start checks.
func TestChurn(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.JoinRate, c.Limits.JoinBurst = 1e6, 1e6 })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				conn, _, err := s.tryDial()
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				c := &client{t: t, conn: conn, in: make(chan received, 4096)}
				go c.read()
				_ = c.sendRaw(websocket.MessageText, fmt.Appendf(nil, `{"type":"join","roomId":"r%d"}`, j%2))
				_ = c.sendRaw(websocket.MessageText, []byte(`{"type":"candidate","candidate":null}`))
				switch (i + j) % 4 {
				case 0:
					_ = conn.CloseNow()
				case 1:
					_ = conn.Close(websocket.StatusNormalClosure, "")
				case 2:
					_ = c.sendRaw(websocket.MessageText, []byte(`{"type":"leave"}`))
				case 3:
					_ = c.sendRaw(websocket.MessageText, []byte(`{`))
				}
				for ended := false; !ended; {
					select {
					case r := <-c.in:
						ended = r.err != nil
					case <-time.After(patience):
						t.Error("a socket did not end")
						return
					}
				}
			}
		})
	}
	all.Wait()
}

// SEC-39, SEC-40: at the most talkative level, the log has no secret, and client text stays on its line.
func TestLog(t *testing.T) {
	const token = "tok3n-hunter2"
	var log syncBuffer
	s := start(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.ICEServers = testICE
	})
	a := s.enter("r\" level=ERROR msg=\"root login\u2028")
	a.message("ice-servers")
	b := s.dial()
	b.send(`{"type":"join","roomId":"r\" level=ERROR msg=\"root login\u2028","token":"` + token + `","name":"n4me"}`)
	b.message("room-users")
	a.message("user-joined")
	sdp := sdpFile(t, "chromium-data-offer")
	b.send(offerTo("", sdp))
	a.message("offer")
	b.send(`{"type":"candidate","candidate":{"candidate":"` + hostCandidate + `"}}`)
	a.message("candidate")
	b.send(offerTo("", strings.Replace(sdp, "m=", "x=", 1)))
	b.send(`{"type":"` + token + `"}`)
	b.send(`{`)
	b.closed(1007)
	a.message("user-left")
	s.shutdown()

	text := log.String()
	for _, secret := range []string{token, "n4me", "c0ffee", "ice-pwd", "TVu2KsEAlWcJbnS6DbGngY8", "3180756984", "192.0.2.2"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q:\n%s", secret, text)
		}
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 4 {
		t.Errorf("%d lines, want two joins and two leaves:\n%s", len(lines), text)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=") || !strings.Contains(line, "level=INFO") || !strings.Contains(line, `room="r\" level=ERROR`) {
			t.Errorf("the line %q", line)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// brokenBus fails when it is told to.
type brokenBus struct {
	LocalBus
	noSubscribe, noPublish atomic.Bool
}

func (b *brokenBus) Subscribe(room string, handle func(Event)) (func(), error) {
	if b.noSubscribe.Load() {
		return nil, errors.New("no subscriptions today")
	}
	return b.LocalBus.Subscribe(room, handle)
}

func (b *brokenBus) Publish(room string, e Event) error {
	if b.noPublish.Load() {
		return errors.New("no events today")
	}
	return b.LocalBus.Publish(room, e)
}

// A bus that fails costs those who need it, with a reason; who stays learns who is gone, and no room is
// left behind.
func TestBusFails(t *testing.T) {
	bus := &brokenBus{}
	s := start(t, func(c *Config) { c.Bus = bus })
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")

	for _, broken := range []*atomic.Bool{&bus.noSubscribe, &bus.noPublish} {
		broken.Store(true)
		c := s.dial()
		c.send(`{"type":"join","roomId":"another"}`)
		c.refused(ReasonInternal)
		c.closed(int(websocket.StatusInternalError))
		broken.Store(false)
	}
	awaitStats(t, s.hub, func(n Stats) bool { return n.Rooms == 1 })

	bus.noPublish.Store(true)
	b.send(`{"type":"candidate","candidate":null}`)
	b.refused(ReasonInternal)
	b.closed(int(websocket.StatusInternalError))
	a.want(`{"type":"user-left","clientId":"` + b.id + `"}`)
}
