package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// maxLoggedBytes is how much of a path a log line carries.
const maxLoggedBytes = 128

// observe counts every request, logs it at level debug, and turns a panic into an
// answer.
func (h *Handler) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			h.recovered(wrapped, recover())
			status := wrapped.Status()
			if status == 0 {
				status = http.StatusOK // What net/http sends for a handler that wrote nothing.
			}
			route := h.routeOf(r)
			took := time.Since(start)
			h.metrics.count(route, r.Method, status, took)
			h.logRequest(r, route, status, took)
		}()
		next.ServeHTTP(wrapped, r)
	})
}

// recovered answers for a handler that panicked, unless it had begun to.
func (h *Handler) recovered(w middleware.WrapResponseWriter, value any) {
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler {
		panic(value) // The way to drop a connection; net/http knows it.
	}
	h.config.Logger.Error("handler panicked", "panic", value, "stack", string(debug.Stack()))
	if w.Status() == 0 {
		h.refuse(w, deny(ReasonInternal, "The server has a fault. Its log says more; please report it."))
	}
}

// routeOf returns the template of the route that served r: "page" for all pages,
// "none" where there is none.
func (h *Handler) routeOf(r *http.Request) string {
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
		return pattern
	}
	if _, known := h.pages[r.URL.Path]; known {
		return "page"
	}
	return "none"
}

func (h *Handler) logRequest(r *http.Request, route string, status int, took time.Duration) {
	ctx := context.WithoutCancel(r.Context())
	if !h.config.Logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	path := r.URL.Path
	if len(path) > maxLoggedBytes {
		path = path[:maxLoggedBytes] + "…"
	}
	h.config.Logger.DebugContext(ctx, "request",
		"client", h.clientAddr(r), "method", methodClass(r.Method), "route", route,
		"path", path, "query", redact(r.URL.RawQuery), "status", status, "took", took)
}

// redact returns the parameters that are asked for by name and keeps of their values
// the harmless two. Other names are not shown: a key pasted at the wrong place is one.
func redact(rawQuery string) string {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "?"
	}
	var shown []string
	for _, name := range []string{"service", "ttl", "user", "username", "key", "token"} {
		value, present := query.Get(name), query.Has(name)
		switch {
		case !present:
		case (name == "service" || name == "ttl") && len(value) < 10:
			shown = append(shown, name+"="+value)
		default:
			shown = append(shown, name+"=***")
		}
		query.Del(name)
	}
	if len(query) > 0 {
		shown = append(shown, "…")
	}
	return strings.Join(shown, "&")
}
