package wire

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The STUN header (RFC 8489 §5).
const (
	HeaderLen   = 20
	magicCookie = 0x2112A442
)

// TransactionID is the 96-bit transaction identifier of a STUN message.
type TransactionID [12]byte

// The message types that are handled in place: method, with the class's two bits
// between the method's.
const (
	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	sendIndication = 0x0016
	dataIndication = 0x0017
)

// The attributes that are read or written in place (RFC 8489 §18.3, RFC 8656 §18).
const (
	attrMessageIntegrity       = 0x0008
	attrXORPeerAddress         = 0x0012
	attrData                   = 0x0013
	attrDontFragment           = 0x001A
	attrMessageIntegritySHA256 = 0x001C
	attrXORMappedAddress       = 0x0020
	attrFingerprint            = 0x8028

	attrHeaderLen  = 4
	fingerprintLen = 8
	fingerprintXOR = 0x5354554e

	// comprehensionOptional is the first attribute type that an agent may ignore.
	comprehensionOptional = 0x8000

	familyIPv4 = 1
	familyIPv6 = 2
)

// IsMessage reports whether p is one whole STUN message by its header: the two zero
// bits, the magic cookie, and a length that is a multiple of four and exactly what p
// holds (RFC 8489 §6.3). Attributes remain to be checked.
func IsMessage(p []byte) bool {
	return len(p) >= HeaderLen && p[0]&0xC0 == 0 &&
		binary.BigEndian.Uint32(p[4:]) == magicCookie &&
		len(p)%4 == 0 && int(binary.BigEndian.Uint16(p[2:])) == len(p)-HeaderLen
}

// attribute is a view of one attribute: at is the offset of its value in the message.
type attribute struct {
	kind uint16
	at   int
	len  int
}

// next returns the attribute at an offset and the offset of the one after it. It is
// not ok at the end of the message and where the attribute overruns it.
func next(p []byte, offset int) (a attribute, after int, ok bool) {
	if len(p)-offset < attrHeaderLen {
		return attribute{}, 0, false
	}
	a = attribute{
		kind: binary.BigEndian.Uint16(p[offset:]),
		at:   offset + attrHeaderLen,
		len:  int(binary.BigEndian.Uint16(p[offset+2:])),
	}
	after = a.at + (a.len+3)&^3
	return a, after, after <= len(p)
}

// WellFormed reports whether p is one whole STUN message whose attributes fill it
// exactly, and whose FINGERPRINT, if it has one, is last and right (RFC 8489 §6.3,
// §7). What is not is to be dropped without an answer.
func WellFormed(p []byte) bool {
	if !IsMessage(p) {
		return false
	}
	for offset := HeaderLen; offset < len(p); {
		a, after, ok := next(p, offset)
		if !ok {
			return false
		}
		if a.kind == attrFingerprint {
			return after == len(p) && a.len == 4 &&
				binary.BigEndian.Uint32(p[a.at:]) == fingerprint(p[:offset])
		}
		offset = after
	}
	return true
}

// fingerprint computes the value of FINGERPRINT over the message before it (RFC 8489
// §14.7), whose header counts the attribute's own length already.
func fingerprint(p []byte) uint32 { return crc32.ChecksumIEEE(p) ^ fingerprintXOR }

// AppendXORAddress appends the value of an XOR-ed address attribute (RFC 8489 §14.2)
// for the message that begins with header, which holds at least its 20 bytes.
func AppendXORAddress(dst, header []byte, addr netip.AddrPort) []byte {
	n := addressLen(addr.Addr())
	dst = append(dst, make([]byte, n)...)
	putXORAddress(dst[len(dst)-n:], header, addr)
	return dst
}

// addressLen returns the length of an address attribute's value.
func addressLen(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 20
}

// putXORAddress writes the value of an XOR-ed address attribute (RFC 8489 §14.2) to p,
// which has addressLen bytes, for the message that begins with header.
func putXORAddress(p, header []byte, addr netip.AddrPort) {
	p[0], p[1] = 0, familyIPv4
	binary.BigEndian.PutUint16(p[2:], addr.Port()^magicCookie>>16)
	if a := addr.Addr(); a.Is4() {
		ip := a.As4()
		copy(p[4:], ip[:])
	} else {
		ip := a.As16()
		p[1] = familyIPv6
		copy(p[4:], ip[:])
	}
	for i := range p[4:] {
		p[4+i] ^= header[4+i]
	}
}

// ParseXORAddress reads the value of an XOR-ed address attribute of the message that
// begins with header. It is not ok if length and family disagree; the first, reserved
// byte is not looked at. An IPv4-mapped IPv6 address stays what it is.
func ParseXORAddress(v, header []byte) (addr netip.AddrPort, ok bool) {
	var ip [16]byte
	switch {
	case len(v) == 8 && v[1] == familyIPv4:
	case len(v) == 20 && v[1] == familyIPv6:
	default:
		return netip.AddrPort{}, false
	}
	for i := range v[4:] {
		ip[i] = v[4+i] ^ header[4+i]
	}
	port := binary.BigEndian.Uint16(v[2:]) ^ magicCookie>>16
	if len(v) == 8 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port), true
	}
	return netip.AddrPortFrom(netip.AddrFrom16(ip), port), true
}
