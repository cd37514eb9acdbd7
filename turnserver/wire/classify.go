package wire

// Kind is the protocol a packet belongs to.
type Kind uint8

// The protocols that can share a port with TURN.
const (
	Unknown Kind = iota
	STUN
	ChannelData
	DTLS
)

// Classify tells protocols apart by a packet's first byte (RFC 7983 §7, RFC 8656 §12).
// What RFC 5766 §11 had for ChannelData, RFC 7983 gives to nobody, so it stays
// ChannelData. The rest of the packet remains to be checked. A packet without a byte is
// Unknown.
func Classify(p []byte) Kind {
	if len(p) == 0 {
		return Unknown
	}
	switch first := p[0]; {
	case first <= 3:
		return STUN
	case first >= 20 && first <= 63:
		return DTLS
	case first >= 64 && first <= 127:
		return ChannelData
	default:
		return Unknown
	}
}
