package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// stunMessage returns a Binding request of n bytes, whose attributes are not looked at.
func stunMessage(n int) []byte {
	p := make([]byte, n)
	binary.BigEndian.PutUint16(p, 0x0001)
	binary.BigEndian.PutUint16(p[2:], uint16(n-stunHeader))
	binary.BigEndian.PutUint32(p[4:], magicCookie)
	for i := 8; i < n; i++ {
		p[i] = byte(i)
	}
	return p
}

// channelData returns a ChannelData message without padding.
func channelData(payload ...byte) []byte {
	p := []byte{0x40, 0x01, 0, 0}
	binary.BigEndian.PutUint16(p[2:], uint16(len(payload)))
	return append(p, payload...)
}

// padded returns p padded to a multiple of four with bytes that are not zero.
func padded(p []byte) []byte {
	return append(slices.Clone(p), []byte{0xD1, 0xD2, 0xD3}[:-len(p)&3]...)
}

// cut feeds data in segments of the given lengths, the last one repeated, to a
// framer. It returns copies of the frames, after which it overwrites all that a
// session may overwrite.
func cut(data []byte, segments ...int) (frames [][]byte, partial bool, err error) {
	f := NewFramer()
	for len(data) > 0 {
		n := max(1, min(len(data), segments[0]))
		if len(segments) > 1 {
			segments = segments[1:]
		}
		for segment := data[:n]; len(segment) > 0; {
			segment = segment[f.Append(segment):]
			for {
				buf, start, end, ok := f.Next()
				if !ok {
					break
				}
				frames = append(frames, bytes.Clone(buf[start:end]))
				overwrite(buf[start-Headroom : end+Tailroom])
			}
			if f.Err() != nil {
				return frames, f.Partial(), f.Err()
			}
		}
		data = data[n:]
	}
	return frames, f.Partial(), nil
}

func overwrite(p []byte) {
	for i := range p {
		p[i] = 0xFF
	}
}

func TestFramer(t *testing.T) {
	long := bytes.Repeat([]byte{7}, MaxChannelData)
	for _, test := range []struct {
		name    string
		stream  [][]byte
		frames  int // how many of the elements of stream are frames
		partial bool
		err     error
	}{
		{"nothing", nil, 0, false, nil},
		{"S17 two requests", [][]byte{stunMessage(20), stunMessage(28)}, 2, false, nil},
		{"longest STUN message", [][]byte{stunMessage(MaxSTUN), stunMessage(20)}, 2, false, nil},
		{"ChannelData of every padding", [][]byte{
			padded(channelData()), padded(channelData(1)), padded(channelData(1, 2)),
			padded(channelData(1, 2, 3)), padded(channelData(1, 2, 3, 4)), stunMessage(20),
		}, 6, false, nil},
		{"longest ChannelData", [][]byte{padded(channelData(long...)), stunMessage(20)}, 2, false, nil},
		{"C10 padding missing", [][]byte{channelData(1, 2)}, 1, false, nil},
		{"padding incomplete", [][]byte{padded(channelData(1))[:6]}, 1, false, nil},
		{"half a header", [][]byte{stunMessage(20), {0x40, 0x01, 0}}, 1, true, nil},
		{"half a message", [][]byte{stunMessage(20), stunMessage(24)[:23]}, 1, true, nil},
		{"S18 garbage", [][]byte{{0x80}}, 0, true, Garbage},
		{"S18 garbage behind a request", [][]byte{stunMessage(20), {0xFF, 1, 2}}, 1, true, Garbage},
		{"no magic cookie", [][]byte{{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43}}, 0, true, Garbage},
		{"STUN length not a multiple of four", [][]byte{{0, 1, 0, 3}}, 0, true, Garbage},
		{"STUN message too long by one word", [][]byte{stunMessage(MaxSTUN + 4)}, 0, true, Oversized},
		{"SEC-30 STUN length FFEC", [][]byte{{0, 1, 0xFF, 0xEC}}, 0, true, Oversized},
		{"SEC-30 STUN length FFF0", [][]byte{{0, 1, 0xFF, 0xF0}}, 0, true, Oversized},
		{"SEC-30 STUN length FFFC", [][]byte{{0, 1, 0xFF, 0xFC}}, 0, true, Oversized},
		{"SEC-30 ChannelData length FFFC", [][]byte{{0x40, 0, 0xFF, 0xFC, 0, 0, 0, 0, 0}}, 0, true, Oversized},
		{"SEC-30 ChannelData length FFFF", [][]byte{{0x40, 0, 0xFF, 0xFF}}, 0, true, Oversized},
		{"ChannelData too long by one", [][]byte{{0x40, 0, 0xFF, 0xE4}}, 0, true, Oversized},
		{"not padded", [][]byte{channelData(1, 2), stunMessage(20)}, 1, true, Oversized},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := bytes.Join(test.stream, nil)
			for _, size := range []int{1, 2, 3, 5, 21, 1400, 1 << 20} {
				frames, partial, err := cut(data, size)
				if err != test.err || partial != test.partial || len(frames) != test.frames {
					t.Fatalf("segments of %d: %d frames, partial %v, %v; want %d, %v, %v",
						size, len(frames), partial, err, test.frames, test.partial, test.err)
				}
				for i, frame := range frames {
					if want := test.stream[i][:len(frame)]; !bytes.Equal(frame, want) || len(test.stream[i])-len(frame) > 3 {
						t.Fatalf("segments of %d: frame %d differs", size, i)
					}
				}
			}
		})
	}
}

