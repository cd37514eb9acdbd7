package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// loadSink makes a sink. Where that is not allowed it skips the test, or fails it where
// the environment has HAIRPIN_TEST_FULL=1.
func loadSink(t *testing.T) *Sink {
	t.Helper()
	s, err := NewSink()
	switch {
	case err == nil:
	case os.Getenv("HAIRPIN_TEST_FULL") != "1" && (errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported)):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// frame returns an Ethernet frame with a UDP datagram.
func frame(six bool, payload []byte) []byte {
	var f []byte
	length := uint16(8 + len(payload))
	if six {
		f = append(make([]byte, 12), 0x86, 0xdd, 0x60, 0, 0, 0)
		f = append(binary.BigEndian.AppendUint16(f, length), 17, 64)
		f = append(f, make([]byte, 32)...)
	} else {
		f = append(make([]byte, 12), 0x08, 0x00, 0x45, 0)
		f = append(binary.BigEndian.AppendUint16(f, 20+length), 0, 0, 0, 0, 64, 17)
		f = append(f, make([]byte, 10)...)
	}
	f = append(f, 0xc0, 0, 0xc0, 1)
	f = append(binary.BigEndian.AppendUint16(f, length), 0, 0)
	return append(f, payload...)
}

func TestSinkVerdicts(t *testing.T) {
	const run = mark<<24 | 77
	bare := func(s stamp) []byte {
		p := make([]byte, MinPayload)
		s.put(p)
		return p
	}
	framed := func(s stamp) []byte { return append([]byte{0x40, 1, 0, MinPayload}, bare(s)...) }
	good := stamp{run: run, flow: 3, sequence: 5, sent: time.Second}
	change := func(f []byte, at int, to byte) []byte {
		f = slices.Clone(f)
		f[at] = to
		return f
	}
	tests := []struct {
		name  string
		frame []byte
		want  uint32
	}{
		{"a payload", frame(false, bare(good)), xdpDrop},
		{"ChannelData", frame(false, framed(good)), xdpDrop},
		{"a payload over IPv6", frame(true, bare(good)), xdpDrop},
		{"ChannelData over IPv6", frame(true, framed(good)), xdpDrop},
		{"one to be timed", frame(false, bare(stamp{run: run, sequence: 3 * sampleEvery})), xdpPass},
		{"one in ChannelData to be timed", frame(true, framed(stamp{run: run, sequence: 256})), xdpPass},
		{"another run", frame(false, bare(stamp{run: run + 1, sequence: 5})), xdpPass},
		{"another run in ChannelData", frame(false, framed(stamp{run: run + 1, sequence: 5})), xdpPass},
		{"no run", frame(false, bare(stamp{sequence: 5})), xdpPass},
		{"no channel", change(frame(false, framed(good)), ip4Payload, 0x80), xdpPass},
		{"too short", frame(false, bare(good)[:MinPayload-1]), xdpPass},
		{"too short ChannelData", frame(false, framed(good)[:3+MinPayload]), xdpPass},
		{"too short over IPv6", frame(true, bare(good)[:MinPayload-1]), xdpPass},
		{"no IP", change(frame(false, bare(good)), etherType+1, 6), xdpPass},
		{"a tag", change(change(frame(false, bare(good)), etherType, 0x81), etherType+1, 0), xdpPass},
		{"IPv4 options", change(frame(false, bare(good)), ipHeader, 0x46), xdpPass},
		{"a first fragment", change(frame(false, bare(good)), ip4Fragment, 0x20), xdpPass},
		{"a later fragment", change(frame(false, bare(good)), ip4Fragment+1, 1), xdpPass},
		{"an unfragmented one", change(frame(false, bare(good)), ip4Fragment, 0x40), xdpDrop},
		{"TCP", change(frame(false, bare(good)), ip4Protocol, 6), xdpPass},
		{"an IPv6 extension header", change(frame(true, bare(good)), ip6Next, 0), xdpPass},
		{"nothing", make([]byte, 14), xdpPass},
	}
	sink := loadSink(t)
	sink.begin(run)
	dropped := uint64(0)
	for _, test := range tests {
		out := make([]byte, len(test.frame)+258)
		options := ebpf.RunOptions{Data: test.frame, DataOut: out}
		got, err := sink.program.Run(&options)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got != test.want || !bytes.Equal(options.DataOut, test.frame) {
			t.Errorf("%s: verdict %d, want %d; %x became %x", test.name, got, test.want, test.frame, options.DataOut)
		}
		if test.want == xdpDrop {
			dropped++
		}
	}
	if n := sink.dropped(); n != dropped {
		t.Errorf("%d were counted of %d", n, dropped)
	}
	sink.begin(run)
	if n := sink.dropped(); n != 0 {
		t.Errorf("%d were counted of another run", n)
	}
	sink.end()
	if got, err := sink.program.Run(&ebpf.RunOptions{Data: tests[0].frame}); got != xdpPass || err != nil {
		t.Errorf("verdict %d after the end: %v", got, err)
	}
}

func TestNoSink(t *testing.T) {
	var none *Sink
	none.begin(1)
	none.end()
	if none.dropped() != 0 || none.Close() != nil {
		t.Error("no sink does something")
	}
	if err := loadSink(t).Attach("no-such-interface"); err == nil {
		t.Error("an interface that does not exist was attached to")
	}
}
