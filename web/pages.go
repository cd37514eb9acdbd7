package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

func embeddedPages() fs.FS {
	pages, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // Only for a path that is not valid.
	}
	return pages
}

// page is a file, ready to be served.
type page struct {
	body        []byte
	contentType string
	etag        string // of the content, since embedded files have no times
}

// contentTypes are those of the files served, by extension; other files are not. The
// table of the operating system is left alone: one with text/plain for .js breaks
// modules.
func contentTypes() map[string]string {
	return map[string]string{
		".html":        "text/html; charset=utf-8",
		".css":         "text/css; charset=utf-8",
		".js":          "text/javascript; charset=utf-8",
		".ts":          "text/plain; charset=utf-8", // declarations, for people and editors
		".json":        "application/json",
		".webmanifest": "application/manifest+json",
		".svg":         "image/svg+xml",
		".png":         "image/png",
		".ico":         "image/x-icon",
		".woff2":       "font/woff2",
		".wasm":        "application/wasm",
	}
}

// loadPages reads all files of pages into memory, by the paths they are served under:
// x.html as /x too, and index.html as /.
func loadPages(pages fs.FS) (map[string]*page, error) {
	types := contentTypes()
	byPath := make(map[string]*page)
	err := fs.WalkDir(pages, ".", func(name string, entry fs.DirEntry, err error) error {
		extension := path.Ext(name)
		if err != nil || entry.IsDir() || types[extension] == "" {
			return err
		}
		body, err := fs.ReadFile(pages, name)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(body)
		p := &page{
			body:        body,
			contentType: types[extension],
			etag:        `"` + base64.RawURLEncoding.EncodeToString(digest[:18]) + `"`,
		}
		byPath["/"+name] = p
		if stem, isHTML := strings.CutSuffix("/"+name, ".html"); isHTML {
			byPath[strings.TrimSuffix(stem, "index")] = p
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("web: pages: %w", err)
	}
	return byPath, nil
}

// getPage serves what no route took: a page, or a refusal.
func (h *Handler) getPage(w http.ResponseWriter, r *http.Request) {
	p, known := h.pages[r.URL.Path]
	switch {
	case !known:
		h.refuse(w, deny(ReasonNotFound, "Look at / for the call page and at the documentation for the API."))
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.refuseMethod(w, "GET, HEAD")
		return
	}
	header := w.Header()
	header.Set("Content-Type", p.contentType)
	header.Set("ETag", p.etag)
	header.Set("Cache-Control", "no-cache") // Keep, but ask: names stay while contents change.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
}

// secure sets the headers that keep a page to itself. They are on every answer, since
// browsers show all of them.
func secure(next http.Handler) http.Handler {
	headers := map[string]string{
		"Content-Security-Policy": contentSecurityPolicy(),
		"Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), " +
			"autoplay=(self), geolocation=(), payment=(), usb=()",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer", // The room is in the URL.
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// contentSecurityPolicy allows what is of this origin, its WebSocket included, and the
// media of a call.
func contentSecurityPolicy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"connect-src 'self'",
		"img-src 'self' data: blob:",
		"media-src 'self' blob: mediastream:",
		"font-src 'self'",
		"manifest-src 'self'",
		"worker-src 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
		"form-action 'self'",
	}, "; ")
}
