package bench

import (
	"encoding/binary"
	"time"
)

// MinPayload is the shortest payload that can be measured, in bytes.
const MinPayload = 24

// stamp is what a payload tells of itself, at its beginning:
//
//	 0  4  run
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
