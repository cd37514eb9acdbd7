package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestConfigFaults(t *testing.T) {
	_, err := New(Config{
		Demo:           DemoLocal + 1,
		DefaultTTL:     2 * time.Hour,
		MaxTTL:         time.Hour,
		KeyRate:        Rate{PerSecond: 1},
		FailureRate:    Rate{PerSecond: -1, Burst: 1},
		PublicHosts:    []string{""},
		AllowedOrigins: []string{"https://good.example", "https://bad.example/"},
		TrustedProxies: []netip.Prefix{{}},
	})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, fault := range []string{
		"mint", "readiness", "demo mode", "turn: URI", "default lifetime", "per key", "wrong keys",
		"public host", `"https://bad.example/"`, "trusted proxy",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("no word of %s in: %v", fault, err)
		}
	}
	if strings.Contains(err.Error(), "good.example") {
		t.Errorf("a good origin is a fault: %v", err)
	}
	config, _ := testConfig(t)
	config.MaxTTL = 25 * time.Hour
	if _, err := New(config); err == nil {
		t.Error("a lifetime of 25 hours was taken")
	}
}

func TestIsOrigin(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://good.example": true, "http://localhost:3000": true, "https://[2001:db8::1]:8443": true,
		"https://192.0.2.1": true, "http://good.example:443": true,
		"": false, "*": false, "null": false, "good.example": false, "https://": false, "https://*.example": false,
		"https://good.example/": false, "https://good.example/a": false, "https://good.example?a": false,
		"https://good.example#a": false, "https://a@good.example": false, "https://good.example:443": false,
		"http://good.example:80": false, "https://Good.example": false, "ftp://good.example": false,
		"https://good.example:": false, "https://:8443": false, "chrome-extension://abc": false, "//good.example": false,
	} {
		if got := isOrigin(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}

// SEC-39: no key, token or password is in the log, at any level, whatever happened.
func TestLogHidesSecrets(t *testing.T) {
	var log strings.Builder
	h := newHandler(t, func(c *Config) { c.Logger = logTo(&log) })
	for _, rq := range []request{
		{line: "GET /turn?service=turn&ttl=60&username=private-user&key=" + aliceKey},
		{line: "GET /turn?service=" + aliceKey + "&ttl=" + bobKey},
		{line: "GET /v1/ice-servers?token=" + aliceKey + "&" + bobKey + "=1"},
		{line: "GET /v1/ice-servers", headers: []string{bearerAlice}},
		{line: "GET /v1/ice-servers?user=%zz" + aliceKey, headers: []string{"Authorization: Bearer wrong-" + aliceKey}},
		{line: "GET /" + strings.Repeat("x", 200) + aliceKey},
		{line: "GET /%0Alevel=ERROR%20msg=forged"},
		{line: "SECRETMETHOD /turn"},
	} {
		do(t, h, rq)
	}
	text := log.String()
	for _, secret := range []string{aliceKey, bobKey, "private-user", "\nlevel=ERROR msg=forged", "SECRETMETHOD"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log: %s", secret, text)
		}
	}
	for _, word := range []string{"service=turn&ttl=60&username=***&key=***", "route=/turn", "client=198.18.0.7", "status=200"} {
		if !strings.Contains(text, word) {
			t.Errorf("no %q in the log: %s", word, text)
		}
	}
	if n := strings.Count(text, "\n"); n != 8 {
		t.Errorf("%d lines for 8 requests: %s", n, text)
	}
}

func TestPanic(t *testing.T) {
	var log strings.Builder
	var value any = "secret plans failed"
	h := newHandler(t, func(c *Config) {
		c.Logger = logTo(&log)
		c.Signal = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) })
	})
	w := do(t, h, request{line: "GET /v1/signal"})
	if got := reasonOf(t, w); got != ReasonInternal || !strings.Contains(log.String(), "handler_test.go") {
		t.Errorf("got %q, log %s", got, log.String())
	}
	value = http.ErrAbortHandler
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v", got)
		}
	}()
	do(t, h, request{line: "GET /v1/signal"})
}

// SEC-55.
func TestServerLimits(t *testing.T) {
	server := NewHTTPServer(newHandler(t, nil), nil)
	if server.ReadHeaderTimeout != 5*time.Second || server.MaxHeaderBytes != 16<<10 ||
		server.IdleTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 {
		t.Errorf("got %+v", server)
	}
	test := httptest.NewUnstartedServer(nil)
	test.Config = server
	test.Start()
	defer test.Close()
	r, err := http.NewRequest(http.MethodGet, test.URL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 32<<10))
	answer, err := test.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("32 KiB of headers: %s", answer.Status)
	}
}

// pipeListener accepts one end of in-memory connections, whose deadlines are in the
// time of a synctest bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
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
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// servePipe has a server of h on in-memory connections and returns one.
func servePipe(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := NewHTTPServer(h, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	client, inside := net.Pipe()
	l.conns <- inside
	t.Cleanup(func() {
		client.Close()
		_ = server.Shutdown(context.Background())
		<-done
	})
	return client
}

// SEC-28 for HTTP: a client that stalls in its headers, or in its body, is let go of in
// time.
func TestStalledClient(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want time.Duration
	}{
		"headers": {"GET /healthz HTTP/1.1\r\nHost: a\r\n", readHeaderTimeout},
		"body": {
			"POST /v1/credentials HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n" +
				bearerAlice + "\r\n" + jsonBody + "\r\n\r\n{",
			readTimeout,
		},
		"between requests": {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", idleTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn := servePipe(t, newHandler(t, nil))
			begun := time.Now()
			if _, err := io.WriteString(conn, c.text); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begun); took < c.want || took > c.want+time.Second {
				t.Errorf("%s: ended after %v, want %v", name, took, c.want)
			}
		})
	}
}

// A client that does not read the answer is let go of.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := make(chan time.Time, 1)
		h := newHandler(t, nil)
		conn := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			// The pipe has no buffer: this is where the answer meets the deadline.
			_ = http.NewResponseController(w).Flush()
			served <- time.Now()
		}))
		begun := time.Now()
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if took := (<-served).Sub(begun); took != writeTimeout {
			t.Errorf("ended after %v", took)
		}
	})
}

// A connection that the signaling route takes over outlives all timeouts, and hijacking
// works through all that wraps the writer.
func TestSignalOutlivesTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		h := newHandler(t, func(c *Config) {
			c.Signal = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				defer close(done)
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
				w.WriteHeader(http.StatusSwitchingProtocols)
				conn, both, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				line, err := both.ReadString('\n')
				if err != nil {
					t.Errorf("after an hour: %v", err)
				}
				_, _ = io.WriteString(conn, line)
			})
		})
		conn := servePipe(t, h)
		go func() {
			_, _ = io.WriteString(conn, "GET /v1/signal HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}()
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("upgrade: %v, %v", answer, err)
		}
		time.Sleep(time.Hour) // In the bubble's time.
		if _, err := io.WriteString(conn, "still here\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := reader.ReadString('\n'); line != "still here\n" {
			t.Errorf("got %q, %v", line, err)
		}
		<-done
	})
}
