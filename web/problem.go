package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Reason is the stable code of a refusal, the same in the problem document and in the
// metric.
type Reason string

// The reasons, by what the client can do about them.
const (
	ReasonMissingKey         Reason = "missing-key"         // send an API key
	ReasonUnknownKey         Reason = "unknown-key"         // send another one
	ReasonBadAuth            Reason = "bad-auth"            // send Authorization in the form Bearer KEY
	ReasonRateLimited        Reason = "rate-limited"        // wait for Retry-After
	ReasonOriginDenied       Reason = "origin-denied"       // ask from an allowed page
	ReasonHostDenied         Reason = "host-denied"         // ask for a name this server goes by
	ReasonNotLocal           Reason = "not-local"           // send a key, or ask from the machine itself
	ReasonBadUser            Reason = "bad-user"            // send another user
	ReasonBadTTL             Reason = "bad-ttl"             // send a whole number of seconds
	ReasonBadGrant           Reason = "bad-grant"           // ask for a token that can be
	ReasonUnsupportedService Reason = "unsupported-service" // ask for service=turn
	ReasonBadQuery           Reason = "bad-query"           // send parameters that parse, each once
	ReasonBadJSON            Reason = "bad-json"            // send one JSON object of known members
	ReasonBadMediaType       Reason = "bad-media-type"      // name the type of the body
	ReasonBodyTooLarge       Reason = "body-too-large"      // send less
	ReasonBodyUnread         Reason = "body-unread"         // send all of the body
	ReasonNotFound           Reason = "not-found"           // ask for something else
	ReasonMethodNotAllowed   Reason = "method-not-allowed"  // use a method of Allow
	ReasonTestClosed         Reason = "test-closed"         // run the test again
	ReasonNotReady           Reason = "not-ready"           // come back later
	ReasonDraining           Reason = "draining"            // go elsewhere
	ReasonInternal           Reason = "internal-error"      // report it
)

// kind is what all problems of one reason have in common.
type kind struct {
	status int
	title  string
}

// kinds is only read.
var kinds = map[Reason]kind{
	ReasonMissingKey:         {http.StatusUnauthorized, "An API key is needed"},
	ReasonUnknownKey:         {http.StatusUnauthorized, "The API key is not known"},
	ReasonBadAuth:            {http.StatusUnauthorized, "The Authorization header is not understood"},
	ReasonRateLimited:        {http.StatusTooManyRequests, "Too many requests"},
	ReasonOriginDenied:       {http.StatusForbidden, "The origin is not allowed"},
	ReasonHostDenied:         {http.StatusForbidden, "The host is not one of this server"},
	ReasonNotLocal:           {http.StatusForbidden, "Demo mode is for this machine only"},
	ReasonBadUser:            {http.StatusBadRequest, "The user is not valid"},
	ReasonBadTTL:             {http.StatusBadRequest, "The lifetime is not valid"},
	ReasonBadGrant:           {http.StatusBadRequest, "The token is not possible"},
	ReasonUnsupportedService: {http.StatusBadRequest, "The service is not offered"},
	ReasonBadQuery:           {http.StatusBadRequest, "The parameters are not valid"},
	ReasonBadJSON:            {http.StatusBadRequest, "The body is not valid"},
	ReasonBadMediaType:       {http.StatusUnsupportedMediaType, "The type of the body is not understood"},
	ReasonBodyTooLarge:       {http.StatusRequestEntityTooLarge, "The body is too large"},
	ReasonBodyUnread:         {http.StatusBadRequest, "The body ended early"},
	ReasonNotFound:           {http.StatusNotFound, "There is nothing here"},
	ReasonMethodNotAllowed:   {http.StatusMethodNotAllowed, "The method is not allowed"},
	ReasonTestClosed:         {http.StatusConflict, "The test is over"},
	ReasonNotReady:           {http.StatusServiceUnavailable, "The relay does not work"},
	ReasonDraining:           {http.StatusServiceUnavailable, "The server is draining"},
	ReasonInternal:           {http.StatusInternalServerError, "The server failed"},
}

// refusal is a request that is not served: why, in a code and in words with a hint,
// and after how long it may be tried again, 0 if that is not known. Its detail quotes
// nothing of the request.
type refusal struct {
	reason Reason
	detail string
	retry  time.Duration
}

func deny(reason Reason, detail string) *refusal {
	return &refusal{reason: reason, detail: detail}
}

// problem is a problem document (RFC 9457 §3) with one extension member.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason Reason `json:"reason"`
}

// refuse answers with a problem document.
func (h *Handler) refuse(w http.ResponseWriter, no *refusal) {
	h.metrics.refusals.WithLabelValues(string(no.reason)).Inc()
	k := kinds[no.reason]
	header := w.Header()
	if k.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge(no.reason))
	}
	if no.retry > 0 {
		header.Set("Retry-After", strconv.Itoa(wholeSeconds(no.retry)))
	}
	writeJSON(w, k.status, "application/problem+json", problem{
		Type:   "urn:hairpin:problem:" + string(no.reason),
		Title:  k.title,
		Status: k.status,
		Detail: no.detail,
		Reason: no.reason,
	})
}

// challenge is the value of WWW-Authenticate, which names an error only when there
// was a token (RFC 6750 §3).
func challenge(reason Reason) string {
	if reason == ReasonUnknownKey {
		return `Bearer realm="hairpin", error="invalid_token"`
	}
	return `Bearer realm="hairpin"`
}

// wholeSeconds rounds up: a client that comes back a moment early is refused again.
func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

// writeJSON answers with v, which no cache may keep.
func writeJSON(w http.ResponseWriter, status int, mediaType string, v any) {
	header := w.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // "&" in a URI stays readable; nosniff keeps it JSON.
	_ = encoder.Encode(v)        // The client has gone; nobody is left to tell.
}
