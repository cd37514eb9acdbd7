package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cors tells browsers which pages of other origins may read an answer, and answers
// their preflight requests (Fetch standard, "CORS protocol"). No cookie is ever
// involved, so Access-Control-Allow-Credentials is never sent.
func (h *Handler) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		allowed := h.isAllowedOrigin(r)
		if allowed {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Expose-Headers", "Retry-After")
		}
		if !isPreflight(r) {
			next.ServeHTTP(w, r)
			return
		}
		header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if !allowed {
			h.refuse(w, denyOrigin())
			return
		}
		header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT")
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		header.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

// sameOrigin refuses what a page of a foreign origin asks for, rather than to do it and
// to keep the answer from the page.
func (h *Handler) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Origin")) > 0 && !h.isAllowedOrigin(r) && !isOwnOrigin(r) {
			h.refuse(w, denyOrigin())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func denyOrigin() *refusal {
	return deny(ReasonOriginDenied, "A page of this origin may not use this API. "+
		"List its origin with --allow-origin; a proxy in front of the server must pass the Host header on.")
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

func (h *Handler) isAllowedOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 1 && slices.Contains(h.config.AllowedOrigins, origins[0])
}

// isOwnOrigin reports whether the Origin is the host that was asked. The scheme is left
// out: a proxy that speaks TLS for the server hides it.
func isOwnOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// isForeignFetch reports whether a browser says that a page of another site caused the
// request (Fetch Metadata), which an Origin header does not say of every GET.
func isForeignFetch(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}
