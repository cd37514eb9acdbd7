package offload

import (
	"net/netip"

	"hairpin/turnserver/offload/xdp"
)

// way is from a local address to a client or a peer. The flow's other local address is
// part of it: without that one, the flow has no packets of this machine's to relay.
type way struct{ from, to, other netip.Addr }

// neighbour is the next machine on a way.
type neighbour struct {
	index int // of the interface
	ip    netip.Addr
}

// leg is a flow in one direction.
type leg struct {
	slot      uint32
	direction xdp.Direction
}

// ways is what is known of the ways that flows take. It does no I/O, and is guarded by
// Engine.mu.
type ways struct {
	all     map[way]*path
	byLeg   map[leg]*path
	through map[neighbour]map[*path]bool
	lost    map[*path]bool // those that are to be found
	asked   uint64         // numbers the questions
}

// path is the present state of a way.
type path struct {
	way   way
	legs  map[leg]bool
	hop   xdp.Hop // of Limit zero while it is not known
	via   neighbour
	asked uint64 // the number of the latest question: only its answer counts
}

// question asks for a way, and answer says what it is; the zero answer is that there is
// none now. An answer without a hop may have a neighbour: then the way will be asked for
// again when that neighbour is heard of.
type question struct {
	way   way
	asked uint64
}

type answer struct {
	hop xdp.Hop
	via neighbour
}

// change is something in the network that is not as it was, one of these: the neighbour,
// which has the given Ethernet address now or, if not usable, none; an interface; a local
// address; routes; or, if it is nothing of that, anything.
type change struct {
	neighbour neighbour
	mac       xdp.MAC
	usable    bool

	link    int
	address netip.Addr
	routes  map[netip.Prefix]bool // to these destinations
}

func newWays() ways {
	return ways{
		all:     make(map[way]*path),
		byLeg:   make(map[leg]*path),
		through: make(map[neighbour]map[*path]bool),
		lost:    make(map[*path]bool),
	}
}

// join adds a leg to a way and returns the way's hop, if it is known.
func (w *ways) join(at way, l leg) (hop xdp.Hop, known bool) {
	p := w.all[at]
	if p == nil {
		p = &path{way: at, legs: make(map[leg]bool)}
		w.all[at] = p
		w.lose(p)
	}
	p.legs[l], w.byLeg[l] = true, p
	return p.hop, p.hop.Limit > 0
}

// leave takes a leg from its way, which is forgotten with the last; a leg that is on
// none is ignored.
func (w *ways) leave(l leg) {
	p := w.byLeg[l]
	if p == nil {
		return
	}
	delete(w.byLeg, l)
	delete(p.legs, l)
	if len(p.legs) == 0 {
		w.setVia(p, neighbour{})
		delete(w.all, p.way)
		delete(w.lost, p)
	}
}

// wanted returns the ways that are to be found, each once.
func (w *ways) wanted() []question {
	asked := make([]question, 0, len(w.lost))
	for p := range w.lost {
		asked = append(asked, question{p.way, p.asked})
	}
	clear(w.lost)
	return asked
}

// found records an answer and returns the legs whose hop it changes.
func (w *ways) found(q question, a answer) []leg {
	p := w.all[q.way]
	if p == nil || p.asked != q.asked {
		return nil
	}
	w.setVia(p, a.via)
	if p.hop == a.hop {
		return nil
	}
	p.hop = a.hop
	return p.list()
}

// changed withdraws the hops that a change makes doubtful, has them found anew, and
// returns the legs concerned.
func (w *ways) changed(c change) (withdrawn []leg) {
	if c.neighbour == (neighbour{}) {
		concerns := c.concerns()
		for _, p := range w.all {
			if concerns(p) {
				withdrawn = w.withdraw(withdrawn, p)
			}
		}
		return withdrawn
	}
	for p := range w.through[c.neighbour] {
		if known := p.hop.Limit > 0; known != c.usable || known && p.hop.Destination != c.mac {
			withdrawn = w.withdraw(withdrawn, p)
		}
	}
	return withdrawn
}

// concerns says which ways a change may concern that is not a neighbour's.
func (c change) concerns() func(*path) bool {
	switch {
	case c.link != 0:
		return func(p *path) bool { return p.hop.Limit > 0 && p.hop.Interface == c.link || p.via.index == c.link }
	case c.address.IsValid():
		return func(p *path) bool { return p.way.from == c.address || p.way.other == c.address }
	case c.routes != nil:
		return func(p *path) bool { return p.way.to.IsValid() && covers(c.routes, p.way.to) }
	}
	return func(*path) bool { return true }
}

// covers reports whether one of many networks has an address.
func covers(networks map[netip.Prefix]bool, a netip.Addr) bool {
	for bits := range a.BitLen() + 1 {
		if at, err := a.Prefix(bits); err == nil && networks[at] {
			return true
		}
	}
	return false
}

// doubt has ways asked for again, and lets their hops stand meanwhile: all of them, or
// those that have none.
func (w *ways) doubt(all bool) {
	for _, p := range w.all {
		if all || p.hop.Limit == 0 {
			w.lose(p)
		}
	}
}

func (w *ways) withdraw(legs []leg, p *path) []leg {
	w.lose(p)
	if p.hop.Limit > 0 {
		p.hop = xdp.Hop{}
		legs = append(legs, p.list()...)
	}
	return legs
}

// lose has a way found, whatever it was.
func (w *ways) lose(p *path) {
	w.asked++
	p.asked = w.asked
	w.lost[p] = true
}

func (w *ways) setVia(p *path, via neighbour) {
	if p.via == via {
		return
	}
	delete(w.through[p.via], p)
	if len(w.through[p.via]) == 0 {
		delete(w.through, p.via)
	}
	p.via = via
	if via == (neighbour{}) {
		return
	}
	if w.through[via] == nil {
		w.through[via] = make(map[*path]bool)
	}
	w.through[via][p] = true
}

// neighbours returns those that ways go through.
func (w *ways) neighbours() []neighbour {
	all := make([]neighbour, 0, len(w.through))
	for n := range w.through {
		all = append(all, n)
	}
	return all
}

func (p *path) list() []leg {
	legs := make([]leg, 0, len(p.legs))
	for l := range p.legs {
		legs = append(legs, l)
	}
	return legs
}
