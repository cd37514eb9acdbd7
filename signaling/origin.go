package signaling

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// checkOrigins refuses entries that could never match, or would match everybody.
func checkOrigins(origins []string) error {
	for _, o := range origins {
		if !isOrigin(o) {
			return fmt.Errorf("allowed origin %q: write it as browsers send it, like https://app.example.com or http://localhost:3000", o)
		}
	}
	return nil
}

// isOrigin reports whether s is an origin as browsers write it (RFC 6454, section 6.2): in lower case,
// without a path and without a port that the scheme implies.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || s != strings.ToLower(s) || strings.Contains(s, "*") {
		return false
	}
	implied, known := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return known && u.Port() != implied && s == u.Scheme+"://"+u.Host && !strings.HasSuffix(u.Host, ":")
}

// originAllowed decides from the handshake alone. CORS does not apply to WebSocket, so this is all that
// keeps other people's pages out.
func (c *Config) originAllowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch len(origins) {
	case 0:
		return c.OriginOptional || hasBearer(r)
	case 1:
	default:
		return false
	}
	for _, allowed := range c.AllowedOrigins {
		if strings.EqualFold(origins[0], allowed) {
			return true
		}
	}
	u, err := url.Parse(origins[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func hasBearer(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != ""
}

// checkHandshake decides whether the request may become a socket, but for the limits.
func (c *Config) checkHandshake(r *http.Request) *Refusal {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return refuse(ReasonUpgradeRequired, "This address speaks WebSocket; open it with new WebSocket().")
	}
	for _, name := range []string{"token", "access_token", "key"} {
		if r.URL.Query().Has(name) {
			return refuse(ReasonTokenInURL, `A token in a URL ends up in logs; send it as "token" of the join message or as Authorization: Bearer.`)
		}
	}
	if !c.originAllowed(r) {
		return refuse(ReasonOriginDenied, "Pages of this origin may not connect; a client that is no browser must send Authorization: Bearer.")
	}
	return nil
}

// writeProblem answers with an RFC 9457 problem document.
func writeProblem(w http.ResponseWriter, r *Refusal) {
	status := r.Reason.httpStatus()
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(5))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Reason Reason `json:"reason"`
	}{"about:blank", http.StatusText(status), status, r.Text, r.Reason})
}