// TestFramerLatePadding has the padding arrive after the session has used its room.
func TestFramerLatePadding(t *testing.T) {
	for missing := 1; missing <= 3; missing++ {
		frame := padded(channelData(make([]byte, 4-missing)...))
		data := append(frame, stunMessage(20)...)
		for first := len(frame) - missing; first <= len(frame)+2; first++ {
			frames, partial, err := cut(data, first, 1<<20)
			if len(frames) != 2 || partial || err != nil || !bytes.Equal(frames[1], stunMessage(20)) {
				t.Errorf("%d missing, %d in the first segment: %d frames, partial %v, %v",
					missing, first, len(frames), partial, err)
			}
		}
	}
}

// TestFramerMemory holds the framer to memory that follows what was received.
func TestFramerMemory(t *testing.T) {
	f := NewFramer()
	f.Append([]byte{0x40, 0x01, 0xFF, 0xE3})
	if _, _, _, ok := f.Next(); ok {
		t.Fatal("a header is no frame")
	}
	if f.Space(); len(f.block.b) != smallBlock {
		t.Errorf("%d bytes held for an announcement", len(f.block.b))
	}
	for payload := make([]byte, MaxChannelData+1); len(payload) > 0; {
		payload = payload[f.Append(payload):]
	}
	if len(f.block.b) != largeBlock {
		t.Errorf("%d bytes held for the longest frame", len(f.block.b))
	}
	if _, start, end, ok := f.Next(); !ok || end-start != 4+MaxChannelData {
		t.Fatal("the longest frame did not come out")
	}
	if f.Space(); len(f.block.b) != smallBlock {
		t.Errorf("%d bytes held while idle", len(f.block.b))
	}
}

// FuzzFramer checks that segmentation changes nothing, that frames and their padding
// are the stream and nothing else, and that a framer stops only where the stream ends
// or is wrong.
func FuzzFramer(f *testing.F) {
	f.Add(bytes.Join([][]byte{stunMessage(20), padded(channelData(1, 2)), channelData(3)}, nil), []byte{3, 1, 40})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		random := []int{2}
		for _, c := range cuts {
			random = append(random, int(c)*int(c)) // up to longer than a medium block
		}
		whole, partial, err := cut(data, len(data))
		for _, segments := range [][]int{{1}, random} {
			frames, p, e := cut(data, segments...)
			if !slices.EqualFunc(frames, whole, bytes.Equal) || p != partial || !errors.Is(e, err) {
				t.Fatalf("segments %v: %d frames, partial %v, %v; whole: %d, %v, %v",
					segments, len(frames), p, e, len(whole), partial, err)
			}
		}
		at := 0
		for _, frame := range whole {
			if !bytes.HasPrefix(data[min(at, len(data)):], frame) {
				t.Fatalf("at %d: a frame that is not in the stream", at)
			}
			at += len(padded(frame))
		}
		rest := data[min(at, len(data)):]
		if wantErr := malformed(rest); wantErr != (err != nil) || partial != (len(rest) > 0) {
			t.Fatalf("at %d of %d: %v, partial %v", at, len(data), err, partial)
		}
	})
}

// malformed judges the beginning of a frame by the words of the RFCs, the long way.
func malformed(p []byte) bool {
	length := -1
	if len(p) >= 4 {
		length = int(p[2])<<8 + int(p[3])
	}
	switch {
	case len(p) == 0:
		return false
	case p[0] >= 0x80:
		return true
	case p[0] >= 0x40:
		return length > 65507
	}
	cookie := len(p) >= 8 && !strings.HasPrefix(string(p[4:]), "\x21\x12\xA4\x42")
	return length >= 0 && (length > 8192-20 || length%4 != 0) || cookie
}

func BenchmarkFramer(b *testing.B) {
	data := bytes.Repeat(padded(channelData(make([]byte, 1201)...)), 10)
	f := NewFramer()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		feed(f, data)
	}
}

// feed puts data through f and returns the number of frames.
func feed(f *Framer, data []byte) (frames int) {
	for len(data) > 0 {
		data = data[f.Append(data):]
		for {
			if _, _, _, ok := f.Next(); !ok {
				break
			}
			frames++
		}
	}
	return frames
}
