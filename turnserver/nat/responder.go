package nat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"hairpin/turnserver/wire"
)

// MaxPadding bounds the PADDING of an answer, in bytes. It makes an answer that no
// Ethernet carries whole, which is what PADDING is for.
const MaxPadding = 2048

// MaxResponseLen is the room an answer needs, in bytes: all four addresses over IPv6,
// PADDING and FINGERPRINT. An error response is much shorter.
const MaxResponseLen = wire.HeaderLen + 4*maxAddress + attrHeaderLen + MaxPadding + fingerprintLen

// maxRefused is how many attribute types a 420 names. A request has room for more, but
// to name one is enough for its sender to learn what it did.
const maxRefused = 16

// Address is an IP address of the server: the one its sockets are bound to, and the one
// clients reach it at where a 1:1 NAT stands in front. Zero Advertised means Local.
type Address struct{ Local, Advertised netip.Addr }

// Addresses are what a server answers at in one family: two IP addresses with the same
// two ports on each (RFC 5780 §6). It is to read all four transport addresses, and to
// send from them.
type Addresses struct {
	IP   [2]Address
	Port [2]uint16
}

// Responder answers Binding requests by RFC 5780. The zero value is the responder of a
// server without alternate addresses.
type Responder struct {
	four, six Addresses // without alternate if the first port is zero
}

// NewResponder returns a responder with the addresses of at most one set per family.
// A set that does not have what RFC 5780 §6 asks for is an error.
func NewResponder(sets ...Addresses) (*Responder, error) {
	r := &Responder{}
	for _, s := range sets {
		s, err := s.checked()
		if err != nil {
			return nil, fmt.Errorf("alternate address: %w", err)
		}
		slot := r.slot(s.IP[0].Local)
		if slot.Port[0] != 0 {
			return nil, errors.New("alternate address: one family has two sets")
		}
		*slot = s
	}
	return r, nil
}

// checked fills in what is advertised and reports what would make a server claim what
// it does not have.
func (s Addresses) checked() (Addresses, error) {
	for i := range s.IP {
		ip := &s.IP[i]
		if !ip.Advertised.IsValid() {
			ip.Advertised = ip.Local
		}
		switch {
		case !ip.Local.IsValid() || ip.Local.IsUnspecified() || ip.Local.Zone() != "" || ip.Local.Is4In6():
			return s, fmt.Errorf("%v is not one address of this host: name it", ip.Local)
		case ip.Local.Is4() != s.IP[0].Local.Is4() || ip.Advertised.Is4() != ip.Local.Is4():
			return s, fmt.Errorf("%v and %v are not of one family", s.IP[0].Local, ip.Advertised)
		}
	}
	switch {
	case s.IP[0].Local == s.IP[1].Local || s.IP[0].Advertised == s.IP[1].Advertised:
		return s, fmt.Errorf("%v is there twice: two addresses are needed", s.IP[0].Advertised)
	case s.Port[0] == s.Port[1] || s.Port[0] == 0 || s.Port[1] == 0:
		return s, fmt.Errorf("ports %d and %d are not two ports", s.Port[0], s.Port[1])
	}
	return s, nil
}

func (r *Responder) slot(a netip.Addr) *Addresses {
	if a.Is4() {
		return &r.four
	}
	return &r.six
}

// HasAlternate reports whether requests that arrive at a local address may ask for an
// answer from another.
func (r *Responder) HasAlternate(local netip.AddrPort) bool {
	_, _, ok := r.slot(local.Addr()).find(local)
	return ok
}

// find returns which of the addresses and ports a local transport address is.
func (s *Addresses) find(local netip.AddrPort) (ip, port int, ok bool) {
	for ip = range s.IP {
		for port = range s.Port {
			if s.Port[port] != 0 && local == netip.AddrPortFrom(s.IP[ip].Local, s.Port[port]) {
				return ip, port, true
			}
		}
	}
	return 0, 0, false
}

// Response is what to send, from which local transport address and to where.
type Response struct {
	Data     []byte // in the memory lent to Respond
	From, To netip.AddrPort
	Code     int // of the error response, 0 for a success
}

