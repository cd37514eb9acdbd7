package web

import (
	"net/http"
	"strings"
	"time"
)

// caller is who asks for a credential, as far as the rate tells callers apart: a holder
// of keys, or a network.
type caller string

// byKey returns the holder of the key that the request bears, or of other, where a
// route takes a key from elsewhere and there is no header.
func (h *Handler) byKey(r *http.Request, other string) (caller, *refusal) {
	key, no := bearer(r)
	if no != nil {
		return "", no
	}
	if key == "" {
		key = other
	}
	if key == "" {
		return "", h.denyMissingKey()
	}
	name, no := h.holder(r, key)
	if no != nil {
		return "", no
	}
	return caller("key " + name), nil
}

// byKeyOrDemo is byKey, but without any key, the caller may be one of this machine
// where demo mode is on.
func (h *Handler) byKeyOrDemo(r *http.Request) (caller, *refusal) {
	if h.config.Demo == DemoOff || len(r.Header.Values("Authorization")) > 0 {
		return h.byKey(r, "")
	}
	if no := h.refuseRemote(r); no != nil {
		return "", no
	}
	if isForeignFetch(r) && !h.isAllowedOrigin(r) {
		return "", denyOrigin()
	}
	return caller("network " + network(h.clientAddr(r)).String()), nil
}

// spend counts a request on the caller's rate.
func (h *Handler) spend(who caller) *refusal {
	return denyRate(h.minted.spend(who, h.config.Now()),
		"This key or address asks too often. Keep a credential for as long as its ttl says.")
}

// holder returns the name of a key's holder. A network that presented too many wrong
// keys is not heard for a while, so that it cannot go on searching. From loopback a
// right key is heard all the same: a proxy speaks from there for everyone, and one of
// them must not silence the others.
func (h *Handler) holder(r *http.Request, key string) (string, *refusal) {
	addr, now := h.clientAddr(r), h.config.Now()
	name, known := h.config.Keys.Match(key)
	wait := h.failures.check(network(addr), now)
	if known && (wait == 0 || addr.IsLoopback()) {
		return name, nil
	}
	if wait == 0 {
		wait = h.failures.spend(network(addr), now)
	}
	if no := denyRate(wait, "Too many wrong API keys came from this address. Check the key, then wait."); no != nil {
		return "", no
	}
	return "", deny(ReasonUnknownKey, "No API key of this server is like the one sent. "+
		"Compare it with the key file; a changed file is read when the server is told to reload.")
}

func denyRate(wait time.Duration, detail string) *refusal {
	if wait == 0 {
		return nil
	}
	return &refusal{reason: ReasonRateLimited, detail: detail, retry: wait}
}

func (h *Handler) denyMissingKey() *refusal {
	if h.config.Keys.Len() == 0 {
		return deny(ReasonMissingKey, "This server has no API keys. Start it with --api-keys-file FILE, name:key a line.")
	}
	return deny(ReasonMissingKey, "Send the header Authorization: Bearer KEY.")
}

// bearer returns the token of the Authorization header (RFC 6750 §2.1), or "" if there
// is no such header.
func bearer(r *http.Request) (string, *refusal) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", deny(ReasonBadAuth, "Send one header of the form Authorization: Bearer KEY.")
	}
	return token, nil
}

// keepLocal refuses, in demo mode, what is not of this machine and bears no key:
// for routes that are as open as the API then, and do not check that themselves.
func (h *Handler) keepLocal(next http.HandlerFunc) http.HandlerFunc {
	if h.config.Demo == DemoOff {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		no := h.refuseRemote(r)
		if no != nil && len(r.Header.Values("Authorization")) > 0 {
			_, no = h.byKey(r, "")
		}
		if no != nil {
			h.refuse(w, no)
			return
		}
		next(w, r)
	}
}
