package signaling

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a test waits for what must come, in real time.
const patience = 20 * time.Second

func everybody(*http.Request, Join) (Member, error) {
	return Member{Capabilities: Capabilities{Publish: true, Moderate: true}}, nil
}

// server is a hub behind a real HTTP server.
type server struct {
	t   *testing.T
	hub *Hub
	url string
	web *http.Client
	// raw opens a connection to the HTTP server.
	raw func() (net.Conn, error)
	// patience is how long its clients wait for what must come. Only a failing test waits so long.
	patience time.Duration
}

func hubFor(t *testing.T, change func(*Config)) *Hub {
	t.Helper()
	config := Config{Limits: DefaultLimits(), Authorize: everybody, OriginOptional: true}
	if change != nil {
		change(&config)
	}
	hub, err := NewHub(config)
	if err != nil {
		t.Fatal(err)
	}
	return hub
}

// start serves on loopback. At the end of the test it shuts the hub down and checks that nothing is left.
func start(t *testing.T, change func(*Config)) *server {
	t.Helper()
	hub := hubFor(t, change)
	web := httptest.NewServer(hub)
	s := &server{t: t, hub: hub, url: web.URL, web: web.Client(), patience: patience}
	s.raw = func() (net.Conn, error) { return net.Dial("tcp", web.Listener.Addr().String()) }
	t.Cleanup(func() {
		s.shutdown()
		web.Close()
	})
	return s
}

// in is the same server, for a subtest.
func (s *server) in(t *testing.T) *server {
	sub := *s
	sub.t = t
	return &sub
}

// startInMemory serves without a network, for tests in a synctest bubble.
func startInMemory(t *testing.T, change func(*Config)) *server {
	t.Helper()
	hub := hubFor(t, change)
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: hub}
	go web.Serve(l)
	s := &server{t: t, hub: hub, url: "http://memory", patience: 48 * time.Hour}
	s.web = &http.Client{Transport: &http.Transport{DialContext: l.dial}}
	s.raw = func() (net.Conn, error) { return l.dial(t.Context(), "", "") }
	t.Cleanup(func() {
		s.shutdown()
		_ = web.Close()
	})
	return s
}

func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	if err := s.hub.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
	if n := s.hub.Stats(); n.Rooms != 0 || n.Members != 0 || n.Sockets != 0 {
		s.t.Errorf("after shutdown there are %d rooms, %d members and %d sockets", n.Rooms, n.Members, n.Sockets)
	}
	if b, ok := s.hub.bus.(*LocalBus); ok && len(b.rooms) != 0 {
		s.t.Errorf("after shutdown the bus knows %d rooms", len(b.rooms))
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// received is one message from the server, or the end of the socket.
type received struct {
	message map[string]any
	err     error
}

// client is a WebSocket client that reads all the time.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	id   string
	in   chan received

	patience time.Duration
}

// dial opens a socket and reads it.
func (s *server) dial(header ...string) *client {
	s.t.Helper()
	conn, response, err := s.tryDial(header...)
	if err != nil {
		s.t.Fatalf("dial: %v (%v)", err, response)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	c := &client{t: s.t, conn: conn, in: make(chan received, 4096), patience: s.patience}
	go c.read()
	return c
}

func (s *server) tryDial(header ...string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	conn, response, err := websocket.Dial(ctx, s.url+"/v1/signal", &websocket.DialOptions{HTTPClient: s.web, HTTPHeader: h})
	if conn != nil {
		conn.SetReadLimit(1 << 20)
	}
	return conn, response, err
}

func (c *client) read() {
	for {
		kind, data, err := c.conn.Read(context.Background())
		if err != nil {
			c.in <- received{err: err}
			return
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil || kind != websocket.MessageText {
			c.in <- received{err: errors.New("the server sent what is not JSON text: " + string(data))}
			return
		}
		c.in <- received{message: m}
	}
}

func (c *client) sendRaw(kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.conn.Write(ctx, kind, data)
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.sendRaw(websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) next() received {
	c.t.Helper()
	select {
	case r := <-c.in:
		return r
	case <-time.After(c.patience):
		c.t.Fatal("nothing came from the server")
		return received{}
	}
}

// message is the next message, which must be of a type.
func (c *client) message(kind string) map[string]any {
	c.t.Helper()
	r := c.next()
	if r.err != nil {
		c.t.Fatalf("waiting for %s: %v", kind, r.err)
	}
	if r.message["type"] != kind {
		c.t.Fatalf("waiting for %s, got %v", kind, r.message)
	}
	return r.message
}

// want checks the next message, all of it.
func (c *client) want(text string) {
	c.t.Helper()
	var want map[string]any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		c.t.Fatal(err)
	}
	if got := c.message(want["type"].(string)); !reflect.DeepEqual(got, want) {
		c.t.Errorf("got %v, want %v", got, want)
	}
}

// refused waits for an error message.
func (c *client) refused(reason Reason) {
	c.t.Helper()
	if m := c.message("error"); m["reason"] != string(reason) || m["message"] == "" {
		c.t.Errorf("got %v, want reason %s", m, reason)
	}
}

// ends waits for the end of the socket, past whatever comes before.
func (c *client) ends() error {
	c.t.Helper()
	for {
		if r := c.next(); r.err != nil {
			return r.err
		}
	}
}

// closed waits until the socket is closed with a code.
func (c *client) closed(code int) {
	c.t.Helper()
	if err := c.ends(); int(websocket.CloseStatus(err)) != code {
		c.t.Errorf("the socket ended with %v, want code %d", err, code)
	}
}

// join joins a room and returns who is there.
func (c *client) join(room string) []any {
	c.t.Helper()
	c.send(`{"type":"join","roomId":` + quote(room) + `}`)
	m := c.message("room-users")
	c.id = m["clientId"].(string)
	return m["users"].([]any)
}

// enter opens a socket and joins.
func (s *server) enter(room string) *client {
	s.t.Helper()
	c := s.dial()
	c.join(room)
	return c
}

func offerTo(target string, sdp string) string {
	m := Message{Type: TypeOffer, Target: ClientID(target), Description: Description{"offer", sdp}}
	return string(m.encode())
}

// ping proves that a pair of members is still served: what one sends, the other gets.
func ping(from, to *client) {
	from.t.Helper()
	from.send(`{"type":"candidate","candidate":null,"targetClientId":"` + to.id + `"}`)
	to.want(`{"type":"candidate","candidate":null,"clientId":"` + from.id + `"}`)
}

// handshake opens a socket whose frames the test writes itself.
func (s *server) handshake() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, err := s.raw()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(s.patience))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("handshake: %v %v", response, err)
	}
	return conn, in
}

// frame is a short frame of a client, masked with zeros; opcode includes the FIN bit.
func frame(opcode byte, payload string) []byte {
	return append([]byte{opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// problem reads a problem document.
func problem(t *testing.T, r *http.Response) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		t.Fatalf("status %d without a problem document: %v", r.StatusCode, err)
	}
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
		t.Errorf("content type %q", kind)
	}
	for _, member := range []string{"type", "title", "status", "detail", "reason"} {
		if m[member] == nil || m[member] == "" {
			t.Errorf("no %q in %v", member, m)
		}
	}
	if m["status"] != float64(r.StatusCode) {
		t.Errorf("status %v in the document, %d in the header", m["status"], r.StatusCode)
	}
	return m
}
