package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
)

const (
	local     = "127.0.0.1:4711"
	localhost = "Host: localhost:8080"
)

// demoCase is what is answered without a key in one mode.
type demoCase struct {
	name    string
	line    string
	remote  string
	headers []string
	want    Reason
}

func runDemo(t *testing.T, demo Demo, cases []demoCase) {
	t.Helper()
	h := newHandler(t, func(c *Config) {
		c.Demo = demo
		c.PublicHosts = []string{"call.example.org"}
		c.Signal = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	})
	for _, c := range cases {
		w := do(t, h, request{line: c.line, remote: c.remote, headers: c.headers})
		if got := reasonOf(t, w); got != c.want {
			t.Errorf("%s: %s: got %d %q, want %q", c.name, c.line, w.Code, got, c.want)
		}
	}
}

func TestDemoLocal(t *testing.T) {
	const ice = "GET /v1/ice-servers"
	runDemo(t, DemoLocal, []demoCase{
		{"localhost", ice, local, []string{localhost}, ""},
		{"localhost without a port", ice, local, []string{"Host: localhost"}, ""},
		{"localhost in capitals", ice, local, []string{"Host: LocalHost.:8080"}, ""},
		{"name below localhost", ice, local, []string{"Host: call.localhost:8080"}, ""},
		{"127.0.0.1", ice, local, []string{"Host: 127.0.0.1:8080"}, ""},
		{"127.0.0.2", ice, "127.0.0.2:1", []string{"Host: 127.0.0.2:8080"}, ""},
		{"::1", ice, "[::1]:4711", []string{"Host: [::1]:8080"}, ""},
		{"mapped", ice, "[::ffff:127.0.0.1]:4711", []string{"Host: [::ffff:127.0.0.1]:8080"}, ""},
		{"public host", ice, local, []string{"Host: call.example.org"}, ""},
		{"user and ttl", ice + "?user=u&ttl=86400", local, []string{localhost}, ""},

		{"rebound name", ice, local, []string{"Host: evil.example:8080"}, ReasonHostDenied},
		{"name like localhost", ice, local, []string{"Host: localhost.evil.example"}, ReasonHostDenied},
		{"name ending like localhost", ice, local, []string{"Host: evillocalhost"}, ReasonHostDenied},
		{"address of the machine", ice, local, []string{"Host: 192.0.2.1:8080"}, ReasonHostDenied},
		{"unspecified address", ice, local, []string{"Host: 0.0.0.0:8080"}, ReasonHostDenied},
		{"no host", ice, local, []string{"Host: "}, ReasonHostDenied},
		{"below the public host", ice, local, []string{"Host: x.call.example.org"}, ReasonHostDenied},
		{"other machine", ice, "192.0.2.9:4711", []string{localhost}, ReasonNotLocal},
		{"no address", ice, "@", []string{localhost}, ReasonNotLocal},
		{"proxied", ice, local, []string{localhost, "X-Forwarded-For: 192.0.2.9"}, ReasonNotLocal},
		{"proxied, claims loopback", ice, local, []string{localhost, "X-Forwarded-For: 127.0.0.1"}, ReasonNotLocal},
		{"proxied, Forwarded", ice, local, []string{localhost, "Forwarded: for=192.0.2.9"}, ReasonNotLocal},
		{"proxied, X-Real-IP", ice, local, []string{localhost, "X-Real-IP: 192.0.2.9"}, ReasonNotLocal},
		{"proxied, Via", ice, local, []string{localhost, "Via: 1.1 x"}, ReasonNotLocal},

		{"page of another site", ice, local, []string{localhost, "Sec-Fetch-Site: cross-site"}, ReasonOriginDenied},
		{"page of another port", ice, local, []string{localhost, "Sec-Fetch-Site: same-site"}, ReasonOriginDenied},
		{"own page", ice, local, []string{localhost, "Sec-Fetch-Site: same-origin"}, ""},
		{"typed in", ice, local, []string{localhost, "Sec-Fetch-Site: none"}, ""},
		{"allowed page", ice, local, []string{localhost, "Sec-Fetch-Site: same-site", "Origin: http://localhost:3000"}, ""},
		{"foreign origin", ice, local, []string{localhost, "Origin: https://evil.example"}, ReasonOriginDenied},
		{"own origin", ice, local, []string{localhost, "Origin: http://localhost:8080"}, ""},

		{"other machine with a key", ice, "192.0.2.9:4711", []string{bearerAlice}, ""},
		{"with a wrong key", ice, local, []string{localhost, "Authorization: Bearer wrong"}, ReasonUnknownKey},
		{"credentials take a key", "POST /v1/credentials", local, []string{localhost}, ReasonMissingKey},
		{"turn takes a key", "GET /turn?service=turn", local, []string{localhost}, ReasonMissingKey},

		{"page", "GET /", local, []string{localhost}, ""},
		{"page, rebound", "GET /", local, []string{"Host: evil.example:8080"}, ReasonHostDenied},
		{"page, other machine", "GET /", "192.0.2.9:1", []string{localhost}, ReasonNotLocal},
		{"rooms", "GET /v1/signal", local, []string{localhost}, ""},
		{"rooms, rebound", "GET /v1/signal", local, []string{"Host: evil.example:8080"}, ReasonHostDenied},
		{"rooms, proxied", "GET /v1/signal", local, []string{localhost, "X-Forwarded-For: 192.0.2.9"}, ReasonNotLocal},
		{"rooms, other machine with a key", "GET /v1/signal", "192.0.2.9:1", []string{bearerAlice}, ""},
		{"rooms, other machine with a wrong key", "GET /v1/signal", "192.0.2.9:1", []string{"Authorization: Bearer wrong"}, ReasonUnknownKey},
		{"health from elsewhere", "GET /healthz", "192.0.2.9:1", nil, ""},
		{"readiness from elsewhere", "GET /readyz", "192.0.2.9:1", nil, ""},
	})
}

