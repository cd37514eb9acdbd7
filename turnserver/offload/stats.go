package offload

import (
	"cmp"
	"maps"
	"slices"

	"hairpin/turnserver/offload/xdp"
	"hairpin/turnserver/relay"
)

// Stats are the figures of the moment.
type Stats struct {
	Interfaces []Interface // those that serve, by name
	Flows      int         // that the program has
	Stayed     map[Stay]uint64
	Frames     []Frames // by every reason there is; empty without the program
}

// Frames are how many frames came to a verdict for a reason.
type Frames struct {
	Reason string // the stable code
	Count  uint64
}

// Stats returns the figures. It may be called at any time.
func (e *Engine) Stats() Stats {
	var s Stats
	for i, c := range e.totals() {
		s.Frames = append(s.Frames, Frames{xdp.Reason(i).String(), c.Packets})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Interfaces = slices.SortedFunc(maps.Values(e.interfaces), func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	s.Flows = len(e.flows)
	s.Stayed = make(map[Stay]uint64)
	for _, why := range Stays() {
		s.Stayed[why] = e.stayed[why]
	}
	return s
}

// Totals implements [relay.Offload].
func (e *Engine) Totals(d relay.Direction) relay.Counts {
	totals := e.totals()
	if totals == nil {
		return relay.Counts{}
	}
	one := totals[xdp.RelayedToPeer]
	if d == relay.ToClient {
		one = totals[xdp.RelayedToClient]
	}
	both := totals[xdp.RelayedHairpin] // out of one allocation and into another
	return relay.Counts{Packets: one.Packets + both.Packets, Bytes: one.Bytes + both.Bytes}
}

// Bindings returns how many Binding requests have been answered.
func (e *Engine) Bindings() uint64 {
	if totals := e.totals(); totals != nil {
		return totals[xdp.Binding].Packets
	}
	return 0
}

// BindingsWithheld returns how many Binding requests got no answer because there had been
// too many.
func (e *Engine) BindingsWithheld() uint64 {
	if totals := e.totals(); totals != nil {
		return totals[xdp.BindingLimited].Packets
	}
	return 0
}

// totals returns the program's totals by reason since the first flow, or nil if there is
// no program. They are not changed afterwards.
func (e *Engine) totals() []xdp.Counts {
	if e.program == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.countLocked()
	}
	return e.last
}

// countLocked reads the totals; those that cannot be read stay what they were.
func (e *Engine) countLocked() {
	totals, err := e.program.Totals()
	if err != nil {
		return
	}
	for i := range e.base {
		totals[i].Packets -= e.base[i].Packets
		totals[i].Bytes -= e.base[i].Bytes
	}
	e.last = totals
}

// Close takes the program from every interface and ends all flows that are left. No
// flow is installed any more. What the program shares stays until [Engine.Release]. It
// is idempotent.
func (e *Engine) Close() {
	e.closed.Do(func() {
		if e.program == nil {
			return
		}
		e.mu.Lock()
		for _, f := range e.flows {
			e.removeLocked(f)
		}
		e.countLocked()
		e.ended = true
		e.mu.Unlock()
		e.closer()
	})
}

// Release gives back what Close has left: the memory of the table that [Engine.Limit]
// returned, which nobody may use any more. It is idempotent, and for after Close.
func (e *Engine) Release() {
	e.released.Do(func() {
		if e.releaser != nil {
			e.releaser()
		}
	})
}
