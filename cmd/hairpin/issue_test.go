package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	testSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f01029384756"
	testKey    = "kQ9vT2mXw7RzB4nL"
)

// TestIssueShapes compares with what the HTTP API answers, byte for byte.
func TestIssueShapes(t *testing.T) {
	tests := []struct {
		format string
		args   []string
		want   string
	}{
		{"text", nil, `username  1772370000:alice
password  vBrX5s+iL2rDsCkrzzm73cA0pac=
expires   2026-03-01T13:00:00Z, in 1h0m0s
`},
		{"text", []string{"--host", "192.0.2.1", "--uri", "turns:a.example"}, `username  1772370000:alice
password  vBrX5s+iL2rDsCkrzzm73cA0pac=
expires   2026-03-01T13:00:00Z, in 1h0m0s
uris      turns:a.example
          stun:192.0.2.1:3478
          turn:192.0.2.1:3478?transport=udp
          turn:192.0.2.1:3478?transport=tcp
`},
		{"json", nil, `{
  "username": "1772370000:alice",
  "password": "vBrX5s+iL2rDsCkrzzm73cA0pac=",
  "ttl": 3600,
  "expiresAt": "2026-03-01T13:00:00Z",
  "uris": []
}
`},
		{"ice-servers", []string{"--host", "a.example"}, `{
  "iceServers": [
    {
      "urls": [
        "stun:a.example:3478"
      ]
    },
    {
      "urls": [
        "turn:a.example:3478?transport=udp",
        "turn:a.example:3478?transport=tcp"
      ],
      "username": "1772370000:alice",
      "credential": "vBrX5s+iL2rDsCkrzzm73cA0pac="
    }
  ],
  "iceTransportPolicy": "all",
  "ttl": 3600,
  "expiresAt": "2026-03-01T13:00:00Z"
}
`},
	}
	for _, tt := range tests {
		h := hairpin{env: map[string]string{secretsVariable: testSecret}}
		args := append([]string{"credentials", "issue", "--user", "alice", "--format", tt.format}, tt.args...)
		if code := h.run(t, args...); code != exitOK || h.stdout.String() != tt.want {
			t.Errorf("exit code %d, want\n%s", code, tt.want)
		}
	}
}

// fakeServer answers as the credential API does, and tells what it was asked.
type fakeServer struct {
	*httptest.Server
	asked []string
}

func newFakeServer(t *testing.T, answer http.HandlerFunc) *fakeServer {
	t.Helper()
	f := new(fakeServer)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.asked = append(f.asked, strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("Authorization"), string(body)}, " "))
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func answers(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	credentialAnswer = `{"username":"1772370000:alice","password":"cGFzcw==","ttl":3600,"expiresAt":"2026-03-01T13:00:00Z","uris":["turn:a.example?transport=udp"]}`
	serversAnswer    = `{"iceServers":[{"urls":["stun:a.example"]},{"urls":["turn:a.example"],"username":"1772370000:alice","credential":"cGFzcw=="}],"iceTransportPolicy":"all","ttl":3600,"expiresAt":"2026-03-01T13:00:00Z"}`
)

