package web

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

func testPages() fs.FS {
	return fstest.MapFS{
		"index.html":      {Data: []byte("<!doctype html>call")},
		"test.html":       {Data: []byte("<!doctype html>test")},
		"hairpin.js":      {Data: []byte("export {}")},
		"hairpin.d.ts":    {Data: []byte("export {}")},
		"style.css":       {Data: []byte("a{}")},
		"favicon.svg":     {Data: []byte("<svg/>")},
		"lib/chat.js":     {Data: []byte("export {}")},
		"lib/index.html":  {Data: []byte("lib")},
		"notes.txt":       {Data: []byte("secret")},
		"hairpin.js.orig": {Data: []byte("secret")},
	}
}

func TestPages(t *testing.T) {
	h := newHandler(t, func(c *Config) { c.Pages = testPages() })
	const script = "text/javascript; charset=utf-8"
	for _, c := range []struct{ line, contentType, body string }{
		{"GET /", "text/html; charset=utf-8", "<!doctype html>call"},
		{"GET /?room=a&name=b&join=1", "text/html; charset=utf-8", "<!doctype html>call"},
		{"GET /index.html", "text/html; charset=utf-8", "<!doctype html>call"},
		{"GET /test", "text/html; charset=utf-8", "<!doctype html>test"},
		{"HEAD /test", "text/html; charset=utf-8", ""},
		{"GET /hairpin.js", script, "export {}"},
		{"GET /hairpin.d.ts", "text/plain; charset=utf-8", "export {}"},
		{"GET /lib/chat.js", script, "export {}"},
		{"GET /lib/", "text/html; charset=utf-8", "lib"},
		{"GET /style.css", "text/css; charset=utf-8", "a{}"},
		{"GET /favicon.svg", "image/svg+xml", "<svg/>"},
	} {
		w := do(t, h, request{line: c.line})
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != c.contentType || w.Body.String() != c.body {
			t.Errorf("%s: %d %q %q", c.line, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: Cache-Control %q", c.line, w.Header().Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/notes.txt", "/hairpin.js.orig", "/lib", "/test/", "/test.htm", "//index.html", "/lib/../index.html"} {
		if got := reasonOf(t, do(t, h, request{line: "GET " + path})); got != ReasonNotFound {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestETag(t *testing.T) {
	h := newHandler(t, func(c *Config) { c.Pages = testPages() })
	etag := do(t, h, request{line: "GET /hairpin.js"}).Header().Get("ETag")
	if len(etag) != 26 || do(t, h, request{line: "GET /lib/chat.js"}).Header().Get("ETag") != etag {
		t.Errorf("ETag %q is not of the content", etag)
	}
	if do(t, h, request{line: "GET /style.css"}).Header().Get("ETag") == etag {
		t.Error("two contents have one ETag")
	}
	w := do(t, h, request{line: "GET /hairpin.js", headers: []string{"If-None-Match: " + etag}})
	if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("known ETag: %d %q", w.Code, w.Body)
	}
	w = do(t, h, request{line: "GET /hairpin.js", headers: []string{`If-None-Match: "old"`}})
	if w.Code != http.StatusOK {
		t.Errorf("old ETag: %d", w.Code)
	}
}

// The embedded pages are there, and nothing in them needs what the policy forbids.
func TestEmbeddedPages(t *testing.T) {
	h := newHandler(t, nil)
	body := do(t, h, request{line: "GET /"}).Body.String()
	if !strings.HasPrefix(strings.ToLower(body), "<!doctype html>") {
		t.Errorf("call page: %.100q", body)
	}
	for path, p := range h.pages {
		text := string(p.body)
		if strings.HasPrefix(p.contentType, "text/html") && (strings.Contains(text, "<style") ||
			strings.Contains(text, " style=") || strings.Contains(text, "<script>") || strings.Contains(text, " onclick=")) {
			t.Errorf("%s holds inline script or style", path)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	h := newHandler(t, nil)
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
		"img-src 'self' data: blob:; media-src 'self' blob: mediastream:; font-src 'self'; manifest-src 'self'; " +
		"worker-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	for _, line := range []string{"GET /", "GET /favicon.svg", "GET /nothing", "GET /v1/ice-servers", "GET /healthz", "PUT /turn"} {
		header := do(t, h, request{line: line}).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy":      policy,
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s: %q", line, name, got)
			}
		}
		for _, feature := range []string{"camera=(self)", "microphone=(self)", "display-capture=(self)", "geolocation=()"} {
			if !strings.Contains(header.Get("Permissions-Policy"), feature) {
				t.Errorf("%s: Permissions-Policy %q lacks %s", line, header.Get("Permissions-Policy"), feature)
			}
		}
	}
}

type brokenFS struct{}

func (brokenFS) Open(string) (fs.File, error) { return nil, errors.New("no disk") }

func TestBrokenPages(t *testing.T) {
	config, _ := testConfig(t)
	config.Pages = brokenFS{}
	if _, err := New(config); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("got %v", err)
	}
}
