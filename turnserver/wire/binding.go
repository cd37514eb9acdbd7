package wire

import (
	"encoding/binary"
	"net/netip"
)

// MaxBindingResponseLen is the length of the longest answer AnswerBinding gives.
const MaxBindingResponseLen = HeaderLen + attrHeaderLen + 20 + fingerprintLen

// AnswerBinding writes the answer to a Binding request from src to dst, which has room
// for [MaxBindingResponseLen], and returns its length. It answers only the requests
// every client sends: without attributes, or with a right FINGERPRINT alone, which the
// answer then has too (RFC 8489 §7). It returns 0 for anything else, which is for the
// control plane to judge. dst and p may not overlap.
func AnswerBinding(dst, p []byte, src netip.AddrPort) int {
	if len(p) != HeaderLen && len(p) != HeaderLen+fingerprintLen {
		return 0
	}
	if binary.BigEndian.Uint16(p) != bindingRequest || !WellFormed(p) {
		return 0
	}
	withFingerprint := len(p) > HeaderLen
	if withFingerprint && binary.BigEndian.Uint16(p[HeaderLen:]) != attrFingerprint {
		return 0
	}
	n := addressLen(src.Addr())
	end := HeaderLen + attrHeaderLen + n
	size := end
	if withFingerprint {
		size += fingerprintLen
	}
	binary.BigEndian.PutUint16(dst, bindingSuccess)
	binary.BigEndian.PutUint16(dst[2:], uint16(size-HeaderLen))
	copy(dst[4:HeaderLen], p[4:])
	binary.BigEndian.PutUint16(dst[HeaderLen:], attrXORMappedAddress)
	binary.BigEndian.PutUint16(dst[HeaderLen+2:], uint16(n))
	putXORAddress(dst[HeaderLen+attrHeaderLen:end], dst, src)
	if withFingerprint {
		binary.BigEndian.PutUint32(dst[end:], attrFingerprint<<16|4)
		binary.BigEndian.PutUint32(dst[end+4:], fingerprint(dst[:end]))
	}
	return size
}
