package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"hairpin/turnserver/wire"
)

// MinPayload is the shortest payload that can be measured, in bytes.
const MinPayload = 24

// mark is the first byte of every payload: in RFC 7983's range for media, so that no
// server takes a payload for STUN or ChannelData.
const mark = 0x9b

// stamp is what a payload tells of itself, at its beginning:
//
//	 0  4  run, of which the first byte is mark
//	 4  4  flow
//	 8  8  sequence number
//	16  8  time of sending, nanoseconds since the fleet's epoch
type stamp struct {
	run, flow uint32
	sequence  uint64
	sent      time.Duration
}

// put writes the stamp into the first bytes of p, which has at least MinPayload.
func (s stamp) put(p []byte) {
	_ = p[MinPayload-1]
	binary.BigEndian.PutUint32(p, s.run)
	binary.BigEndian.PutUint32(p[4:], s.flow)
	binary.BigEndian.PutUint64(p[8:], s.sequence)
	binary.BigEndian.PutUint64(p[16:], uint64(s.sent))
}

// parseStamp reads the stamp of a payload. It is not ok if p is too short to have one;
// whether its numbers exist is for the caller to check.
func parseStamp(p []byte) (s stamp, ok bool) {
	if len(p) < MinPayload {
		return stamp{}, false
	}
	return stamp{
		run:      binary.BigEndian.Uint32(p),
		flow:     binary.BigEndian.Uint32(p[4:]),
		sequence: binary.BigEndian.Uint64(p[8:]),
		sent:     time.Duration(binary.BigEndian.Uint64(p[16:])),
	}, true
}

// firstRun returns a number for a fleet's first run. It is not predictable from other
// fleets', whose packets may still be under way.
func firstRun() uint32 { return mark<<24 | rand.Uint32()&(1<<24-1) }

// nextRun returns the number after a run's.
func nextRun(run uint32) uint32 { return mark<<24 | (run+1)&(1<<24-1) }

// maxBindingFlows is how many flows a Binding request can tell apart.
const maxBindingFlows = 1 << 16

// putBinding writes a Binding request (RFC 8489 §5) whose transaction ID is its stamp:
//
//	0  2  flow
//	2  4  the low bits of the sequence number
//	6  6  the low bits of the time of sending
//
// The run is not in it: a server's answers come at once, or are taken for lost.
func putBinding(p []byte, s stamp) {
	const bindingRequest, magicCookie = 0x0001, 0x2112A442
	_ = p[wire.HeaderLen-1]
	binary.BigEndian.PutUint32(p, bindingRequest<<16) // without attributes
	binary.BigEndian.PutUint32(p[4:], magicCookie)
	binary.BigEndian.PutUint64(p[12:], uint64(s.sent)) // its first two bytes are overwritten
	binary.BigEndian.PutUint16(p[8:], uint16(s.flow))
	binary.BigEndian.PutUint32(p[10:], uint32(s.sequence))
}

// parseBinding reads the stamp of a Binding response. It is not ok if p is anything
// else; whether its numbers exist is for the caller to check.
func parseBinding(p []byte) (s stamp, ok bool) {
	const bindingSuccess, low48 = 0x0101, 1<<48 - 1
	if !wire.IsMessage(p) || binary.BigEndian.Uint16(p) != bindingSuccess {
		return stamp{}, false
	}
	return stamp{
		flow:     uint32(binary.BigEndian.Uint16(p[8:])),
		sequence: uint64(binary.BigEndian.Uint32(p[10:])),
		sent:     time.Duration(binary.BigEndian.Uint64(p[12:]) & low48),
	}, true
}
