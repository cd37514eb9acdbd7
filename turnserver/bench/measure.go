package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Plan is a bench from its first allocation to its last.
type Plan struct {
	Config
	Load // of Mode Allocate, the mode and the process alone

	// Watch, if there is one, is called several times a second while the load is under
	// way, by another goroutine.
	Watch func(Progress)
}

const (
	// watchEvery is how often Plan.Watch is called.
	watchEvery = 250 * time.Millisecond

	// baselineTime is how long a baseline is measured, if the load is no shorter.
	baselineTime = 2 * time.Second
)

// Measure makes the allocations of a plan, carries its load, and gives the allocations
// back. When the context ends early it returns what is known by then. Errors are those
// of [Establish] and [Fleet.Run].
func Measure(ctx context.Context, p Plan) (*Result, error) {
	p.NoAllocations = p.Mode == Binding
	before, err := resident(p.Process)
	if err != nil {
		return nil, err
	}
	spent, err := measure(p.Process)
	if err != nil {
		return nil, err
	}
	f, err := newFleet(p.Config)
	if err != nil {
		return nil, err
	}
	result, err := p.measure(ctx, f, before, spent)
	if left := f.Close(); left != nil && result != nil {
		result.Notes = append(result.Notes, "not every allocation was given back: "+left.Error())
	}
	return result, err
}

func (p Plan) measure(ctx context.Context, f *Fleet, before int64, spent cost) (*Result, error) {
	err := f.allocate(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	result := newResult(f, p.Mode)
	if !p.NoAllocations {
		if result.Allocations, err = p.allocations(f, before, spent); err != nil {
			return nil, err
		}
		if n := result.Allocations.Repeated; n > 0 {
			result.Notes = append(result.Notes, fmt.Sprintf("%d requests had to be sent again: "+
				"the network lost them, or the server bounds what it answers to strangers", n))
		}
	}
	switch {
	case ctx.Err() != nil:
		result.interrupted()
		return result, nil
	case p.Mode == Allocate:
		result.Complete, result.Words = true, "all allocations were made"
		return result, nil
	}
	report, err := p.carry(ctx, f, result)
	switch {
	case err != nil && ctx.Err() != nil:
		result.interrupted()
		return result, nil
	case err != nil:
		return nil, err
	}
	result.take(report)
	return result, nil
}

// noteTooShort says why there is no figure for the machine, whose time the kernel tells in
// hundredths of a second.
const noteTooShort = "no figure for the whole machine: the load was too small to be seen in its processor time"

// carry measures a baseline, where that makes sense, and carries the load.
func (p Plan) carry(ctx context.Context, f *Fleet, result *Result) (*Report, error) {
	if p.Process != 0 {
		short := p.Load
		if short.Duration == 0 || short.Duration > baselineTime {
			short.Duration = baselineTime
		}
		baseline, err := f.Baseline(ctx, short)
		switch {
		case err == nil && baseline.Delivered > 0:
			p.Baseline = baseline.PerSent()
			if p.Baseline == (Spent{}) {
				result.Notes = append(result.Notes, noteTooShort)
			}
		case err != nil && !errors.Is(err, errNoBaseline):
			return nil, err
		default:
			result.Notes = append(result.Notes, "no figure for the whole machine: the generator could not be measured without the server")
		}
	}
	defer p.watch(f)()
	return f.Run(ctx, p.Load)
}

// watch calls p.Watch until the function it returns is called.
func (p Plan) watch(f *Fleet) (stop func()) {
	if p.Watch == nil {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if progress, ok := f.Progress(); ok {
					p.Watch(progress)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

func resident(p Process) (int64, error) {
	if p == 0 {
		return 0, nil
	}
	return p.Resident()
}

// allocations tells what the allocations made so far took.
func (p Plan) allocations(f *Fleet, before int64, spent cost) (*Allocations, error) {
	made := int(f.made.Load())
	a := &Allocations{
		Count: made, Seconds: f.took.Seconds(), PerSecond: f.AllocationRate(), Delay: newDelay(f.AllocationDelay()), Repeated: f.repeated.Load(),
	}
	if p.Process == 0 || made == 0 {
		return a, nil
	}
	if err := spent.stop(); err != nil {
		return nil, err
	}
	after, err := p.Process.Resident()
	if err != nil {
		return nil, err
	}
	a.BytesEach = (after - before) / int64(made)
	a.MicrosecondsEach = microseconds(spent.cpu) / float64(made)
	return a, nil
}

// interrupted says that not all was done.
func (r *Result) interrupted() {
	r.Words = "ended before all was known"
	if a := r.Allocations; a != nil && a.Count < r.Clients {
		r.Words = fmt.Sprintf("ended after %d of %d allocations", a.Count, r.Clients)
	}
}
