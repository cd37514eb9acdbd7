package web

import (
	"net/http"
	"testing"
)

// SEC-46.
func TestCORS(t *testing.T) {
	h := newHandler(t, nil)
	for _, c := range []struct {
		origin string
		allow  string
		reason Reason
	}{
		{"https://good.example", "https://good.example", ""},
		{"http://localhost:3000", "http://localhost:3000", ""},
		{"https://turn.example.org", "", ""}, // its own, which needs no permission
		{"http://turn.example.org", "", ""},
		{"https://evil.example", "", ReasonOriginDenied},
		{"null", "", ReasonOriginDenied},
		{"", "", ReasonOriginDenied},
		{"*", "", ReasonOriginDenied},
		{"https://good.example.evil", "", ReasonOriginDenied},
		{"https://evilgood.example", "", ReasonOriginDenied},
		{"http://good.example", "", ReasonOriginDenied},
		{"https://good.example:8443", "", ReasonOriginDenied},
		{"https://good.example/", "", ReasonOriginDenied},
		{"https://GOOD.example", "", ReasonOriginDenied},
		{"https://turn.example.org.evil", "", ReasonOriginDenied},
		{"https://turn.example.org:8080", "", ReasonOriginDenied},
		{"https://x@turn.example.org/", "", ""}, // no browser sends it; it names no other host
	} {
		for _, line := range []string{"GET /v1/ice-servers", "POST /v1/credentials", "GET /turn?service=turn"} {
			w := do(t, h, request{line: line, headers: []string{"Origin: " + c.origin, bearerAlice}})
			checkCORS(t, line+" from "+c.origin, w.Header(), c.allow)
			if got := reasonOf(t, w); got != c.reason {
				t.Errorf("%s from %q: got %q, want %q", line, c.origin, got, c.reason)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	h := newHandler(t, nil)
	ask := func(origin string) (int, http.Header, Reason) {
		w := do(t, h, request{line: "OPTIONS /v1/credentials", headers: []string{
			"Origin: " + origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type",
		}})
		return w.Code, w.Header(), reasonOf(t, w)
	}
	status, header, reason := ask("https://good.example")
	checkCORS(t, "preflight", header, "https://good.example")
	if status != http.StatusNoContent || reason != "" ||
		header.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST, PUT" ||
		header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" ||
		header.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("preflight: %d %q %v", status, reason, header)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://good.example.evil"} {
		status, header, reason := ask(origin)
		checkCORS(t, "preflight of "+origin, header, "")
		if status != http.StatusForbidden || reason != ReasonOriginDenied || header.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("preflight of %s: %d %q %v", origin, status, reason, header)
		}
	}
}

// A refusal can be read by an allowed page, or it could not say why.
func TestCORSOfRefusal(t *testing.T) {
	w := do(t, newHandler(t, nil), request{line: "GET /v1/ice-servers", headers: []string{"Origin: https://good.example"}})
	checkCORS(t, "refusal", w.Header(), "https://good.example")
	if got := reasonOf(t, w); got != ReasonMissingKey {
		t.Errorf("got %q", got)
	}
}

func TestTwoOrigins(t *testing.T) {
	w := do(t, newHandler(t, nil), request{line: "GET /v1/ice-servers", headers: []string{
		bearerAlice, "Origin: https://good.example", "Origin: https://evil.example",
	}})
	checkCORS(t, "two origins", w.Header(), "")
	if got := reasonOf(t, w); got != ReasonOriginDenied {
		t.Errorf("got %q", got)
	}
}

func checkCORS(t *testing.T, what string, header http.Header, allow string) {
	t.Helper()
	if got := header.Get("Access-Control-Allow-Origin"); got != allow {
		t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", what, got, allow)
	}
	if header.Get("Vary") != "Origin" {
		t.Errorf("%s: Vary %q", what, header.Values("Vary"))
	}
	if header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s: credentials are allowed", what)
	}
}
