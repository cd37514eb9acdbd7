package signaling

import (
	"net/http"

	"github.com/coder/websocket"
)

// Reason is the stable code of a refusal: the "reason" of an error message, of an HTTP problem
// document and of a close frame, and the label of a metric. Codes are added, never renamed.
type Reason string

// Refusals before the upgrade; the status is HTTP's.
const (
	ReasonUpgradeRequired Reason = "upgrade-required" // 426: not a WebSocket handshake
	ReasonOriginDenied    Reason = "origin-denied"    // 403: a page of another origin, or no Origin and no bearer token
	ReasonTokenInURL      Reason = "token-in-url"     // 400: a token where proxies and histories keep it
	ReasonTooManySockets  Reason = "too-many-sockets" // 429: one address holds its share
	ReasonOverloaded      Reason = "overloaded"       // 503: all sockets are in use
)

// Refusals that close the socket; the code is RFC 6455's (section 7.4.1, and the IANA registry for
// 1013) or, from 4000 on, ours.
const (
	ReasonShuttingDown  Reason = "shutting-down"   // 1001; 503 before the upgrade
	ReasonBinary        Reason = "binary-message"  // 1003: only text messages are understood
	ReasonInvalidUTF8   Reason = "invalid-utf8"    // 1007
	ReasonBadJSON       Reason = "bad-json"        // 1007: not one JSON object
	ReasonTooDeep       Reason = "too-deep"        // 1008: nested deeper than Limits.Depth
	ReasonDuplicateKey  Reason = "duplicate-key"   // 1008: two readers might see two messages
	ReasonRateLimited   Reason = "rate-limited"    // 1008: more messages, bytes or pings than a client needs
	ReasonMessageTooBig Reason = "message-too-big" // 1009: longer than Limits.MessageBytes
	ReasonInternal      Reason = "internal"        // 1011: our fault
	ReasonRoomFull      Reason = "room-full"       // 1013
	ReasonTooManyRooms  Reason = "too-many-rooms"  // 1013
	ReasonTooManyJoins  Reason = "too-many-joins"  // 1013: one address joins too often
	ReasonSlowReader    Reason = "slow-reader"     // 1013: does not take what the room sends
	ReasonNotJoined     Reason = "not-joined"      // 4400: the first message must be join
	ReasonUnauthorized  Reason = "unauthorized"    // 4401: no such room, or not for this token: which, is not told
	ReasonResumeDenied  Reason = "resume-denied"   // 4401: not the secret of that member
	ReasonRemoved       Reason = "removed"         // 4403: a moderator removed the user
	ReasonResumeUnknown Reason = "resume-unknown"  // 4404: no such member is waited for here, any more or at all
	ReasonJoinTimeout   Reason = "join-timeout"    // 4408: no room joined in time
	ReasonReplaced      Reason = "replaced"        // 4409: the member resumed on another socket
	ReasonResumeMissed  Reason = "resume-missed"   // 4410: the member missed more than is kept
	ReasonRoomLocked    Reason = "room-locked"     // 4423
	ReasonPongTimeout   Reason = "pong-timeout"    // 1006: a ping was not answered in time; the connection is cut
)

// Refusals of one message. A member stays joined; whoever has not joined yet is closed with 4400.
const (
	ReasonUnknownType    Reason = "unknown-type"
	ReasonBadMessage     Reason = "bad-message"        // a member of the message is missing, ill-typed or too long
	ReasonAlreadyJoined  Reason = "already-joined"     // one room a socket
	ReasonUnknownTarget  Reason = "unknown-target"     // nobody else in this room has that id
	ReasonBadCandidate   Reason = "bad-candidate"      // not an RTCIceCandidateInit with an RFC 8839 candidate
	ReasonBadSDP         Reason = "bad-sdp"            // not a session description (RFC 8866)
	ReasonSDPTooLarge    Reason = "sdp-too-large"      // longer than Limits.SDPBytes
	ReasonSDPNotDTLS     Reason = "sdp-not-dtls"       // a section's media would travel unencrypted, or with keys shown to us
	ReasonSDPFingerprint Reason = "sdp-no-fingerprint" // a section without a sound DTLS fingerprint
	ReasonSDPNoICE       Reason = "sdp-no-ice"         // a section without sound ICE credentials
	ReasonPublishDenied  Reason = "publish-denied"     // the member may receive only
	ReasonNotModerator   Reason = "not-moderator"      // the member may not lock, unlock or remove
	ReasonBadQuality     Reason = "bad-quality"        // a number of the report is none, or not possible
	ReasonManyReports    Reason = "too-many-reports"   // one of these was not looked at
	ReasonMemberBehind   Reason = "member-behind"      // a member has not read what it was sent before, and does not get this
	ReasonICEUnavailable Reason = "ice-unavailable"    // no ICE servers at the moment; they follow
)

