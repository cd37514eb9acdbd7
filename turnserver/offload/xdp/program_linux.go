//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"

	"hairpin/turnserver/limit"
)

// Supported says whether there is a program for this platform.
const Supported = true

// Program is the program and its maps, loaded. Of a slot only one goroutine may change
// the flow at a time; all else is safe for concurrent use, and nothing may be used
// during or after Close.
type Program struct {
	objects  kernelObjects
	records  []kernelRecord
	lines    []kernelLine // two for each slot, by Direction
	arrivals []uint64
	mapped   [][]byte // what of these is to be unmapped

	interfaces sync.Mutex // serialises changes of what is known of interfaces
}

// Load loads the program, with no flows. Links to it are the caller's to make and to
// end. It needs the capabilities that the package comment names.
func Load(c Config) (*Program, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	// Before Linux 5.11 maps count as locked memory. Where that cannot be lifted it may
	// still suffice, so the error that counts is the one below.
	_ = rlimit.RemoveMemlock()
	spec, err := specify(c)
	if err != nil {
		return nil, err
	}
	return loadSpec(spec, c)
}

func loadSpec(spec *ebpf.CollectionSpec, c Config) (*Program, error) {
	p := &Program{}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the XDP program: %w", err)
	}
	if err := p.mapAll(c); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// specify returns the program for this kernel, with maps of the sizes asked for.
func specify(c Config) (*ebpf.CollectionSpec, error) {
	spec, err := loadKernel()
	if err != nil {
		return nil, err
	}
	for name, entries := range map[string]int{
		kernelMapFlows:    2 * c.Flows,
		kernelMapRecords:  c.Flows,
		kernelMapCounters: int(directions) * c.Flows,
		kernelMapArrivals: limit.SlotsFor(c.Sources),
	} {
		spec.Maps[name].MaxEntries = uint32(entries)
	}
	for variable, helper := range map[string]asm.BuiltinFunc{
		kernelVarHasLengthHelper: asm.FnXdpGetBuffLen,
		kernelVarHasCoarseClock:  asm.FnKtimeGetCoarseNs,
	} {
		if features.HaveProgramHelper(ebpf.XDP, helper) == nil {
			err = errors.Join(err, spec.Variables[variable].Set(uint8(1)))
		}
	}
	return spec, err
}

// mapAll maps the arrays that both sides work on.
func (p *Program) mapAll(c Config) error {
	var err error
	share := func(f func() error) {
		if err == nil {
			err = f()
		}
	}
	share(func() (e error) { p.records, e = mapArray[kernelRecord](p, p.objects.Records, c.Flows); return })
	share(func() (e error) {
		p.lines, e = mapArray[kernelLine](p, p.objects.Counters, int(directions)*c.Flows)
		return
	})
	share(func() (e error) {
		p.arrivals, e = mapArray[uint64](p, p.objects.Arrivals, limit.SlotsFor(c.Sources))
		return
	})
	return err
}

// XDP returns the program, to be attached.
func (p *Program) XDP() *ebpf.Program { return p.objects.Hairpin }

// Slots returns the number of slots.
func (p *Program) Slots() int { return len(p.records) }

// Close unloads the program, once no interface has it any more.
func (p *Program) Close() error { return errors.Join(p.unmap(), p.objects.Close()) }

// Totals returns for every [Reason] how many frames ended with it since Load, and, if
// they were relayed, the bytes of their payloads.
func (p *Program) Totals() ([]Counts, error) {
	totals := make([]Counts, reasons)
	var each []kernelCounts // by processor
	for why := range totals {
		if err := p.objects.Totals.Lookup(uint32(why), &each); err != nil {
			return nil, fmt.Errorf("read the totals: %w", err)
		}
		for i := range each {
			totals[why].Packets += each[i].Packets
			totals[why].Bytes += each[i].Bytes
		}
	}
	return totals, nil
}

