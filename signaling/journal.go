package signaling

// journal keeps the newest frames that a member was sent, to send them again on another socket. It
// counts all frames since the join, from 0. The frames are shared and never changed.
type journal struct {
	most, mostBytes int // what may be kept; 0 keeps nothing
	first           uint64
	frames          [][]byte // from first on
	bytes           int
}

// next is the number that the next frame gets.
func (j *journal) next() uint64 { return j.first + uint64(len(j.frames)) }

func (j *journal) add(frame []byte) {
	if j.most == 0 {
		j.first++
		return
	}
	j.frames = append(j.frames, frame)
	j.bytes += len(frame)
	for len(j.frames) > j.most || j.bytes > j.mostBytes {
		j.forget(j.first + 1)
	}
}

// forget lets go of the frames before number n.
func (j *journal) forget(n uint64) {
	for j.first < n && len(j.frames) > 0 {
		j.bytes -= len(j.frames[0])
		j.frames[0] = nil
		j.frames = j.frames[1:]
		j.first++
	}
	if len(j.frames) == 0 {
		j.frames = nil // gives the memory back
	}
}

// from returns the frames from number n on, if all of them are kept. The slice is the caller's.
func (j *journal) from(n uint64) ([][]byte, bool) {
	if n < j.first || n > j.next() {
		return nil, false
	}
	return append([][]byte(nil), j.frames[n-j.first:]...), true
}