// Close codes of our own, each the HTTP status of like meaning plus 4000.
const (
	CloseBadRequest   = 4400
	CloseUnauthorized = 4401
	CloseForbidden    = 4403
	CloseNotFound     = 4404
	CloseTimeout      = 4408
	CloseConflict     = 4409
	CloseGone         = 4410
	CloseLocked       = 4423
)

// Reasons lists every [Reason], in a fixed order.
func Reasons() []Reason {
	return []Reason{
		ReasonUpgradeRequired, ReasonOriginDenied, ReasonTokenInURL, ReasonTooManySockets, ReasonOverloaded,
		ReasonShuttingDown, ReasonBinary, ReasonInvalidUTF8, ReasonBadJSON, ReasonTooDeep, ReasonDuplicateKey,
		ReasonRateLimited, ReasonMessageTooBig, ReasonInternal, ReasonRoomFull, ReasonTooManyRooms,
		ReasonTooManyJoins, ReasonSlowReader, ReasonNotJoined, ReasonUnauthorized, ReasonResumeDenied,
		ReasonRemoved, ReasonResumeUnknown, ReasonJoinTimeout, ReasonReplaced, ReasonResumeMissed,
		ReasonRoomLocked, ReasonPongTimeout, ReasonUnknownType, ReasonBadMessage, ReasonAlreadyJoined, ReasonUnknownTarget,
		ReasonBadCandidate, ReasonBadSDP, ReasonSDPTooLarge, ReasonSDPNotDTLS, ReasonSDPFingerprint,
		ReasonSDPNoICE, ReasonPublishDenied, ReasonNotModerator, ReasonBadQuality, ReasonManyReports,
		ReasonMemberBehind, ReasonICEUnavailable,
	}
}

// CloseCode is the code a socket is closed with, or 0 where a member may stay. 1006 is never sent: it is
// what RFC 6455 calls a connection that ends without a close frame.
func (r Reason) CloseCode() int {
	switch r {
	case ReasonShuttingDown:
		return int(websocket.StatusGoingAway)
	case ReasonBinary:
		return int(websocket.StatusUnsupportedData)
	case ReasonInvalidUTF8, ReasonBadJSON:
		return int(websocket.StatusInvalidFramePayloadData)
	case ReasonTooDeep, ReasonDuplicateKey, ReasonRateLimited:
		return int(websocket.StatusPolicyViolation)
	case ReasonMessageTooBig:
		return int(websocket.StatusMessageTooBig)
	case ReasonInternal:
		return int(websocket.StatusInternalError)
	case ReasonRoomFull, ReasonTooManyRooms, ReasonTooManyJoins, ReasonSlowReader:
		return int(websocket.StatusTryAgainLater)
	case ReasonNotJoined:
		return CloseBadRequest
	case ReasonUnauthorized, ReasonResumeDenied:
		return CloseUnauthorized
	case ReasonRemoved:
		return CloseForbidden
	case ReasonResumeUnknown:
		return CloseNotFound
	case ReasonJoinTimeout:
		return CloseTimeout
	case ReasonReplaced:
		return CloseConflict
	case ReasonResumeMissed:
		return CloseGone
	case ReasonRoomLocked:
		return CloseLocked
	case ReasonPongTimeout:
		return int(websocket.StatusAbnormalClosure)
	}
	return 0
}

// httpStatus is the status of a refusal before the upgrade.
func (r Reason) httpStatus() int {
	switch r {
	case ReasonUpgradeRequired:
		return http.StatusUpgradeRequired
	case ReasonOriginDenied:
		return http.StatusForbidden
	case ReasonTokenInURL:
		return http.StatusBadRequest
	case ReasonTooManySockets:
		return http.StatusTooManyRequests
	case ReasonOverloaded, ReasonShuttingDown:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Refusal is why a message was not acted on. Text is a sentence for the client's developer; it never
// repeats what the client sent.
type Refusal struct {
	Reason Reason
	Text   string
}

// Error implements error.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Text }

func refuse(reason Reason, text string) *Refusal { return &Refusal{Reason: reason, Text: text} }