func TestIssueThroughServer(t *testing.T) {
	tests := []struct {
		format, answer, asked string
		status                int
	}{
		{"json", credentialAnswer, `POST /base/v1/credentials Bearer ` + testKey + ` {"ttl":3600,"user":"alice"}`, http.StatusCreated},
		{"ice-servers", serversAnswer, `GET /base/v1/ice-servers?ttl=3600&user=alice Bearer ` + testKey + " ", http.StatusOK},
	}
	for _, tt := range tests {
		server := newFakeServer(t, answers(tt.status, "application/json", tt.answer))
		for name, key := range map[string]string{
			"alone": testKey + "\n", "as in the file of the server": "web:" + testKey,
		} {
			h := hairpin{transport: http.DefaultTransport}
			code := h.run(t, "credentials", "issue", "--user", "alice", "--server", server.URL+"/base/",
				"--api-key-file", writeFile(t, key), "--format", tt.format)
			if code != exitOK || compact(t, h.stdout.String()) != tt.answer || h.stderr.Len() > 0 {
				t.Errorf("%s, key %s: exit code %d", tt.format, name, code)
			}
			if got := server.asked[len(server.asked)-1]; got != tt.asked {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
		}
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var value json.RawMessage
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func TestIssueThroughServerText(t *testing.T) {
	server := newFakeServer(t, answers(http.StatusCreated, "application/json", credentialAnswer))
	h := hairpin{transport: http.DefaultTransport, env: map[string]string{apiKeyVariable: testKey, secretsVariable: testSecret}}
	want := "username  1772370000:alice\npassword  cGFzcw==\nexpires   2026-03-01T13:00:00Z, in 1h0m0s\nuris      turn:a.example?transport=udp\n"
	if code := h.run(t, "credentials", "issue", "--user", "alice", "--server", server.URL); code != exitOK || h.stdout.String() != want {
		t.Errorf("exit code %d, want\n%s", code, want)
	}
}

func TestIssueRefusedByServer(t *testing.T) {
	const problemType = "application/problem+json"
	tests := []struct {
		name         string
		answer       http.HandlerFunc
		stderr, hint string
	}{
		{
			"no key",
			answers(401, problemType, `{"type":"urn:x","title":"An API key is needed","status":401,"detail":"Send it as Bearer.","reason":"missing-key"}`),
			"refused: An API key is needed: Send it as Bearer (missing-key)\n", "--api-key-file",
		},
		{"too many", answers(429, problemType, `{"title":"Too many requests","reason":"rate-limited"}`), "Too many requests (rate-limited)", "try again in 7 s"},
		{"draining", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "refused: 503 Service Unavailable", "try again later"},
		{"hostile words", answers(400, problemType, `{"title":"\u001b[31m\nroot login"}`), `"\x1b[31m\nroot login"`, ""},
		{"not a problem", answers(502, "text/html", "<h1>Bad Gateway</h1>"), "refused: 502 Bad Gateway", ""},
		{"broken problem", answers(500, problemType, `{"title":`), "refused: 500 Internal Server Error", ""},
		{"another server", answers(404, "text/plain", "no"), "refused: 404 Not Found", "without /v1"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "refused: 302 Found", ""},
		{"no JSON", answers(200, "text/html", "<h1>Hello</h1>"), "does not answer as a Hairpin server does", "--server"},
		{"other JSON", answers(200, "application/json", `{"status":"ok"}`), "does not answer as a Hairpin server does", "--server"},
		{"endless", answers(200, "application/json", `{"username":"`+strings.Repeat("a", 1<<20)), "does not answer as a Hairpin server does", ""},
	}
	for _, tt := range tests {
		for _, format := range []string{"text", "ice-servers"} {
			t.Run(tt.name+" "+format, func(t *testing.T) {
				server := newFakeServer(t, tt.answer)
				h := hairpin{transport: http.DefaultTransport, env: map[string]string{apiKeyVariable: testKey}}
				code := h.run(t, "credentials", "issue", "--user", "alice", "--server", server.URL, "--format", format)
				if code != exitFault || h.stdout.Len() > 0 || len(server.asked) != 1 {
					t.Errorf("exit code %d, asked %d times", code, len(server.asked))
				}
				if got := h.stderr.String(); !strings.Contains(got, tt.stderr) || !strings.Contains(got, tt.hint) {
					t.Errorf("want %q and %q", tt.stderr, tt.hint)
				}
				if strings.Contains(h.stderr.String(), testKey) {
					t.Error("the API key is shown")
				}
			})
		}
	}
}

func TestIssueServerBreaksOff(t *testing.T) {
	server := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"user`)
	})
	h := hairpin{transport: http.DefaultTransport}
	if code := h.run(t, "credentials", "issue", "--user", "alice", "--server", server.URL); code != exitUnreachable {
		t.Errorf("exit code %d", code)
	}
}

// TestIssueWarnsOfPlainHTTP has a transport that goes nowhere: the warning comes first.
func TestIssueWarnsOfPlainHTTP(t *testing.T) {
	tests := []struct {
		server string
		warns  bool
	}{
		{"http://turn.example.org:8080", true},
		{"https://turn.example.org", false},
		{"http://127.0.0.1:8080", false},
		{"http://localhost:8080", false},
		{"http://[::1]:8080", false},
	}
	for _, tt := range tests {
		h := hairpin{
			transport: http.NewFileTransport(http.Dir(t.TempDir())),
			env:       map[string]string{apiKeyVariable: testKey},
		}
		if code := h.run(t, "credentials", "issue", "--user", "alice", "--server", tt.server); code != exitFault {
			t.Errorf("exit code %d", code)
		}
		if strings.Contains(h.stderr.String(), "without encryption") != tt.warns {
			t.Errorf("%s: warning wanted: %v", tt.server, tt.warns)
		}
	}
}
