package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// load is what is asked of a server: rooms of honest members, who negotiate and then trickle, and one
// hostile member in each.
type load struct {
	Rooms, Honest int
	Rounds        int           // of candidates, each to all others, after the negotiation
	Every         time.Duration // from one round to the next
}

// loadResult is what the honest members saw.
type loadResult struct {
	Joined    int // of the honest members
	Forwarded int // candidates that arrived
	P50, P99  time.Duration
	Longest   time.Duration
	Faults    []string // what should not have been; the first of them
}

// candidates is how many have to arrive.
func (l load) candidates() int { return l.Rooms * l.Honest * (l.Honest - 1) * l.Rounds }

// check fails the test unless the honest members all got everything.
func (l load) check(t *testing.T, r loadResult) {
	t.Helper()
	if r.Joined != l.Rooms*l.Honest {
		t.Errorf("%d of %d honest members joined", r.Joined, l.Rooms*l.Honest)
	}
	if r.Forwarded != l.candidates() {
		t.Errorf("%d of %d candidates arrived", r.Forwarded, l.candidates())
	}
	for _, fault := range r.Faults {
		t.Error(fault)
	}
}

// loadClients is the run of a load against a server.
type loadClients struct {
	load
	url, sdp string
	end      context.Context // of the hostile members
	joined   sync.WaitGroup  // honest members who have yet to join
	talking  chan struct{}   // closed when all have
	dialing  chan struct{}   // holds a token for each socket that is being opened

	mu      sync.Mutex // guards all below
	entered int
	delays  []time.Duration
	faults  []string
}

// loadTime is how long a load may take, from the first socket to the last candidate.
const loadTime = 100 * time.Second

func (l load) run(ctx context.Context, url, sdp string) loadResult {
	end, stop := context.WithTimeout(ctx, loadTime)
	c := &loadClients{load: l, url: url, sdp: sdp, end: end, talking: make(chan struct{}), dialing: make(chan struct{}, 64)}
	c.joined.Add(l.Rooms * l.Honest)
	go func() {
		c.joined.Wait()
		close(c.talking)
	}()
	var honest, hostile sync.WaitGroup
	for r := range l.Rooms {
		room := fmt.Sprint("room-", r)
		for i := range l.Honest {
			honest.Go(func() { c.honest(room, i) })
		}
		hostile.Go(func() { c.hostile(room, r) })
	}
	honest.Wait()
	stop()
	hostile.Wait()
	slices.Sort(c.delays)
	result := loadResult{Joined: c.entered, Forwarded: len(c.delays), Faults: c.faults}
	if n := len(c.delays); n > 0 {
		result.P50, result.P99, result.Longest = c.delays[n/2], c.delays[n*99/100], c.delays[n-1]
	}
	return result
}

func (c *loadClients) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 20 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// enter asks to join a room, on a new socket.
func (c *loadClients) enter(ctx context.Context, room, name string) (*websocket.Conn, error) {
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.dialing }()
	header := http.Header{"X-Client": {room + name}}
	conn, _, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	text := fmt.Sprintf(`{"type":"join","roomId":%q,"name":%q,"resume":true}`, room, name)
	return conn, conn.Write(ctx, websocket.MessageText, []byte(text))
}

// honestMember is one that keeps to the protocol.
type honestMember struct {
	*loadClients
	conn *websocket.Conn
	room string
	me   int

	met    chan string    // ids of other honest members, as they are met
	next   map[string]int // the number of the next candidate of each
	delays []time.Duration
	done   int // others from whom all has come
}

