//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// runContext is the kernel's struct xdp_md.
type runContext struct {
	Data, DataEnd, DataMeta uint32
	IngressInterface        uint32
	Queue, EgressInterface  uint32
}

// room is how much longer than a frame the memory for what becomes of it must be.
const room = 258

// Run shows the program a frame as if it had come in by an interface of the calling
// thread's network namespace, and returns the verdict and the frame as it is then.
// Nothing is sent; counts count. The frame is 14 bytes long at least and a page less
// about 600 bytes at most.
func (p *Program) Run(index int, frame []byte) (Action, []byte, error) {
	out := make([]byte, len(frame)+room)
	options := ebpf.RunOptions{
		Data:    frame,
		DataOut: out,
		Context: runContext{DataEnd: uint32(len(frame)), IngressInterface: uint32(index)},
	}
	verdict, err := p.objects.Hairpin.Run(&options)
	if err != nil {
		return Aborted, nil, fmt.Errorf("run the XDP program: %w", err)
	}
	return Action(verdict), options.DataOut, nil
}

// Clock returns the program's clock as it reads it: CLOCK_MONOTONIC of the machine, from
// which that of this process differs in a time namespace.
func (p *Program) Clock() (Time, error) {
	// The frame does not matter, but has a least length.
	if _, err := p.objects.HairpinClock.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		return 0, fmt.Errorf("run the clock: %w", err)
	}
	var now uint64
	if err := p.objects.Clock.Lookup(uint32(0), &now); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return Time(now), nil
}
