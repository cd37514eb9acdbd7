package stream

import "encoding/binary"

const (
	// Headroom is the number of bytes before a frame that may be overwritten: enough
	// for the relay to write another framing's header in place.
	Headroom = 64

	// Tailroom is the number of bytes after a frame that may be overwritten: enough
	// to pad it to a multiple of four.
	Tailroom = 3

	// MaxSTUN is the length in bytes of the longest STUN message accepted, header
	// included: more than a request needs with every attribute at its longest.
	MaxSTUN = 8 << 10

	// MaxChannelData is the length in bytes of the longest ChannelData payload
	// accepted: what a UDP datagram over IPv4 can carry on.
	MaxChannelData = 65507

	stunHeader        = 20
	channelDataHeader = 4
	magicCookie       = 0x2112A442 // RFC 8489 §5
)

// Framer cuts a byte stream into frames. It does no I/O and is not safe for
// concurrent use. How the stream is cut into segments changes neither the frames nor
// where and why they end.
//
// A ChannelData frame is out as soon as its payload is: its padding is skipped
// whenever it arrives (RFC 8656 §12.5).
type Framer struct {
	memory *memory
	block  *block

	read, written int  // block.b[read:written] has arrived and is in no frame yet
	padding       int  // bytes of the last frame's padding still to be skipped
	filled        bool // the last bytes that arrived left no space
	err           error

	tail   [Tailroom]byte // block.b[tailAt:][:Tailroom], before the frame was handed out
	tailAt int            // 0 if none was
}

// NewFramer returns a Framer with its own memory.
func NewFramer() *Framer { return newFramer(newMemory(0)) }

func newFramer(m *memory) *Framer {
	return &Framer{memory: m, block: m.lend(smallBlock), read: Headroom, written: Headroom}
}

// Space returns where the next bytes of the stream may be put, never empty. It is
// valid until [Framer.Wrote], and ends the validity of the last frame.
func (f *Framer) Space() []byte {
	f.reclaim()
	f.resize()
	return f.block.b[f.written : len(f.block.b)-Tailroom]
}

// Wrote says that n bytes were put into the last [Framer.Space].
func (f *Framer) Wrote(n int) {
	f.filled = f.written+n == len(f.block.b)-Tailroom
	f.written += n
}

// Append copies the next bytes of the stream and returns how many it had room for;
// take frames out with [Framer.Next] to make more.
func (f *Framer) Append(p []byte) int {
	n := copy(f.Space(), p)
	f.Wrote(n)
	return n
}

// Next returns the next frame as buf[start:end]. The frame, the [Headroom] before it
// and the [Tailroom] after it may be overwritten until the next call of a method. It
// reports false when more bytes are needed, and for ever once [Framer.Err] is not nil.
func (f *Framer) Next() (buf []byte, start, end int, ok bool) {
	f.reclaim()
	if f.err != nil {
		return nil, 0, 0, false
	}
	arrived := f.block.b[f.read:f.written]
	n, err := frameLength(arrived)
	if err != nil {
		f.err = err
		return nil, 0, 0, false
	}
	if n == 0 || len(arrived) < n {
		return nil, 0, 0, false
	}
	start, end = f.read, f.read+n
	f.read, f.padding = end, -n&3
	f.tailAt = end
	copy(f.tail[:], f.block.b[end:])
	return f.block.b[: end+Tailroom : end+Tailroom], start, end, true
}

// Err returns why the stream cannot go on, [Garbage] or [Oversized], or nil.
func (f *Framer) Err() error { return f.err }

// Partial reports whether some bytes of a frame have arrived, but not all.
func (f *Framer) Partial() bool { return f.written-f.read > f.padding }

// partialData reports whether some bytes of a ChannelData frame have arrived, but not
// all.
func (f *Framer) partialData() bool {
	return f.Partial() && f.block.b[f.read+f.padding]>>6 == 0b01
}

// release gives the memory back; the framer is of no use afterwards.
func (f *Framer) release() {
	f.memory.giveBack(f.block)
	f.block = nil
}

// reclaim undoes what the holder of the last frame wrote behind it, and skips what
// has arrived of its padding.
func (f *Framer) reclaim() {
	if f.tailAt != 0 {
		copy(f.block.b[f.tailAt:], f.tail[:])
		f.tailAt = 0
	}
	skip := min(f.padding, f.written-f.read)
	f.read += skip
	f.padding -= skip
}

// resize moves an unfinished frame to the front, into a longer block if the bytes
// filled this one. Memory so follows what has been received, not what was announced.
func (f *Framer) resize() {
	arrived := f.block.b[f.read:f.written]
	want := smallBlock
	switch {
	case f.filled:
		want = min(len(f.block.b)+1, largeBlock)
	case len(arrived) > 0:
		want = len(f.block.b)
	}
	f.moveTo(want, arrived)
}

// moveTo makes arrived the front of a block of at least want bytes.
func (f *Framer) moveTo(want int, arrived []byte) {
	old := f.block
	if want > len(old.b) || (want == smallBlock && len(old.b) > smallBlock) {
		f.block = f.memory.lend(want)
	}
	if f.block != old || f.read != Headroom {
		copy(f.block.b[Headroom:], arrived)
	}
	if f.block != old {
		f.memory.giveBack(old)
	}
	f.read, f.written = Headroom, Headroom+len(arrived)
}

// frameLength returns the length of the frame that begins with p, without padding,
// or 0 if p is too short to say. What it reports of an invalid frame depends on the
// first byte that makes it so, not on how many are there.
func frameLength(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch p[0] >> 6 {
	case 0b00:
		return stunLength(p)
	case 0b01:
		return channelDataLength(p)
	default:
		return 0, Garbage
	}
}

// stunLength is frameLength of a STUN message (RFC 8489 §5).
func stunLength(p []byte) (int, error) {
	if len(p) < 4 {
		return 0, nil
	}
	n := stunHeader + int(binary.BigEndian.Uint16(p[2:]))
	if n > MaxSTUN {
		return 0, Oversized
	}
	if n%4 != 0 {
		return 0, Garbage
	}
	if len(p) < 8 {
		return 0, nil
	}
	if binary.BigEndian.Uint32(p[4:]) != magicCookie {
		return 0, Garbage
	}
	return n, nil
}

// channelDataLength is frameLength of a ChannelData message (RFC 8656 §12.4).
func channelDataLength(p []byte) (int, error) {
	if len(p) < channelDataHeader {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(p[2:]))
	if n > MaxChannelData {
		return 0, Oversized
	}
	return channelDataHeader + n, nil
}