func (c *loadClients) honest(room string, i int) {
	m := &honestMember{loadClients: c, room: room, me: i, met: make(chan string, c.Honest), next: map[string]int{}}
	left := sync.OnceFunc(c.joined.Done)
	defer left()
	ctx, cancel := context.WithCancel(c.end)
	defer cancel()
	conn, err := c.enter(ctx, room, fmt.Sprint("honest-", i))
	if err != nil {
		c.fault("%s: an honest member could not join: %v", room, err)
		return
	}
	m.conn = conn
	defer conn.Close(websocket.StatusNormalClosure, "")
	var talk sync.WaitGroup
	defer talk.Wait()
	for m.done < c.Honest-1 {
		_, text, err := conn.Read(ctx)
		if err != nil {
			if c.end.Err() != nil {
				c.fault("%s: after %v, an honest member still lacks the candidates of %d others", room, loadTime, c.Honest-1-m.done)
			} else {
				c.fault("%s: an honest member was closed: %v", room, err)
			}
			cancel()
			break
		}
		if m.hear(text) {
			c.mu.Lock()
			c.entered++
			c.mu.Unlock()
			left()
			talk.Go(func() { m.talk(ctx) })
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delays = append(c.delays, m.delays...)
}

// heard is a message from the server.
type heard struct {
	Type      string
	ClientID  string
	Reason    string
	Name      string
	Names     map[string]string
	Candidate *struct {
		N int
		T string
	}
	Offer, Answer *struct{ SDP string }
}

// hear reports whether the message was the answer to the join.
func (m *honestMember) hear(text []byte) (joined bool) {
	var h heard
	if err := json.Unmarshal(text, &h); err != nil {
		m.fault("%s: got %s", m.room, text)
		return false
	}
	switch h.Type {
	case "room-users":
		for id, name := range h.Names {
			m.meet(id, name)
		}
		return true
	case "user-joined":
		m.meet(h.ClientID, h.Name)
	case "user-left":
		if _, honest := m.next[h.ClientID]; honest && m.next[h.ClientID] < m.Rounds {
			m.fault("%s: an honest member was said to have left", m.room)
		}
	case "offer", "answer":
		if d := h.Offer; d != nil && d.SDP != m.sdp && m.isHonest(h.ClientID) {
			m.fault("%s: an offer was changed", m.room)
		}
	case "candidate":
		m.candidate(h)
	case "error":
		if h.Reason != string(ReasonUnknownTarget) {
			m.fault("%s: an honest member was told %s", m.room, h.Reason)
		}
	}
	return false
}

func (m *honestMember) isHonest(id string) bool {
	_, honest := m.next[id]
	return honest
}

func (m *honestMember) meet(id, name string) {
	if strings.HasPrefix(name, "honest-") {
		m.next[id] = 0
		m.met <- id
	}
}

func (m *honestMember) candidate(h heard) {
	if !m.isHonest(h.ClientID) {
		return // the hostile one may send candidates too
	}
	if h.Candidate == nil || h.Candidate.N != m.next[h.ClientID] {
		m.fault("%s: candidate %d came as %+v", m.room, m.next[h.ClientID], h.Candidate)
		return
	}
	if m.next[h.ClientID]++; m.next[h.ClientID] == m.Rounds {
		m.done++
	}
	if sent, err := strconv.ParseInt(h.Candidate.T, 10, 64); err == nil {
		m.delays = append(m.delays, time.Since(time.Unix(0, sent)))
	}
}

// talk offers to everybody, and then trickles.
func (m *honestMember) talk(ctx context.Context) {
	var others []string
	for range m.Honest - 1 {
		select {
		case id := <-m.met:
			others = append(others, id)
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-m.talking:
	case <-ctx.Done():
		return
	}
	for _, id := range others {
		for _, kind := range []Type{TypeOffer, TypeAnswer} {
			message := Message{Type: kind, Target: ClientID(id), Description: Description{string(kind), m.sdp}}
			if m.conn.Write(ctx, websocket.MessageText, message.encode()) != nil {
				return
			}
		}
	}
	for n := range m.Rounds {
		select {
		case <-time.After(m.Every):
		case <-ctx.Done():
			return
		}
		for _, id := range others {
			text := fmt.Sprintf(`{"type":"candidate","targetClientId":%q,"candidate":{"candidate":"%s","sdpMLineIndex":0,"n":%d,"t":"%d"}}`,
				id, hostCandidate, n, time.Now().UnixNano())
			if m.conn.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}
}

// hostile harms its room as well as it can, again and again, in one of four ways.
func (c *loadClients) hostile(room string, r int) {
	for c.end.Err() == nil {
		ctx, cancel := context.WithTimeout(c.end, 20*time.Second)
		if conn, err := c.enter(ctx, room, "hostile"); err == nil {
			c.attack(ctx, conn, r%4)
			_ = conn.CloseNow()
		}
		cancel()
		select {
		case <-time.After(c.Every):
		case <-c.end.Done():
		}
	}
}

func (c *loadClients) attack(ctx context.Context, conn *websocket.Conn, kind int) {
	send := func(text string) bool { return conn.Write(ctx, websocket.MessageText, []byte(text)) == nil }
	_, users, _ := conn.Read(ctx)
	var h struct{ Users []string }
	_ = json.Unmarshal(users, &h)
	if kind != 1 {
		go func() {
			for {
				if _, _, err := conn.Read(ctx); err != nil {
					return
				}
			}
		}()
	}
	switch kind {
	case 0: // floods
		for send(`{"type":"candidate","candidate":null}`) {
		}
	case 1: // never reads
		<-ctx.Done()
	case 2: // lies about its id, and about whom it writes to
		for _, id := range append(h.Users, "nobody") {
			send(fmt.Sprintf(`{"type":"candidate","candidate":{"candidate":"","n":7},"clientId":%q,"from":%q,"targetClientId":"x"}`, id, id))
			send(fmt.Sprintf(`{"type":"resume","roomId":"r","clientId":%q,"secret":"x","received":0}`, id))
			send(fmt.Sprintf(`{"type":"remove","targetClientId":%q}`, id))
		}
		<-ctx.Done()
	case 3: // SDP of nearly 64 KB
		for send(offerTo("", c.sdp+strings.Repeat("a=x\r\n", 10<<10))) {
		}
	}
}

// loadServer serves on loopback with limits that let one machine be thousands of clients.
func loadServer(t *testing.T, l load) (*Hub, string) {
	t.Helper()
	limits := DefaultLimits()
	limits.Rooms, limits.Members = l.Rooms, l.Honest+2
	limits.JoinTimeout = time.Minute // all come at once, and the clients are on this machine too
	seed := maphash.MakeSeed()
	hub := hubFor(t, func(c *Config) {
		c.Limits = limits
		c.ClientAddr = func(r *http.Request) netip.Addr { // each client has an address of its own
			n := maphash.String(seed, r.Header.Get("X-Client"))
			return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		}
		c.Authorize = func(_ *http.Request, j Join) (Member, error) {
			return Member{Capabilities: Capabilities{Publish: true}}, nil
		}
		c.ICEServers = testICE
	})
	server := httptest.NewServer(hub)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = hub.Shutdown(ctx)
		server.Close()
	})
	return hub, server.URL
}

// SEC-54: a hostile member in every room harms nobody: whatever the others send arrives, once, in order
// and unchanged, and none of them is closed.
func TestHostileMemberInEveryRoom(t *testing.T) {
	l := load{Rooms: 8, Honest: 4, Rounds: 10, Every: 50 * time.Millisecond}
	_, url := loadServer(t, l)
	result := l.run(t.Context(), url, sdpFile(t, "chromium-av-offer"))
	l.check(t, result)
}

// loadVariable makes the test binary the clients of a load: its value is the server's URL.
const loadVariable = "HAIRPIN_TEST_LOAD_URL"

// fullLoad is 5000 WebSockets in 1000 rooms, or in as many as HAIRPIN_BENCH_ROOMS says.
func fullLoad(t *testing.T) load {
	l := load{Rooms: 1000, Honest: 4, Rounds: 6, Every: 8 * time.Second}
	if text := os.Getenv("HAIRPIN_BENCH_ROOMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("HAIRPIN_BENCH_ROOMS is %q, want a number of rooms", text)
		}
		l.Rooms = n
	}
	return l
}

// TestFullLoad reports what 5000 WebSockets cost. The clients are another process, so that the memory is
// the server's. It runs with HAIRPIN_BENCH set, for less than two minutes.
func TestFullLoad(t *testing.T) {
	l := fullLoad(t)
	if url := os.Getenv(loadVariable); url != "" {
		result, _ := json.Marshal(l.run(t.Context(), url, sdpFile(t, "chromium-av-offer")))
		fmt.Printf("\nload %s\n", result)
		return
	}
	if os.Getenv("HAIRPIN_BENCH") == "" {
		t.Skip("takes minutes: set HAIRPIN_BENCH=1")
	}
	hub, url := loadServer(t, l)
	began := time.Now()
	before := memory()
	clients := exec.Command(os.Args[0], "-test.run=^TestFullLoad$")
	clients.Env = append(os.Environ(), loadVariable+"="+url)
	clients.Stderr = os.Stderr
	out, ended := []byte(nil), make(chan error, 1)
	go func() {
		var err error
		out, err = clients.Output()
		ended <- err
	}()
	sockets, perSocket := 0, uint64(0)
	for running := true; running; {
		select {
		case err := <-ended:
			if running = false; err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		case <-time.After(time.Second):
			if n := hub.Stats().Sockets; n > sockets {
				sockets, perSocket = n, (memory()-before)/uint64(n)
			}
		}
	}
	result, err := loadOf(out)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := hub.Stats()
	t.Logf("%d WebSockets in %d rooms, one of them hostile in each, for %v", sockets, l.Rooms, time.Since(began).Round(time.Second))
	t.Logf("%d of %d honest members joined; %d of %d candidates forwarded", result.Joined, l.Rooms*l.Honest, result.Forwarded, l.candidates())
	t.Logf("forward delay p50 %v, p99 %v, longest %v", result.P50, result.P99, result.Longest)
	t.Logf("%.1f KiB a WebSocket: heap and stacks", float64(perSocket)/(1<<10))
	maps.DeleteFunc(n.Refusals, func(_ Reason, times uint64) bool { return times == 0 })
	t.Logf("%d offers, answers and candidates taken; refusals, of hostile members if nothing failed: %v",
		n.Messages[TypeOffer]+n.Messages[TypeAnswer]+n.Messages[TypeCandidate], n.Refusals)
	l.check(t, result)
}

// loadOf finds the result in what the clients printed.
func loadOf(out []byte) (r loadResult, err error) {
	for line := range strings.Lines(string(out)) {
		if text, found := strings.CutPrefix(line, "load "); found {
			return r, json.Unmarshal([]byte(text), &r)
		}
	}
	return r, errors.New("the clients printed no result")
}

// memory is what the heap and the stacks of this process hold.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
