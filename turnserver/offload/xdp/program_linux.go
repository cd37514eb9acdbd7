//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"net/netip"

	"github.com/cilium/ebpf"
)

// Supported says whether there is a program for this platform.
const Supported = true

// Program is the program and its maps, loaded. Of a slot only one goroutine may change
// the flow at a time; all else is safe for concurrent use, and nothing may be used
// during or after Close.
type Program struct {
	program *ebpf.Program
}

// Load loads the program, with no flows. Links to it are the caller's to make and to
// end. It needs CAP_BPF and CAP_NET_ADMIN.
func Load(c Config) (*Program, error) { return nil, ErrUnsupported }

// XDP returns the program, to be attached.
func (p *Program) XDP() *ebpf.Program { return p.program }

// Close unloads the program, once no interface has it any more.
func (p *Program) Close() error { return nil }

// Set puts a flow into a slot that has none, with no hops and no counts, and makes it
// valid until expires: record first, then the peer's key, then the client's. On ErrFull,
// or if another flow has one of its keys, the slot stays without one, and is to be left
// alone as after [Program.Clear].
func (p *Program) Set(slot uint32, f Flow, expires Time) error { return nil }

// Renew gives a slot's flow a new lifetime; zero ends it at once. It is one store.
func (p *Program) Renew(slot uint32, expires Time) {}

// SetHop says how packets of a slot's flow go on; a hop with Limit zero withdraws it.
// Towards a peer that is another client of this server it has no meaning.
func (p *Program) SetHop(slot uint32, d Direction, h Hop) {}

// Clear ends the flow in a slot and removes its keys. The slot may be set again after a
// second; its counts stay until then, and may grow by the packets of that moment.
func (p *Program) Clear(slot uint32) error { return nil }

// Counts returns what a slot's flow has relayed in one direction.
func (p *Program) Counts(slot uint32, d Direction) Counts { return Counts{} }

// Totals returns for every reason how many frames ended with it since Load, and, if they
// were relayed, the bytes of their payloads.
func (p *Program) Totals() ([]Counts, error) { return make([]Counts, reasons), nil }

// SetInterface makes an interface known, by its index, or changes what is known of it.
func (p *Program) SetInterface(index int, i Interface) error { return nil }

// RemoveInterface makes every frame of an interface pass.
func (p *Program) RemoveInterface(index int) error { return nil }

// SetEgress says whether frames that came in elsewhere may leave by an interface. Its
// driver must be able to transmit redirected frames.
func (p *Program) SetEgress(index int, able bool) error { return nil }

// SetBinding says whether Binding requests to an address of this machine are answered.
// It has an address and a port, neither zero.
func (p *Program) SetBinding(at netip.AddrPort, answered bool) error { return nil }

// LimitSlots returns the memory of the rate limit of Binding requests, for the table of
// user space to share; see package limit. It is valid until Close.
func (p *Program) LimitSlots() []uint64 { return nil }

// Clock returns the program's clock as it reads it: CLOCK_MONOTONIC of the machine, from
// which that of this process differs in a time namespace.
func (p *Program) Clock() (Time, error) { return 0, nil }

// Run shows the program a frame as if it had come in by an interface, and returns the
// verdict and the frame as it is then. Nothing is sent; counts count. The frame is at
// least 14 bytes long.
func (p *Program) Run(index int, frame []byte) (Action, []byte, error) { return Pass, frame, nil }
