package wire

import "encoding/binary"

// ChannelDataHeaderLen is the length of a ChannelData message's header in bytes.
const ChannelDataHeaderLen = 4

// The channel numbers that may be bound (RFC 8656 §12). RFC 5766 §11 had more, up to
// MaxLegacyChannel; their packets are recognised, and whether such a number can be
// bound is the control plane's to say.
const (
	MinChannel       = 0x4000
	MaxChannel       = 0x4FFF
	MaxLegacyChannel = 0x7FFF
)

// ParseChannelData returns the channel number and the application data of a
// ChannelData message (RFC 8656 §12.4). Data aliases p; what follows it is padding,
// which a datagram may have and a stream must. It is not ok if p is shorter than its
// length field says.
func ParseChannelData(p []byte) (channel uint16, data []byte, ok bool) {
	if len(p) < ChannelDataHeaderLen {
		return 0, nil, false
	}
	channel = binary.BigEndian.Uint16(p)
	end := ChannelDataHeaderLen + int(binary.BigEndian.Uint16(p[2:]))
	if channel < MinChannel || channel > MaxLegacyChannel || end > len(p) {
		return 0, nil, false
	}
	return channel, p[ChannelDataHeaderLen:end:end], true
}

// PutChannelDataHeader writes the header of a ChannelData message with n bytes of
// application data into the first four bytes of p. n is at most 65,535.
func PutChannelDataHeader(p []byte, channel uint16, n int) {
	binary.BigEndian.PutUint16(p, channel)
	binary.BigEndian.PutUint16(p[2:], uint16(n))
}

// Pad writes zeroes at buf[end:] so that a value of n bytes that ends there is a
// multiple of four long, and returns the new end. buf has room for up to three more.
func Pad(buf []byte, end, n int) int {
	for ; n%4 != 0; n++ {
		buf[end] = 0
		end++
	}
	return end
}
