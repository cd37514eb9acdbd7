package wire

import "encoding/binary"

const attrUsername = 0x0006

// IsBindingRequest reports whether p begins like a Binding request.
func IsBindingRequest(p []byte) bool {
	return len(p) >= HeaderLen && binary.BigEndian.Uint16(p) == bindingRequest
}

// Claim returns whom a message claims to be from, and whether it is sealed, which is
// to say that it has a MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 to prove that. The
// first USERNAME counts, and none after the seal (RFC 8489 §14, §14.5). The name is a
// view of p, and empty if there is none.
func Claim(p []byte) (username []byte, sealed bool) {
	if !IsMessage(p) {
		return nil, false
	}
	for offset := HeaderLen; offset < len(p); {
		a, after, ok := next(p, offset)
		switch {
		case !ok:
			return nil, false
		case a.kind == attrUsername && username == nil:
			username = p[a.at : a.at+a.len : a.at+a.len]
		case a.kind == attrMessageIntegrity || a.kind == attrMessageIntegritySHA256:
			return username, true
		}
		offset = after
	}
	return username, false
}
