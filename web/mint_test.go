package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
)

const (
	bearerAlice = "Authorization: Bearer " + aliceKey
	jsonBody    = "Content-Type: application/json"
	formBody    = "Content-Type: application/x-www-form-urlencoded"
)

// The user, secret and expiry of the vector in draft-uberti-behave-turn-rest-00 and its
// password, in every shape.
func TestShapes(t *testing.T) {
	const (
		turnREST = `{"username":"12334939:mbzrxpgjys","password":"Iq7YXkRon8YXJfdN1Ke9EZOw1UE=","ttl":3600,` +
			`"uris":["turn:turn.example.org:3478?transport=udp","turn:turn.example.org:3478?transport=tcp"]}`
		iceServers = `{"iceServers":[{"urls":["stun:turn.example.org:3478"]},` +
			`{"urls":["turn:turn.example.org:3478?transport=udp","turn:turn.example.org:3478?transport=tcp"],` +
			`"username":"12334939:mbzrxpgjys","credential":"Iq7YXkRon8YXJfdN1Ke9EZOw1UE="}],` +
			`"iceTransportPolicy":"all","ttl":3600,"expiresAt":"1970-05-23T18:22:19Z"}`
		credential = `{"username":"12334939:mbzrxpgjys","password":"Iq7YXkRon8YXJfdN1Ke9EZOw1UE=","ttl":3600,` +
			`"expiresAt":"1970-05-23T18:22:19Z",` +
			`"uris":["turn:turn.example.org:3478?transport=udp","turn:turn.example.org:3478?transport=tcp"]}`
	)
	for _, c := range []struct {
		name   string
		rq     request
		status int
		want   string
	}{
		{"ice-servers", request{line: "GET /v1/ice-servers?user=mbzrxpgjys", headers: []string{bearerAlice}}, 200, iceServers},
		{"ice-servers ttl", request{line: "GET /v1/ice-servers?user=mbzrxpgjys&ttl=3600", headers: []string{bearerAlice}}, 200, iceServers},
		{"ice-servers empty ttl", request{line: "GET /v1/ice-servers?user=mbzrxpgjys&ttl=", headers: []string{bearerAlice}}, 200, iceServers},
		{"scheme in lower case", request{line: "GET /v1/ice-servers?user=mbzrxpgjys", headers: []string{"Authorization: bearer " + aliceKey}}, 200, iceServers},
		{
			"credentials",
			request{line: "POST /v1/credentials", headers: []string{bearerAlice, jsonBody}, body: `{"user":"mbzrxpgjys","ttl":3600}`},
			201, credential,
		},
		{
			"credentials charset",
			request{
				line: "POST /v1/credentials", headers: []string{bearerAlice, jsonBody + "; charset=utf-8"},
				body: "\n {\"user\" : \"mbzrxpgjys\"}\n",
			},
			201, credential,
		},
		{"turn GET", request{line: "GET /turn?service=turn&username=mbzrxpgjys&ttl=&key=" + aliceKey}, 200, turnREST},
		{"turn bearer", request{line: "GET /turn?service=turn&username=mbzrxpgjys", headers: []string{bearerAlice}}, 200, turnREST},
		{"turn POST", request{line: "POST /turn?service=turn&username=mbzrxpgjys&key=" + aliceKey}, 200, turnREST},
		{
			"turn form",
			request{line: "POST /turn", headers: []string{formBody}, body: "service=turn&username=mbzrxpgjys&ttl=3600&key=" + aliceKey},
			200, turnREST,
		},
		{"health", request{line: "GET /healthz"}, 200, `{"status":"ok"}`},
		{"ready", request{line: "GET /readyz"}, 200, `{"status":"ready"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(t, newHandler(t, nil), c.rq)
			if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.want {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.want)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: %q", got)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: %q", got)
			}
		})
	}
}

func TestNoSTUN(t *testing.T) {
	h := newHandler(t, func(c *Config) { c.ICE.STUN = nil })
	w := do(t, h, request{line: "GET /v1/ice-servers", headers: []string{bearerAlice}})
	if !strings.HasPrefix(w.Body.String(), `{"iceServers":[{"urls":["turn:`) {
		t.Errorf("got %s", w.Body)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("u", 10<<10)
	auth := []string{bearerAlice}
	post := func(body string) request {
		return request{line: "POST /v1/credentials", headers: []string{bearerAlice, jsonBody}, body: body}
	}
	for _, c := range []struct {
		name string
		rq   request
		want Reason
	}{
		{"SEC-44 no key", request{line: "GET /v1/ice-servers"}, ReasonMissingKey},
		{"no key, POST", request{line: "POST /v1/credentials"}, ReasonMissingKey},
		{"no key, turn", request{line: "GET /turn?service=turn&username=u"}, ReasonMissingKey},
		{"empty key, turn", request{line: "GET /turn?service=turn&username=u&key="}, ReasonMissingKey},
		{"unknown key", request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Bearer " + aliceKey + "x"}}, ReasonUnknownKey},
		{"unknown key, turn", request{line: "GET /turn?service=turn&key=" + aliceKey[1:]}, ReasonUnknownKey},
		{"name for key", request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Bearer alice"}}, ReasonUnknownKey},
		{"key in the URL", request{line: "GET /v1/ice-servers?key=" + aliceKey}, ReasonMissingKey},
		{"SEC-48 token in the URL", request{line: "GET /v1/ice-servers?token=" + aliceKey}, ReasonMissingKey},
		{"basic", request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Basic YTpi"}}, ReasonBadAuth},
		{"no token", request{line: "GET /v1/ice-servers", headers: []string{"Authorization: Bearer"}}, ReasonBadAuth},
		{"empty header", request{line: "GET /v1/ice-servers", headers: []string{"Authorization: "}}, ReasonBadAuth},
		{"two headers", request{line: "GET /v1/ice-servers", headers: []string{bearerAlice, bearerAlice}}, ReasonBadAuth},
		{"wrong bearer, right parameter", request{line: "GET /turn?service=turn&key=" + aliceKey, headers: []string{"Authorization: Bearer x"}}, ReasonUnknownKey},

		{"SEC-45 user with a colon", request{line: "GET /v1/ice-servers?user=a:b", headers: auth}, ReasonBadUser},
		{"SEC-45 user of 10 KB", request{line: "GET /v1/ice-servers?user=" + long, headers: auth}, ReasonBadUser},
		{"user with a newline", request{line: "GET /v1/ice-servers?user=a%0Ab", headers: auth}, ReasonBadUser},
		{"user not UTF-8", request{line: "GET /v1/ice-servers?user=%ff", headers: auth}, ReasonBadUser},
		{"turn user", request{line: "GET /turn?service=turn&username=a:b", headers: auth}, ReasonBadUser},
		{"JSON user", post(`{"user":"a:b"}`), ReasonBadUser},
		{"JSON empty user", post(`{"user":""}`), ReasonBadUser},
		{"JSON null user", post(`{"user":null}`), ReasonBadUser},
		{"JSON number user", post(`{"user":7}`), ReasonBadUser},

		{"SEC-45 ttl negative", request{line: "GET /v1/ice-servers?ttl=-1", headers: auth}, ReasonBadTTL},
		{"ttl zero", request{line: "GET /v1/ice-servers?ttl=0", headers: auth}, ReasonBadTTL},
		{"ttl zeros", request{line: "GET /v1/ice-servers?ttl=000", headers: auth}, ReasonBadTTL},
		{"ttl plus", request{line: "GET /v1/ice-servers?ttl=%2B60", headers: auth}, ReasonBadTTL},
		{"ttl exponent", request{line: "GET /v1/ice-servers?ttl=1e9", headers: auth}, ReasonBadTTL},
		{"ttl duration", request{line: "GET /v1/ice-servers?ttl=1h", headers: auth}, ReasonBadTTL},
		{"ttl fraction", request{line: "GET /v1/ice-servers?ttl=1.5", headers: auth}, ReasonBadTTL},
		{"ttl hexadecimal", request{line: "GET /v1/ice-servers?ttl=0x10", headers: auth}, ReasonBadTTL},
		{"turn ttl", request{line: "GET /turn?service=turn&ttl=x", headers: auth}, ReasonBadTTL},
		{"JSON ttl zero", post(`{"ttl":0}`), ReasonBadTTL},
		{"JSON ttl negative", post(`{"ttl":-1}`), ReasonBadTTL},
		{"JSON ttl fraction", post(`{"ttl":1.5}`), ReasonBadTTL},
		{"JSON ttl exponent", post(`{"ttl":1e9}`), ReasonBadTTL},
		{"JSON ttl string", post(`{"ttl":"3600"}`), ReasonBadTTL},
		{"JSON ttl null", post(`{"ttl":null}`), ReasonBadTTL},

		{"parameter twice", request{line: "GET /v1/ice-servers?ttl=60&ttl=61", headers: auth}, ReasonBadQuery},
		{"parameter in URL and form", request{line: "POST /turn?service=turn&ttl=60", headers: []string{bearerAlice, formBody}, body: "ttl=60"}, ReasonBadQuery},
		{"bad escape", request{line: "GET /v1/ice-servers?user=%zz", headers: auth}, ReasonBadQuery},
		{"bad escape, turn", request{line: "GET /turn?service=turn&user=%zz", headers: auth}, ReasonBadQuery},
		{"semicolon", request{line: "GET /v1/ice-servers?user=a;ttl=1", headers: auth}, ReasonBadQuery},
		{"no service", request{line: "GET /turn?username=u", headers: auth}, ReasonUnsupportedService},
		{"other service", request{line: "GET /turn?service=stun&username=u", headers: auth}, ReasonUnsupportedService},

		{"no media type", request{line: "POST /v1/credentials", headers: auth, body: `{}`}, ReasonBadMediaType},
		{"form for JSON", request{line: "POST /v1/credentials", headers: []string{bearerAlice, formBody}, body: `{}`}, ReasonBadMediaType},
		{"JSON for form", request{line: "POST /turn", headers: []string{bearerAlice, jsonBody}, body: `{}`}, ReasonBadMediaType},
		{"body of 8193 bytes", post(`{"user":"a"}` + strings.Repeat(" ", 8193-12)), ReasonBodyTooLarge},
		{"form of 8193 bytes", request{line: "POST /turn", headers: []string{bearerAlice, formBody}, body: "x=" + strings.Repeat("x", 8191)}, ReasonBodyTooLarge},

		{"not JSON", post(`user`), ReasonBadJSON},
		{"array", post(`["user"]`), ReasonBadJSON},
		{"null", post(`null`), ReasonBadJSON},
		{"unknown member", post(`{"usr":"a"}`), ReasonBadJSON},
		{"member in other case", post(`{"User":"a"}`), ReasonBadJSON},
		{"member twice", post(`{"user":"a","user":"b"}`), ReasonBadJSON},
		{"object inside", post(`{"user":{"user":"a"}}`), ReasonBadJSON},
		{"array inside", post(`{"ttl":[60]}`), ReasonBadJSON},
		{"cut off", post(`{"user":"a"`), ReasonBadJSON},
		{"cut off in a member", post(`{"user":`), ReasonBadJSON},
		{"two objects", post(`{"user":"a"}{}`), ReasonBadJSON},
		{"trailing text", post(`{"user":"a"} x`), ReasonBadJSON},
		{"JSON not UTF-8", post("{\"user\":\"\xff\"}"), ReasonBadJSON},

		{"nothing there", request{line: "GET /nothing"}, ReasonNotFound},
		{"no such method, nothing there", request{line: "BREW /nothing"}, ReasonNotFound},
		{"SEC-42 profiler", request{line: "GET /debug/pprof/"}, ReasonNotFound},
		{"SEC-42 profiler heap", request{line: "GET /debug/pprof/heap"}, ReasonNotFound},
		{"expvar", request{line: "GET /debug/vars"}, ReasonNotFound},
		{"trailing slash", request{line: "GET /v1/ice-servers/", headers: auth}, ReasonNotFound},
		{"other case", request{line: "GET /V1/ice-servers", headers: auth}, ReasonNotFound},
		{"escaped slash", request{line: "GET /v1%2Fice-servers", headers: auth}, ReasonNotFound},
		{"no signaling", request{line: "GET /v1/signal"}, ReasonNotFound},
		{"directory", request{line: "GET /static/"}, ReasonNotFound},
		{"climbing", request{line: "GET /../handler.go"}, ReasonNotFound},
		{"climbing, escaped", request{line: "GET /%2e%2e/handler.go"}, ReasonNotFound},
		{"metrics", request{line: "GET /metrics"}, ReasonMissingKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(t, newHandler(t, nil), c.rq)
			if got := reasonOf(t, w); got != c.want {
				t.Errorf("got %d %q, want %q", w.Code, got, c.want)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	h := newHandler(t, nil)
	for _, c := range []struct{ line, allow string }{
		{"POST /v1/ice-servers", "GET, HEAD"},
		{"DELETE /v1/ice-servers", "GET, HEAD"},
		{"GET /v1/credentials", "POST"},
		{"HEAD /v1/credentials", "POST"},
		{"PUT /turn", "GET, HEAD, POST"},
		{"BREW /turn", "GET, HEAD, POST"},
		{"OPTIONS /turn", "GET, HEAD, POST"},
		{"POST /healthz", "GET, HEAD"},
		{"POST /metrics", "GET, HEAD"},
		{"POST /", "GET, HEAD"},
		{"BREW /index.html", "GET, HEAD"},
	} {
		w := do(t, h, request{line: c.line, headers: []string{bearerAlice}})
		if got := reasonOf(t, w); got != ReasonMethodNotAllowed || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s: %q, Allow %q; want %q", c.line, got, w.Header().Get("Allow"), c.allow)
		}
	}
}

// HEAD is served where GET is, by a real server, which cuts the body off.
func TestHead(t *testing.T) {
	server := httptest.NewServer(newHandler(t, nil))
	defer server.Close()
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/v1/ice-servers", "/turn?service=turn"} {
		r, err := http.NewRequest(http.MethodHead, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+aliceKey)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %s", path, answer.Status)
		}
	}
}

// What is granted is what is said to be granted.
func TestTTL(t *testing.T) {
	for _, c := range []struct {
		rq   request
		want int
	}{
		{request{line: "GET /v1/ice-servers"}, 3600},
		{request{line: "GET /v1/ice-servers?ttl=1"}, 1},
		{request{line: "GET /v1/ice-servers?ttl=0060"}, 60},
		{request{line: "GET /v1/ice-servers?ttl=86400"}, 86400},
		{request{line: "GET /v1/ice-servers?ttl=86401"}, 86400},
		{request{line: "GET /v1/ice-servers?ttl=1000000000"}, 86400},
		{request{line: "GET /v1/ice-servers?ttl=99999999999999999999999"}, 86400},
		{request{line: "GET /turn?service=turn&ttl=99999999999"}, 86400},
		{request{line: "POST /v1/credentials"}, 3600},
		{request{line: "POST /v1/credentials", body: `{}`}, 3600},
		{request{line: "POST /v1/credentials", body: `{"ttl":1000000000}`}, 86400},
		{request{line: "POST /v1/credentials", body: `{"ttl":18446744073709551617}`}, 86400},
		{request{line: "POST /v1/credentials", body: `{"ttl":1}`}, 1},
	} {
		c.rq.headers = []string{bearerAlice, jsonBody}
		w := do(t, newHandler(t, nil), c.rq)
		var answer struct {
			TTL        int
			Username   string
			ICEServers []struct{ Username string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%+v: %v in %s", c.rq, err, w.Body)
		}
		if answer.TTL != c.want {
			t.Errorf("%+v: ttl %d, want %d", c.rq, answer.TTL, c.want)
		}
		if len(answer.ICEServers) > 0 {
			answer.Username = answer.ICEServers[1].Username
		}
		expires, _, err := credentials.ParseUsername(answer.Username)
		if err != nil || !expires.Equal(start().Add(time.Duration(c.want)*time.Second)) {
			t.Errorf("%+v: %q, %v", c.rq, answer.Username, err)
		}
	}
}

func TestRandomUser(t *testing.T) {
	h := newHandler(t, nil)
	seen := make(map[string]bool)
	for range 10 {
		var answer credentialsAnswer
		w := do(t, h, request{line: "POST /v1/credentials", headers: []string{bearerAlice}})
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		_, user, err := credentials.ParseUsername(answer.Username)
		if err != nil || len(user) < 20 || seen[user] {
			t.Errorf("user %q after %v: %v", user, seen, err)
		}
		seen[user] = true
	}
}

func TestMintFails(t *testing.T) {
	var log strings.Builder
	h := newHandler(t, func(c *Config) {
		c.Logger = logTo(&log)
		c.Mint = func(user string, _ time.Duration) (credentials.Credential, error) {
			if user == "refused" {
				return credentials.Credential{}, credentials.ErrInvalidUser
			}
			return credentials.Credential{}, errors.New("out of ink")
		}
	})
	w := do(t, h, request{line: "GET /v1/ice-servers", headers: []string{bearerAlice}})
	if got := reasonOf(t, w); got != ReasonInternal || !strings.Contains(log.String(), "out of ink") {
		t.Errorf("got %q, log %s", got, log.String())
	}
	w = do(t, h, request{line: "GET /v1/ice-servers?user=refused", headers: []string{bearerAlice}})
	if got := reasonOf(t, w); got != ReasonBadUser {
		t.Errorf("got %q", got)
	}
}

// A body that ends before its announced length.
func TestBodyCutOff(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/credentials", cutOff{strings.NewReader(`{"user`)})
	r.Header.Set("Authorization", "Bearer "+aliceKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	newHandler(t, nil).ServeHTTP(w, r)
	if got := reasonOf(t, w); got != ReasonBodyUnread {
		t.Errorf("got %q", got)
	}
}

type cutOff struct{ *strings.Reader }

func (c cutOff) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil {
		err = errors.New("unexpected end")
	}
	return n, err
}
