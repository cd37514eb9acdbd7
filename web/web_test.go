package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/credentials"
)

const (
	aliceKey = "alice-key-0123456789"
	bobKey   = "bob-key-0123456789ab"
)

// start is when tests begin: 12334939 - 3600 s, so that an hour later is the expiry of
// the published vector.
func start() time.Time { return time.Unix(12334939-3600, 0).UTC() }

// clock is a time that stands still until it is moved. Safe for concurrent use.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newClock() *clock { return &clock{now: start()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testKeys are those of alice and bob.
func testKeys(t testing.TB) *Keys {
	t.Helper()
	list, err := ParseKeys(strings.NewReader("alice:" + aliceKey + "\nbob:" + bobKey + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return NewKeys(list...)
}

// testConfig mints with the secret of the published vector and counts on a clock that
// the test moves.
func testConfig(t testing.TB) (Config, *clock) {
	t.Helper()
	secrets, err := credentials.NewSecrets(credentials.UnsafeSecret("north"))
	if err != nil {
		t.Fatal(err)
	}
	clock := newClock()
	return Config{
		Mint: func(user string, ttl time.Duration) (credentials.Credential, error) {
			return secrets.Mint(user, ttl, clock.Now())
		},
		ICE: ICE{
			STUN: []string{"stun:turn.example.org:3478"},
			TURN: []string{"turn:turn.example.org:3478?transport=udp", "turn:turn.example.org:3478?transport=tcp"},
		},
		Keys:           testKeys(t),
		AllowedOrigins: []string{"https://good.example", "http://localhost:3000"},
		Ready:          func(context.Context) error { return nil },
		Now:            clock.Now,
	}, clock
}

// newHandler returns a handler of the test configuration, changed by change.
func newHandler(t testing.TB, change func(*Config)) *Handler {
	t.Helper()
	config, _ := testConfig(t)
	if change != nil {
		change(&config)
	}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// request is one line of a table: "GET /path", headers as "Name: value" and a body.
type request struct {
	line    string
	headers []string
	body    string
	remote  string // "" is a client somewhere on the internet
}

// do has h serve a request.
func do(t testing.TB, h http.Handler, rq request) *httptest.ResponseRecorder {
	t.Helper()
	method, target, _ := strings.Cut(rq.line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(rq.body))
	r.RemoteAddr = "198.18.0.7:4711"
	if rq.remote != "" {
		r.RemoteAddr = rq.remote
	}
	r.Host = "turn.example.org"
	for _, header := range rq.headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// reasonOf checks that an answer is a problem document as documented and returns its
// reason, or "" for an answer that is no refusal.
func reasonOf(t testing.TB, w *httptest.ResponseRecorder) Reason {
	t.Helper()
	if w.Code < 400 {
		return ""
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type of a refusal: %q", got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of a refusal: %q", got)
	}
	if w.Body.Len() == 0 {
		t.Fatal("a refusal without a body")
	}
	decoder := json.NewDecoder(w.Body)
	decoder.DisallowUnknownFields()
	var p problem
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("problem document: %v", err)
	}
	if p.Status != w.Code || p.Title == "" || len(p.Detail) < 20 || p.Type != "urn:hairpin:problem:"+string(p.Reason) {
		t.Errorf("problem document of status %d: %+v", w.Code, p)
	}
	if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
		t.Errorf("status %d with WWW-Authenticate %q", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	return p.Reason
}

// logTo returns a logger of all levels.
func logTo(w *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