// Respond answers a Binding request that came over UDP from source to a local transport
// address of the server. The answer is written to dst[:0], which is not to overlap p
// and is grown if it has no room for [MaxResponseLen]. It is not ok for what is not a
// well-formed Binding request and so gets no answer.
//
// A request with nothing of RFC 5780 is answered by XOR-MAPPED-ADDRESS alone if it
// came to an address without alternate: the other attributes would only amplify.
func (r *Responder) Respond(dst, p []byte, source, local netip.AddrPort) (response Response, ok bool) {
	if !wire.WellFormed(p) || binary.BigEndian.Uint16(p) != bindingRequest {
		return Response{}, false
	}
	set := r.slot(local.Addr())
	ip, port, alternate := set.find(local)
	var q bindingQuery
	q.read(p, alternate)
	response = Response{From: local, To: source, Code: q.code()}
	if response.Code != 0 {
		response.Data = q.refuse(dst[:0], p, response.Code)
		return response, true
	}
	if q.hasResponsePort {
		response.To = netip.AddrPortFrom(source.Addr(), q.responsePort)
	}
	origin, other := local, netip.AddrPort{}
	if alternate {
		other = netip.AddrPortFrom(set.IP[1-ip].Advertised, set.Port[1-port])
		if q.change&changeIP != 0 {
			ip = 1 - ip
		}
		if q.change&changePort != 0 {
			port = 1 - port
		}
		response.From = netip.AddrPortFrom(set.IP[ip].Local, set.Port[port])
		origin = netip.AddrPortFrom(set.IP[ip].Advertised, set.Port[port])
	}
	response.Data = q.succeed(dst[:0], p, source, origin, other)
	return response, true
}

// bindingQuery is what a Binding request asks for.
type bindingQuery struct {
	change          uint32
	hasResponsePort bool
	responsePort    uint16
	hasPadding      bool
	padding         int
	fingerprint     bool

	refused [maxRefused]uint16 // the types that are not understood
	unknown int
	bad     bool // an attribute is not what the RFC says
}

// read reads the attributes of a request. The first of a kind counts (RFC 8489 §14),
// and nothing after MESSAGE-INTEGRITY but FINGERPRINT (§14.5); a Binding request needs
// no credentials, so they are not looked at.
func (q *bindingQuery) read(p []byte, alternate bool) {
	sealed, hasChange := false, false
	for kind, v := range attributes(p) {
		switch {
		case kind == attrFingerprint:
			q.fingerprint = true
		case sealed:
		case kind == attrMessageIntegrity || kind == attrIntegritySHA256:
			sealed = true
		case kind == attrChangeRequest && alternate:
			if !hasChange {
				hasChange, q.bad = true, q.bad || len(v) != 4
				q.change = flags(v)
			}
		case kind == attrResponsePort:
			if !q.hasResponsePort {
				q.readResponsePort(v)
			}
		case kind == attrPadding:
			if !q.hasPadding {
				q.hasPadding, q.padding = true, min(len(v), MaxPadding)
			}
		case !wire.Understood(kind) && q.unknown < maxRefused:
			q.refused[q.unknown] = kind
			q.unknown++
		}
	}
}

func flags(v []byte) uint32 {
	if len(v) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}

// readResponsePort reads RESPONSE-PORT. Its two bytes of padding are counted in its
// length by some (RFC 5780 §7.5).
func (q *bindingQuery) readResponsePort(v []byte) {
	q.hasResponsePort = true
	if len(v) != 2 && len(v) != 4 {
		q.bad = true
		return
	}
	q.responsePort = binary.BigEndian.Uint16(v)
	q.bad = q.bad || q.responsePort == 0 // nothing can be sent there
}

// code returns the error code a request deserves, 0 if none.
func (q *bindingQuery) code() int {
	switch {
	case q.unknown > 0:
		return 420
	case q.bad, q.hasPadding && q.hasResponsePort: // RFC 5780 §6.1
		return 400
	}
	return 0
}

// refuse writes an error response, without a reason phrase, which would amplify.
func (q *bindingQuery) refuse(dst, p []byte, code int) []byte {
	dst = appendHeader(dst, bindingError, p[4:wire.HeaderLen])
	dst = append(appendAttribute(dst, attrErrorCode, 4), 0, 0, byte(code/100), byte(code%100))
	if code == 420 {
		dst = appendAttribute(dst, attrUnknown, 2*q.unknown)
		for _, kind := range q.refused[:q.unknown] {
			dst = binary.BigEndian.AppendUint16(dst, kind)
		}
		if q.unknown%2 != 0 {
			dst = append(dst, 0, 0)
		}
	}
	return finish(dst, q.fingerprint)
}

// succeed writes a success response (RFC 5780 §6.1).
func (q *bindingQuery) succeed(dst, p []byte, source, origin, other netip.AddrPort) []byte {
	dst = appendHeader(dst, bindingSuccess, p[4:wire.HeaderLen])
	dst = appendXORAddress(dst, source)
	if other.IsValid() || q.hasPadding || q.hasResponsePort {
		dst = appendAddress(dst, attrMappedAddress, source)
		dst = appendAddress(dst, attrResponseOrigin, origin)
	}
	if other.IsValid() {
		dst = appendAddress(dst, attrOtherAddress, other)
	}
	if q.hasPadding {
		dst = appendZeros(dst, attrPadding, q.padding)
	}
	return finish(dst, q.fingerprint)
}
