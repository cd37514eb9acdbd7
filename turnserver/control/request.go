package control

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// request is one request on its way through the control plane, and the reply to it.
type request struct {
	stun.Message
	server *Server
	now    time.Time
	from   *From

	fingerprint bool // the request had one, so the reply has
	user        string
	expires     time.Time // of the credential
	key         []byte    // the long-term credential's, once it is proven
	sha256      bool      // it was proven by MESSAGE-INTEGRITY-SHA256

	reply   stun.Message
	replied bool
}

// The STUN error codes in use (RFC 8489 §14.8, RFC 8656 §19).
const (
	codeBadRequest           = 400
	codeUnauthenticated      = 401
	codeForbidden            = 403
	codeUnknownAttribute     = 420
	codeAllocationMismatch   = 437
	codeStaleNonce           = 438
	codeUnsupportedFamily    = 440
	codeWrongCredentials     = 441
	codeUnsupportedTransport = 442
	codeFamilyMismatch       = 443
	codeQuotaReached         = 486
	codeInsufficientCapacity = 508
)

const (
	headerLen     = 20 // of a message, RFC 8489 §5
	attrHeaderLen = 4  // of an attribute, §14
)

// Attributes that the STUN library has no name for (RFC 8656 §18, RFC 8489 §14.6).
const (
	attrAdditionalAddressFamily = stun.AttrType(0x8000)
	attrAddressErrorCode        = stun.AttrType(0x8001)
	attrIntegritySHA256         = stun.AttrType(0x001C)
)

// cut drops what does not count: everything after the first MESSAGE-INTEGRITY or
// MESSAGE-INTEGRITY-SHA256 but the latter and FINGERPRINT (RFC 8489 §14.5, §14.6).
func (q *request) cut() {
	sealed, kept := false, q.Attributes[:0]
	for _, a := range q.Attributes {
		switch {
		case a.Type == stun.AttrFingerprint:
			q.fingerprint = true
		case a.Type == stun.AttrMessageIntegrity && !sealed,
			a.Type == attrIntegritySHA256:
			sealed = true
			kept = append(kept, a)
		case !sealed:
			kept = append(kept, a)
		}
	}
	q.Attributes = kept
}

// attribute returns the value of the first attribute of a type; the later ones do
// not count (RFC 8489 §14).
func (q *request) attribute(t stun.AttrType) ([]byte, bool) {
	a, ok := q.Attributes.Get(t)
	return a.Value, ok
}

// checkUnderstood refuses a request with attributes that would have to be understood
// and are not (RFC 8489 §6.3.1).
func (q *request) checkUnderstood() Reason {
	var unknown []byte
	for _, a := range q.Attributes {
		if !wire.Understood(uint16(a.Type)) {
			unknown = binary.BigEndian.AppendUint16(unknown, uint16(a.Type))
		}
	}
	if unknown == nil {
		return None
	}
	return q.refuseAttributes(unknown)
}

// refuseAttributes answers 420 with the types, two bytes each, that are the matter.
func (q *request) refuseAttributes(types []byte) Reason {
	q.fail(codeUnknownAttribute, UnknownAttribute)
	q.reply.Add(stun.AttrUnknownAttributes, types)
	return UnknownAttribute
}

// succeed begins a success response.
func (q *request) succeed() { q.begin(stun.ClassSuccessResponse) }

// fail begins an error response and returns the reason. Only authenticated clients
// get the reason as a phrase: to others it would be amplification (SEC-24).
func (q *request) fail(code int, why Reason) Reason {
	q.begin(stun.ClassErrorResponse)
	value := []byte{0, 0, byte(code / 100), byte(code % 100)}
	if q.key != nil {
		value = append(value, why.String()...)
	}
	q.reply.Add(stun.AttrErrorCode, value)
	return why
}

// begin starts the reply over.
func (q *request) begin(class stun.MessageClass) {
	q.replied = true
	q.reply.Reset()
	q.reply.TransactionID = q.TransactionID
	q.reply.Type = stun.MessageType{Method: q.Type.Method, Class: class}
	q.reply.WriteHeader()
}

// addAddress adds an XOR-ed address attribute to the reply.
func (q *request) addAddress(t stun.AttrType, addr netip.AddrPort) {
	q.reply.Add(t, wire.AppendXORAddress(nil, q.Raw, addr))
}

// addLifetime adds LIFETIME in whole seconds, rounded up: zero would mean that the
// allocation is gone (RFC 8656 §8).
func (q *request) addLifetime(d time.Duration) {
	seconds := uint32((d + time.Second - 1) / time.Second)
	q.reply.Add(stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds))
}

// encode finishes the reply and writes it over dst: SOFTWARE where the RFC wants it,
// MESSAGE-INTEGRITY if the client proved who it is, FINGERPRINT if it used one.
func (q *request) encode(dst []byte) []byte {
	if !q.replied {
		return dst[:0]
	}
	if q.key != nil {
		allocating := q.Type.Method == stun.MethodAllocate || q.Type.Method == stun.MethodRefresh
		if software := q.server.config.Software; allocating && software != "" {
			q.reply.Add(stun.AttrSoftware, []byte(software))
		}
		q.sign()
	}
	if q.fingerprint {
		_ = stun.Fingerprint.AddTo(&q.reply) // cannot fail
	}
	return append(slices.Grow(dst[:0], len(q.reply.Raw)), q.reply.Raw...)
}
