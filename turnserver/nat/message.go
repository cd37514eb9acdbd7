package nat

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
	"net/netip"

	"hairpin/turnserver/wire"
)

// Message types (RFC 8489 §5): method Binding with the bits of each class.
const (
	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	bindingError   = 0x0111
)

// Attributes (RFC 8489 §18.3, RFC 5780 §7).
const (
	attrMappedAddress    = 0x0001
	attrChangeRequest    = 0x0003
	attrMessageIntegrity = 0x0008
	attrErrorCode        = 0x0009
	attrUnknown          = 0x000A
	attrIntegritySHA256  = 0x001C
	attrXORMappedAddress = 0x0020
	attrPadding          = 0x0026
	attrResponsePort     = 0x0027
	attrSoftware         = 0x8022
	attrFingerprint      = 0x8028
	attrResponseOrigin   = 0x802B
	attrOtherAddress     = 0x802C

	// attrFiller makes a request longer. It is of the comprehension-optional range that
	// nobody has assigned, so every server ignores it.
	attrFiller = 0xFEED
)

// Lengths in bytes.
const (
	attrHeaderLen  = 4
	fingerprintLen = attrHeaderLen + 4
	maxAddress     = attrHeaderLen + 20 // an address attribute's, over IPv6
)

// The flags of CHANGE-REQUEST (RFC 5780 §7.2).
const (
	changeIP   = 0x4
	changePort = 0x2
)

// attributes returns the attributes of a well-formed message. Their values alias it.
func attributes(p []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for rest := p[wire.HeaderLen:]; len(rest) >= attrHeaderLen; {
			n := int(binary.BigEndian.Uint16(rest[2:]))
			if !yield(binary.BigEndian.Uint16(rest), rest[attrHeaderLen:attrHeaderLen+n]) {
				return
			}
			rest = rest[attrHeaderLen+(n+3)&^3:]
		}
	}
}

// appendHeader begins a message; finish completes it.
func appendHeader(dst []byte, kind uint16, cookieAndID []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return append(append(dst, 0, 0), cookieAndID...)
}

// finish sets the length of the message and appends a FINGERPRINT if it is to have one.
func finish(message []byte, withFingerprint bool) []byte {
	length := len(message) - wire.HeaderLen
	if !withFingerprint {
		binary.BigEndian.PutUint16(message[2:], uint16(length))
		return message
	}
	binary.BigEndian.PutUint16(message[2:], uint16(length+fingerprintLen))
	sum := crc32.ChecksumIEEE(message) ^ 0x5354554e // RFC 8489 §14.7
	return binary.BigEndian.AppendUint32(appendAttribute(message, attrFingerprint, 4), sum)
}

// appendAttribute appends the header of an attribute whose value has n bytes.
func appendAttribute(dst []byte, kind uint16, n int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, kind)
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// appendZeros appends an attribute of n zero bytes, padded to four.
func appendZeros(dst []byte, kind uint16, n int) []byte {
	dst = appendAttribute(dst, kind, n)
	return append(dst, make([]byte, (n+3)&^3)...)
}

// appendAddress appends an address attribute in the format of MAPPED-ADDRESS (RFC 8489
// §14.1).
func appendAddress(dst []byte, kind uint16, addr netip.AddrPort) []byte {
	if addr.Addr().Is4() {
		ip := addr.Addr().As4()
		dst = append(appendAttribute(dst, kind, 8), 0, 1)
		return append(binary.BigEndian.AppendUint16(dst, addr.Port()), ip[:]...)
	}
	ip := addr.Addr().As16()
	dst = append(appendAttribute(dst, kind, 20), 0, 2)
	return append(binary.BigEndian.AppendUint16(dst, addr.Port()), ip[:]...)
}

// parseAddress reads the value of such an attribute.
func parseAddress(v []byte) (netip.AddrPort, bool) {
	switch {
	case len(v) == 8 && v[1] == 1:
	case len(v) == 20 && v[1] == 2:
	default:
		return netip.AddrPort{}, false
	}
	ip, _ := netip.AddrFromSlice(v[4:])
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(v[2:])), true
}

// appendXORAddress appends XOR-MAPPED-ADDRESS to the message that begins at dst[0].
func appendXORAddress(dst []byte, addr netip.AddrPort) []byte {
	n := 20
	if addr.Addr().Is4() {
		n = 8
	}
	header := dst[:wire.HeaderLen]
	return wire.AppendXORAddress(appendAttribute(dst, attrXORMappedAddress, n), header, addr)
}

// message is a Binding message as discovery reads it; nothing of it aliases the packet.
type message struct {
	kind      uint16
	code      int // of an error response
	mapped    netip.AddrPort
	xorMapped netip.AddrPort
	origin    netip.AddrPort
	other     netip.AddrPort
	padding   int
	software  string
}

// parseMessage reads a message that may come from anyone. An attribute that cannot be
// read is as if it were absent.
func parseMessage(p []byte) (m message, ok bool) {
	if !wire.WellFormed(p) {
		return message{}, false
	}
	m.kind = binary.BigEndian.Uint16(p)
	for kind, v := range attributes(p) {
		switch kind {
		case attrErrorCode:
			if len(v) >= 4 {
				m.code = int(v[2]&7)*100 + int(v[3])
			}
		case attrXORMappedAddress:
			m.xorMapped, _ = wire.ParseXORAddress(v, p)
		case attrMappedAddress:
			m.mapped, _ = parseAddress(v)
		case attrResponseOrigin:
			m.origin, _ = parseAddress(v)
		case attrOtherAddress:
			m.other, _ = parseAddress(v)
		case attrPadding:
			m.padding = len(v)
		case attrSoftware:
			m.software = printable(v)
		}
	}
	return m, m.kind != bindingError || m.code >= 300
}

// printable returns the part of a server's text that may go to a terminal or a log.
func printable(v []byte) string {
	const longest = 128
	text := make([]byte, 0, longest)
	for _, c := range v[:min(len(v), longest)] {
		if c >= ' ' && c <= '~' {
			text = append(text, c)
		}
	}
	return string(text)
}
