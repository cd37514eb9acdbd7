package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// sinkSys is a sink as an XDP program and what it is attached to.
type sinkSys struct {
	program *ebpf.Program
	config  *ebpf.Map // one sinkConfig
	counts  *ebpf.Map // one number, per processor
	links   []link.Link
	before  uint64 // count at begin
}

// sinkConfig is what the program looks for.
type sinkConfig struct {
	Run  [4]byte // the first bytes of a payload; all zero for none
	Mask uint32  // a payload passes whose sequence number has none of these bits
}

// NewSink loads a sink's program. It needs the capabilities CAP_BPF and CAP_NET_ADMIN.
func NewSink() (*Sink, error) {
	_ = rlimit.RemoveMemlock() // only kernels before 5.11 have the limit, and loading tells
	s := new(Sink)
	if err := s.load(); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("sink: %w", err)
	}
	return s, nil
}

func (s *sinkSys) load() (err error) {
	s.config, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bench_config", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	s.counts, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bench_counts", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_sink", Type: ebpf.XDP, License: "Dual MIT/GPL",
		Instructions: sinkProgram(s.config.FD(), s.counts.FD()),
	})
	return err
}

// Attach puts the sink on an interface of the calling thread's network namespace, in
// its driver. It fails where the driver has no place for programs, or another is there.
func (s *Sink) Attach(name string) error {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: s.program, Interface: device.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return fmt.Errorf("sink on %s: %w", name, err)
	}
	s.links = append(s.links, l)
	return nil
}

// match is told to a map that exists, so it does not fail.
func (s *sinkSys) match(run uint32) {
	config := sinkConfig{Mask: sampleEvery - 1}
	binary.BigEndian.PutUint32(config.Run[:], run)
	_ = s.config.Put(uint32(0), config)
	s.before += s.count()
}

func (s *sinkSys) count() uint64 {
	var counts []uint64
	_ = s.counts.Lookup(uint32(0), &counts)
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	return sum - s.before
}

func (s *sinkSys) close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	s.links = nil
	if s.program != nil {
		errs = append(errs, s.program.Close())
	}
	for _, m := range []*ebpf.Map{s.config, s.counts} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// Where things are in a frame, in bytes: Ethernet II without a tag, IPv4 without
// options or IPv6 without extension headers, UDP.
const (
	etherType   = 12
	ipHeader    = 14
	ip4Fragment = ipHeader + 6
	ip4Protocol = ipHeader + 9
	ip4Payload  = ipHeader + 20 + 8
	ip6Next     = ipHeader + 6
	ip6Payload  = ipHeader + 40 + 8

	stampSequenceLow = 15 // the last byte of a stamp's sequence number
)

// The verdicts, and the registers kept over calls: where data is looked at, the end of
// the frame, and the mask.
const (
	xdpDrop, xdpPass = 1, 2

	data, end, mask = asm.R7, asm.R8, asm.R9
)

// sinkProgram returns the program: XDP_DROP and one more for a payload of the run, bare
// or as ChannelData, and XDP_PASS untouched for all else.
func sinkProgram(config, counts int) asm.Instructions {
	program := append(findPayload(), labelled("payload", lookUp(config))...)
	program = append(program, matchPayload()...)
	program = append(program, lookUp(counts)...)
	return append(program,
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, xdpDrop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	)
}

// findPayload goes to "payload" with data at that of a UDP datagram, which has at least
// MinPayload bytes, or to "pass".
func findPayload() asm.Instructions {
	const udp = 17
	program := asm.Instructions{
		asm.LoadMem(data, asm.R1, 0, asm.Word),
		asm.LoadMem(end, asm.R1, 4, asm.Word),
	}
	program = append(program, within(ip4Payload+MinPayload)...)
	program = append(program,
		asm.LoadMem(asm.R5, data, etherType, asm.Half),
		asm.JEq.Imm(asm.R5, networkOrder(0x86dd), "ip6"),
		asm.JNE.Imm(asm.R5, networkOrder(0x0800), "pass"),
		asm.LoadMem(asm.R5, data, ipHeader, asm.Byte),
		asm.JNE.Imm(asm.R5, 0x45, "pass"),
		asm.LoadMem(asm.R5, data, ip4Fragment, asm.Half),
		asm.And.Imm(asm.R5, networkOrder(0x3fff)),
		asm.JNE.Imm(asm.R5, 0, "pass"),
		asm.LoadMem(asm.R5, data, ip4Protocol, asm.Byte),
		asm.JNE.Imm(asm.R5, udp, "pass"),
		asm.Add.Imm(data, ip4Payload),
		asm.Ja.Label("payload"),
	)
	program = append(program, labelled("ip6", within(ip6Payload+MinPayload))...)
	return append(program,
		asm.LoadMem(asm.R5, data, ip6Next, asm.Byte),
		asm.JNE.Imm(asm.R5, udp, "pass"),
		asm.Add.Imm(data, ip6Payload),
	)
}

// matchPayload goes on if the payload is one of the run in R0, a sinkConfig, and not one
// to be timed, or to "pass".
func matchPayload() asm.Instructions {
	program := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.LoadMem(mask, asm.R0, 4, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "pass"),
		asm.LoadMem(asm.R2, data, 0, asm.Word),
		asm.JEq.Reg(asm.R2, asm.R1, "stamp"),
		asm.LoadMem(asm.R2, data, 0, asm.Byte),
		asm.And.Imm(asm.R2, 0xf0),
		asm.JNE.Imm(asm.R2, 0x40, "pass"), // no ChannelData
	}
	program = append(program, within(4+MinPayload)...)
	return append(program,
		asm.LoadMem(asm.R2, data, 4, asm.Word),
		asm.JNE.Reg(asm.R2, asm.R1, "pass"),
		asm.Add.Imm(data, 4),
		asm.LoadMem(asm.R2, data, stampSequenceLow, asm.Byte).WithSymbol("stamp"),
		asm.And.Reg(asm.R2, mask),
		asm.JEq.Imm(asm.R2, 0, "pass"),
	)
}

// lookUp puts the only element of a map into R0.
func lookUp(fd int) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, fd),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
	}
}

// within goes on if n bytes from data on are in the frame, or to "pass".
func within(n int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R4, data),
		asm.Add.Imm(asm.R4, n),
		asm.JGT.Reg(asm.R4, end, "pass"),
	}
}

// labelled makes the first of some instructions one to jump to.
func labelled(label string, all asm.Instructions) asm.Instructions {
	all[0] = all[0].WithSymbol(label)
	return all
}

// networkOrder returns a number as this machine reads it from a packet.
func networkOrder(n uint16) int32 {
	var p [2]byte
	binary.BigEndian.PutUint16(p[:], n)
	return int32(binary.NativeEndian.Uint16(p[:]))
}
