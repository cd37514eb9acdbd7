package offload

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"hairpin/turnserver/limit"
	"hairpin/turnserver/offload/xdp"
	"hairpin/turnserver/relay"
)

// Engine is the kernel's data plane. It implements [relay.Offload]; its methods are safe
// for concurrent use until Close; Limit's table is until Release, and those that only tell figures after it too.
type Engine struct {
	log     *slog.Logger
	program program // nil if no interface has it
	clock   func() xdp.Time

	mu     sync.Mutex // guards what follows
	slots  slots
	flows  map[uint32]*flow // by slot
	ways   ways
	stayed [stays]uint64

	interfaces map[string]Interface
	last       []xdp.Counts // the totals as last read
	ended      bool         // there is no program to ask any more

	kick chan struct{} // holds a token if there are ways to be found
	host host

	base  []xdp.Counts // the totals before the first flow
	limit *limit.Table // of Binding responses; nil without the program

	closer, releaser func() // end what keeps the program, and unload it; nil if there is none
	closed, released sync.Once
}

// program is what the engine needs of an [xdp.Program] once it is attached.
type program interface {
	Set(slot uint32, f xdp.Flow, expires xdp.Time) error
	Renew(slot uint32, expires xdp.Time)
	SetHop(slot uint32, d xdp.Direction, h xdp.Hop)
	Clear(slot uint32) error
	Counts(slot uint32, d xdp.Direction) xdp.Counts
	Totals() ([]xdp.Counts, error)
}

// flow is a flow that the program has. It implements [relay.Offloaded].
type flow struct {
	engine *Engine
	slot   uint32

	// Guarded by Engine.mu:
	until xdp.Time
	gone  bool
	final [2]relay.Counts // once it is gone
}

func newEngine(p program, clock func() xdp.Time, size uint32, log *slog.Logger) *Engine {
	return &Engine{
		log: log, program: p, clock: clock,
		slots: slots{size: size},
		flows: make(map[uint32]*flow),
		ways:  newWays(),
		kick:  make(chan struct{}, 1),

		interfaces: make(map[string]Interface),
	}
}

// Active reports whether the program is attached anywhere. If not, the engine takes no
// flows.
func (e *Engine) Active() bool { return e.program != nil }

// Limit returns the table that bounds Binding responses, which the program shares, or nil
// if there is no program. It is valid until [Engine.Release].
func (e *Engine) Limit() *limit.Table { return e.limit }

// after returns the program's time in so long.
func (e *Engine) after(left time.Duration) xdp.Time { return e.clock() + xdp.Time(left) }

// Install implements [relay.Offload].
func (e *Engine) Install(l relay.LocalFlow, left time.Duration) relay.Offloaded {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return nil
	}
	now := time.Duration(e.clock())
	slot, ok := e.slots.take(now)
	if !ok {
		e.stayed[StayFull]++
		return nil
	}
	f := &flow{engine: e, slot: slot, until: e.after(left)}
	err := e.program.Set(slot, xdp.Flow{
		Client: l.Client, Server: l.Server, Relayed: l.Relayed, Peer: l.Peer,
		Channel: l.Channel, Hairpin: l.Hairpin,
	}, f.until)
	if err != nil {
		e.slots.put(slot, now)
		e.stayed[whyStay(err)]++
		return nil
	}
	e.flows[slot] = f
	e.joinLocked(f, xdp.ToClient, way{l.Server.Addr(), l.Client.Addr(), l.Relayed.Addr()})
	if !l.Hairpin {
		e.joinLocked(f, xdp.ToPeer, way{l.Relayed.Addr(), l.Peer.Addr(), l.Server.Addr()})
	}
	return f
}

func whyStay(err error) Stay {
	if errors.Is(err, xdp.ErrFull) {
		return StayFull
	}
	return StayFailed
}

// joinLocked has a flow follow a way, and makes sure that the way will be found.
func (e *Engine) joinLocked(f *flow, d xdp.Direction, w way) {
	if hop, known := e.ways.join(w, leg{f.slot, d}); known {
		e.program.SetHop(f.slot, d, hop)
		return
	}
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Renew implements [relay.Offloaded].
func (f *flow) Renew(left time.Duration) bool {
	e := f.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.gone {
		return false
	}
	f.until = e.after(left)
	e.program.Renew(f.slot, f.until)
	return true
}

// Remove implements [relay.Offloaded].
func (f *flow) Remove() {
	e := f.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removeLocked(f)
}

func (e *Engine) removeLocked(f *flow) {
	if f.gone {
		return
	}
	e.program.Renew(f.slot, 0) // ends it even if its keys cannot be taken away
	if err := e.program.Clear(f.slot); err != nil {
		e.log.Warn("a flow's keys stay in the kernel, and relay nothing", "error", err.Error())
	}
	f.final = [2]relay.Counts{f.countsLocked(relay.ToPeer), f.countsLocked(relay.ToClient)}
	f.gone = true
	e.ways.leave(leg{f.slot, xdp.ToPeer})
	e.ways.leave(leg{f.slot, xdp.ToClient})
	delete(e.flows, f.slot)
	e.slots.put(f.slot, time.Duration(e.clock()))
}

// Counts implements [relay.Offloaded].
func (f *flow) Counts(d relay.Direction) relay.Counts {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	return f.countsLocked(d)
}

func (f *flow) countsLocked(d relay.Direction) relay.Counts {
	if f.gone {
		return f.final[d]
	}
	return relay.Counts(f.engine.program.Counts(f.slot, direction(d)))
}

// direction is the program's word for one of package relay's.
func direction(d relay.Direction) xdp.Direction {
	if d == relay.ToPeer {
		return xdp.ToPeer
	}
	return xdp.ToClient
}

// sweep gives up flows that lapsed, so that slots go to those that live. Should a client
// come back for one, package relay installs it anew.
func (e *Engine) sweep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock()
	for _, f := range e.flows {
		if f.until <= now {
			e.removeLocked(f)
		}
	}
}

// find asks the host for every way that is to be found, until there is none. It is
// called by one goroutine at a time.
func (e *Engine) find() {
	for {
		e.mu.Lock()
		wanted := e.ways.wanted()
		e.mu.Unlock()
		if len(wanted) == 0 {
			return
		}
		for _, q := range wanted {
			e.found(q, resolve(e.host, q.way))
		}
	}
}

// found gives the flows on a way their hop, unless it has been withdrawn since it was
// asked for.
func (e *Engine) found(q question, a answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.ways.found(q, a) {
		e.program.SetHop(l.slot, l.direction, a.hop)
	}
}

// changed withdraws what a change of the network makes doubtful.
func (e *Engine) changed(c change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.ways.changed(c) {
		e.program.SetHop(l.slot, l.direction, xdp.Hop{})
	}
}

// doubt has ways found again; see [ways.doubt].
func (e *Engine) doubt(all bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ways.doubt(all)
}

// neighbours returns the neighbours on ways in use.
func (e *Engine) neighbours() []neighbour {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ways.neighbours()
}
