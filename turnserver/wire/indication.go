package wire

import (
	"encoding/binary"
	"net/netip"
)

// SendIndication is a view of a Send indication (RFC 8656 §11): its data is
// message[DataOffset:DataOffset+DataLen].
type SendIndication struct {
	Peer         netip.AddrPort
	DataOffset   int
	DataLen      int
	DontFragment bool
}

// IsSendIndication reports whether p begins like a Send indication.
func IsSendIndication(p []byte) bool {
	return len(p) >= HeaderLen && binary.BigEndian.Uint16(p) == sendIndication
}

// ParseSendIndication reads a Send indication. It is not ok if p is malformed, lacks
// XOR-PEER-ADDRESS or DATA, or has an attribute that would have to be understood and
// is not (RFC 8489 §6.3.2); all of these are dropped without an answer. Of an attribute
// that occurs twice the first counts, and nothing counts after MESSAGE-INTEGRITY.
func ParseSendIndication(p []byte) (s SendIndication, ok bool) {
	if !IsSendIndication(p) || !WellFormed(p) {
		return s, false
	}
	var havePeer, haveData bool
	for offset := HeaderLen; offset < len(p); {
		a, after, _ := next(p, offset)
		switch {
		case a.kind == attrXORPeerAddress && !havePeer:
			if s.Peer, havePeer = ParseXORAddress(p[a.at:a.at+a.len], p); !havePeer {
				return s, false
			}
		case a.kind == attrData && !haveData:
			s.DataOffset, s.DataLen, haveData = a.at, a.len, true
		case a.kind == attrDontFragment:
			s.DontFragment = true
		case a.kind == attrMessageIntegrity || a.kind == attrMessageIntegritySHA256:
			return s, havePeer && haveData
		case !Understood(a.kind):
			return s, false
		}
		offset = after
	}
	return s, havePeer && haveData
}

// Understood reports whether a request with this attribute may be processed: it is
// comprehension-optional, or one of RFC 8489's and RFC 8656's, which are ignored where
// they are out of place.
func Understood(kind uint16) bool {
	if kind >= comprehensionOptional {
		return true
	}
	switch kind {
	case 0x0001, // MAPPED-ADDRESS
		0x0006,               // USERNAME
		attrMessageIntegrity, // MESSAGE-INTEGRITY
		0x0009,               // ERROR-CODE
		0x000A,               // UNKNOWN-ATTRIBUTES
		0x000C,               // CHANNEL-NUMBER
		0x000D,               // LIFETIME
		attrXORPeerAddress,   // XOR-PEER-ADDRESS
		attrData,             // DATA
		0x0014,               // REALM
		0x0015,               // NONCE
		0x0016,               // XOR-RELAYED-ADDRESS
		0x0017,               // REQUESTED-ADDRESS-FAMILY
		0x0018,               // EVEN-PORT
		0x0019,               // REQUESTED-TRANSPORT
		attrDontFragment,     // DONT-FRAGMENT
		attrMessageIntegritySHA256,
		attrXORMappedAddress,
		0x0022: // RESERVATION-TOKEN
		return true
	}
	return false
}

// PutDataIndication turns the payload buf[start:end] into a Data indication (RFC 8656
// §11.3) in place: the header and XOR-PEER-ADDRESS go before it, at most 48 bytes,
// padding goes after it. It returns where the message begins and ends. It is not ok,
// and nothing is written, if the message would be longer than its length field can say.
func PutDataIndication(buf []byte, start, end int, txid TransactionID, peer netip.AddrPort) (begin, stop int, ok bool) {
	n := end - start
	addr := addressLen(peer.Addr())
	length := attrHeaderLen + addr + attrHeaderLen + (n+3)&^3
	if length > 0xFFFF {
		return 0, 0, false
	}
	stop = Pad(buf, end, n)
	begin = start - HeaderLen - 2*attrHeaderLen - addr
	header := buf[begin:]
	binary.BigEndian.PutUint16(header, dataIndication)
	binary.BigEndian.PutUint16(header[2:], uint16(length))
	binary.BigEndian.PutUint32(header[4:], magicCookie)
	copy(header[8:], txid[:])
	at := HeaderLen
	binary.BigEndian.PutUint16(header[at:], attrXORPeerAddress)
	binary.BigEndian.PutUint16(header[at+2:], uint16(addr))
	putXORAddress(header[at+attrHeaderLen:at+attrHeaderLen+addr], header, peer)
	at += attrHeaderLen + addr
	binary.BigEndian.PutUint16(header[at:], attrData)
	binary.BigEndian.PutUint16(header[at+2:], uint16(n))
	return begin, stop, true
}
