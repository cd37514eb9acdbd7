package signaling

import (
	"encoding/json"
	"strconv"
	"strings"
)

// parseCandidate reads the member "candidate". Null and the empty candidate both say that no more
// will follow (W3C WebRTC), and pass.
func parseCandidate(o object, limits Limits) (json.RawMessage, *Refusal) {
	raw, ok := o["candidate"]
	if !ok {
		return nil, refuse(ReasonBadMessage, `The message must carry an RTCIceCandidateInit, or null, as "candidate".`)
	}
	if string(raw) == "null" {
		return raw, nil
	}
	candidate, ok := asObject(raw)
	if !ok || len(raw) > limits.CandidateBytes {
		return nil, refuse(ReasonBadCandidate, `"candidate" must be an RTCIceCandidateInit of modest size, or null.`)
	}
	text, _, textOK := candidate.text("candidate")
	_, _, midOK := candidate.text("sdpMid")
	fragment, _, fragmentOK := candidate.text("usernameFragment")
	switch {
	case !textOK || text != "" && !isCandidateAttribute(text):
		return nil, refuse(ReasonBadCandidate, "The candidate is not a candidate attribute (RFC 8839, section 5.1).")
	case !midOK || !fragmentOK || fragment != "" && !isICEChars(fragment, 4, 256) || !isLineIndex(candidate["sdpMLineIndex"]):
		return nil, refuse(ReasonBadCandidate, "The candidate does not say well which section it belongs to.")
	}
	return compact(raw), nil
}

func isLineIndex(raw json.RawMessage) bool {
	if raw == nil || string(raw) == "null" {
		return true
	}
	_, err := strconv.ParseUint(string(raw), 10, 16) // an unsigned short, by the IDL
	return err == nil
}

// isCandidateAttribute checks a candidate-attribute (RFC 8839, section 5.1) loosely: the fixed fields
// for their shape, the extensions for being pairs. The address may be a host name (RFC 8839 allows
// one, mDNS uses it) and is not looked at: nothing here ever connects to it.
func isCandidateAttribute(s string) bool {
	s, ok := strings.CutPrefix(strings.TrimPrefix(s, "a="), "candidate:")
	if !ok || !isPrintableASCII(s) {
		return false
	}
	f := strings.Fields(s)
	return len(f) >= 8 && len(f)%2 == 0 &&
		isICEChars(f[0], 1, 32) && // foundation
		isNumber(f[1], 1, 256) && // component-id
		isToken(f[2]) && // transport
		isNumber(f[3], 0, 1<<32-1) && // priority
		len(f[4]) <= 253 && // connection-address
		isNumber(f[5], 0, 65535) && // port
		f[6] == "typ" && isToken(f[7])
}

// isICEChars reports whether s is between shortest and longest ice-chars (RFC 8839, section 5.1).
func isICEChars(s string, shortest, longest int) bool {
	return len(s) >= shortest && len(s) <= longest &&
		strings.IndexFunc(s, func(r rune) bool { return !isAlphanumeric(r) && r != '+' && r != '/' }) < 0
}

func isToken(s string) bool {
	return s != "" && len(s) <= 32 &&
		strings.IndexFunc(s, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) < 0
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

func isPrintableASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func isNumber(s string, smallest, largest uint64) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n >= smallest && n <= largest
}