// SetInterface makes an interface known, by its index, or changes what is known of it.
// On ErrFull it is one too many to tell apart.
func (p *Program) SetInterface(index int, i Interface) error {
	if i.MAC == (MAC{}) {
		i.Flags |= oneFamily
	}
	p.interfaces.Lock()
	defer p.interfaces.Unlock()
	if at, err := p.interfaceLocked(index); err != nil {
		return err
	} else if at.Index != 0 && at.Index != uint64(index) {
		return fmt.Errorf("make an interface known: %w", ErrFull)
	}
	value := kernelInterface{Mac: i.MAC.word() | uint64(i.Flags)<<macBits, Index: uint64(index)}
	return p.putInterfaceLocked(index, &value)
}

// RemoveInterface makes every frame of an interface pass.
func (p *Program) RemoveInterface(index int) error {
	p.interfaces.Lock()
	defer p.interfaces.Unlock()
	if at, err := p.interfaceLocked(index); err != nil || at.Index != uint64(index) {
		return err
	}
	return p.putInterfaceLocked(index, &kernelInterface{})
}

// interfacePlaces is how many interfaces the program can know, by the low bits of their
// indices; INTERFACES in maps.h.
const interfacePlaces = 1024

// interfaceLocked returns what is known of the interface in the place of another.
func (p *Program) interfaceLocked(index int) (at kernelInterface, err error) {
	if err = p.objects.Interfaces.Lookup(uint32(index%interfacePlaces), &at); err != nil {
		err = fmt.Errorf("look for an interface: %w", err)
	}
	return at, err
}

func (p *Program) putInterfaceLocked(index int, value *kernelInterface) error {
	if err := p.objects.Interfaces.Put(uint32(index%interfacePlaces), value); err != nil {
		return fmt.Errorf("make an interface known: %w", err)
	}
	return nil
}

// SetEgress says whether frames that came in elsewhere may leave by an interface. Its
// driver must be able to transmit redirected frames.
func (p *Program) SetEgress(index int, able bool) error {
	if !able {
		return whenGone("take an interface from those to leave by", p.objects.Egress.Delete(uint32(index)))
	}
	return whenFull("add an interface to leave by", p.objects.Egress.Put(uint32(index), uint32(index)))
}

// SetBinding says whether Binding requests to an address of this machine are answered.
// It has an address and a port, neither zero. It is for sockets where user space answers
// by wire.AnswerBinding, and nothing else.
func (p *Program) SetBinding(at netip.AddrPort, answered bool) error {
	key := kernelService{Local: words(at.Addr()), Port: network16(at.Port()), Six: isSix(at.Addr())}
	if !answered {
		return whenGone("stop answering Binding requests", p.objects.Services.Delete(&key))
	}
	return whenFull("answer Binding requests", p.objects.Services.Put(&key, uint8(1)))
}

// LimitSlots returns the memory of the rate limit of Binding requests, for a
// [limit.Table] to share. It is valid until Close.
func (p *Program) LimitSlots() []uint64 { return p.arrivals }

// SetLimit says how Binding requests are limited: by the table that has the memory of
// LimitSlots. Without it they are not. It is for the time before the program is attached.
func (p *Program) SetLimit(l limit.Parameters) error {
	value := kernelLimit{
		Keys: l.Keys, Mask: l.Mask, Interval: l.Interval, Tolerance: l.Tolerance,
		TotalInterval: l.TotalInterval, TotalTolerance: l.TotalTolerance,
	}
	if l.Mask >= uint64(len(p.arrivals)) {
		return fmt.Errorf("xdp: a limit for more sources than the %d there is memory for", len(p.arrivals)-1)
	}
	return whenFull("limit Binding requests", p.objects.Limits.Put(uint32(0), &value))
}

// whenFull and whenGone say what was tried, and what the kernel's answer means then.
func whenFull(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooBig):
		return fmt.Errorf("%s: %w", what, ErrFull)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func whenGone(what string, err error) error {
	if err == nil || errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
