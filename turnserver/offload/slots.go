package offload

import "time"

// rest is how long a slot stays unused after a flow has left it: far longer than any
// processor takes over one packet.
const rest = time.Second

// slots hands out slots of the program. It is guarded by Engine.mu.
type slots struct {
	next, size uint32 // those from next on have never been used
	free       []uint32
	resting    []resting // in the order in which they came back
}

type resting struct {
	slot uint32
	till time.Duration // on the caller's clock
}

// take returns a slot that nobody uses, or false if there is none.
func (s *slots) take(now time.Duration) (uint32, bool) {
	for len(s.resting) > 0 && s.resting[0].till <= now {
		s.free = append(s.free, s.resting[0].slot)
		s.resting = s.resting[1:]
	}
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot, true
	}
	if s.next == s.size {
		return 0, false
	}
	s.next++
	return s.next - 1, true
}

// put takes back a slot that has been cleared.
func (s *slots) put(slot uint32, now time.Duration) {
	s.resting = append(s.resting, resting{slot, now + rest})
}