func TestDemoOff(t *testing.T) {
	runDemo(t, DemoOff, []demoCase{
		{"local", "GET /v1/ice-servers", local, []string{localhost}, ReasonMissingKey},
		{"credentials", "POST /v1/credentials", "", nil, ReasonMissingKey},
		{"metrics", "GET /metrics", "", nil, ReasonMissingKey},
		{"page, under any name, which joins with a key", "GET /", "", nil, ""},
		{"rooms, which ask for the key themselves", "GET /v1/signal", "", nil, ""},
	})
}

// A server without keys says how to have some.
func TestNoKeys(t *testing.T) {
	h := newHandler(t, func(c *Config) { c.Keys = nil })
	w := do(t, h, request{line: "GET /v1/ice-servers"})
	if !strings.Contains(w.Body.String(), "--api-keys-file") {
		t.Errorf("no hint in %s", w.Body)
	}
	if got := reasonOf(t, w); got != ReasonMissingKey {
		t.Errorf("no key: %q", got)
	}
	w = do(t, h, request{line: "GET /v1/ice-servers", headers: []string{bearerAlice}})
	if got := reasonOf(t, w); got != ReasonUnknownKey {
		t.Errorf("a key: %q", got)
	}
}

// SEC-44: a hundred requests in a second with one key.
func TestKeyRate(t *testing.T) {
	config, clock := testConfig(t)
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	get := func(key string) Reason {
		w := do(t, h, request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Bearer " + key}})
		reason := reasonOf(t, w)
		if retry := w.Header().Get("Retry-After"); (reason == ReasonRateLimited) != (retry == "1") {
			t.Errorf("%q with Retry-After %q", reason, retry)
		}
		return reason
	}
	served := 0
	for range 100 {
		if get(aliceKey) == "" {
			served++
		}
		clock.advance(10 * time.Millisecond)
	}
	if want := 74; served != want { // the burst of 50, and 25 in the second but for its end
		t.Errorf("%d of 100 served, want %d", served, want)
	}
	if got := get(bobKey); got != "" {
		t.Errorf("another key: %q", got)
	}
	clock.advance(2 * time.Second)
	for i := range 50 {
		if got := get(aliceKey); got != "" {
			t.Fatalf("request %d after a rest: %q", i, got)
		}
	}
}

// Without a key, the rate is an address's.
func TestDemoRate(t *testing.T) {
	h := newHandler(t, func(c *Config) {
		c.Demo = DemoLocal
		c.KeyRate = Rate{PerSecond: 1, Burst: 1}
	})
	for _, c := range []struct {
		remote string
		want   Reason
	}{
		{"127.0.0.1:1", ""},
		{"127.0.0.1:2", ReasonRateLimited},
		{"[::ffff:127.0.0.1]:3", ReasonRateLimited},
		{"127.0.0.2:1", ""},
		{"[::1]:1", ""},
		{"[::1]:2", ReasonRateLimited},
	} {
		w := do(t, h, request{line: "GET /v1/ice-servers", remote: c.remote, headers: []string{localhost}})
		if got := reasonOf(t, w); got != c.want {
			t.Errorf("%s: got %q, want %q", c.remote, got, c.want)
		}
	}
}

// An IPv6 client cannot go on guessing from the other addresses of its /64.
func TestFailureRateOfNetwork(t *testing.T) {
	h := newHandler(t, func(c *Config) { c.FailureRate = Rate{PerSecond: 1, Burst: 1} })
	for _, c := range []struct {
		remote string
		want   Reason
	}{
		{"[2001:db8::1]:1", ReasonUnknownKey},
		{"[2001:db8::2]:1", ReasonRateLimited},
		{"[2001:db8:0:1::1]:1", ReasonUnknownKey},
		{"192.0.2.1:1", ReasonUnknownKey},
		{"[::ffff:192.0.2.1]:2", ReasonRateLimited},
		{"192.0.2.2:1", ReasonUnknownKey},
	} {
		w := do(t, h, request{line: "GET /v1/ice-servers", remote: c.remote, headers: []string{"Authorization: Bearer wrong"}})
		if got := reasonOf(t, w); got != c.want {
			t.Errorf("%s: got %q, want %q", c.remote, got, c.want)
		}
	}
}

func TestFailureRate(t *testing.T) {
	config, clock := testConfig(t)
	config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	get := func(remote, key string, headers ...string) Reason {
		headers = append(headers, "Authorization: Bearer "+key)
		return reasonOf(t, do(t, h, request{line: "GET /v1/ice-servers", remote: remote, headers: headers}))
	}
	const guesser = "192.0.2.1:1"
	for i := range 10 {
		if got := get(guesser, "wrong"); got != ReasonUnknownKey {
			t.Fatalf("guess %d: %q", i, got)
		}
	}
	for _, c := range []struct {
		name, remote, key, forwarded string
		want                         Reason
	}{
		{"guess 11", guesser, "wrong", "", ReasonRateLimited},
		{"the right key from the guesser", guesser, aliceKey, "", ReasonRateLimited},
		{"SEC-56: a stranger's X-Forwarded-For", guesser, aliceKey, "192.0.2.2", ReasonRateLimited},
		{"the right key from elsewhere", "192.0.2.2:1", aliceKey, "", ""},
		{"a wrong key from elsewhere", "192.0.2.2:1", "wrong", "", ReasonUnknownKey},
		{"the guesser through a proxy of ours", "10.1.1.1:1", aliceKey, "192.0.2.1", ReasonRateLimited},
		{"another through the same proxy", "10.1.1.1:1", aliceKey, "192.0.2.1, 192.0.2.2", ""},
	} {
		var headers []string
		if c.forwarded != "" {
			headers = []string{"X-Forwarded-For: " + c.forwarded}
		}
		if got := get(c.remote, c.key, headers...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	clock.advance(time.Second)
	if got := get(guesser, aliceKey); got != "" {
		t.Errorf("the right key after a rest: %q", got)
	}
}

// A proxy on loopback that is not configured speaks for all: one client's wrong keys
// must not keep another's right one out.
func TestFailureRateLoopback(t *testing.T) {
	h := newHandler(t, nil)
	get := func(key string) Reason {
		return reasonOf(t, do(t, h, request{line: "GET /v1/ice-servers", remote: local, headers: []string{"Authorization: Bearer " + key}}))
	}
	for range 10 {
		get("wrong")
	}
	if got := get("wrong"); got != ReasonRateLimited {
		t.Errorf("wrong key: %q", got)
	}
	if got := get(aliceKey); got != "" {
		t.Errorf("right key: %q", got)
	}
}

// SEC-22, SEC-38: strangers write no log above level debug, whatever they send.
func TestQuietAboutStrangers(t *testing.T) {
	var log strings.Builder
	h := newHandler(t, func(c *Config) { c.Logger = logTo(&log) })
	for range 20 {
		for _, line := range []string{"GET /v1/ice-servers", "POST /v1/credentials", "BREW /turn", "GET /nothing", "GET /metrics"} {
			do(t, h, request{line: line, headers: []string{"Authorization: Bearer wrong", "Origin: null"}})
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 100 || strings.Count(log.String(), "level=DEBUG") != lines {
		t.Errorf("%d lines: %s", lines, log.String())
	}
}

// A key that was replaced is refused at once, and its successor of the same name goes
// on with the same rate.
func TestReplaceKeys(t *testing.T) {
	keys := testKeys(t)
	h := newHandler(t, func(c *Config) {
		c.Keys = keys
		c.KeyRate = Rate{PerSecond: 1, Burst: 1}
		c.Mint = func(string, time.Duration) (credentials.Credential, error) { return credentials.Credential{}, nil }
	})
	get := func(key string) Reason {
		return reasonOf(t, do(t, h, request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Bearer " + key}}))
	}
	if got := get(aliceKey); got != "" {
		t.Errorf("old key: %q", got)
	}
	next, err := NewKey("alice", "alice-next-0123456789")
	if err != nil {
		t.Fatal(err)
	}
	keys.Replace([]Key{next})
	if got := get(aliceKey); got != ReasonUnknownKey {
		t.Errorf("old key: %q", got)
	}
	if got := get("alice-next-0123456789"); got != ReasonRateLimited {
		t.Errorf("new key: %q", got)
	}
}
