package control

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"
)

const (
	// minRelayPort is the first port that may be lent: those below belong to the
	// system's services, and peers would take relayed packets for theirs.
	minRelayPort = 1024

	// portQuarantine is how long a released port rests, so that what peers still send
	// to its last owner reaches nobody else (SEC-11).
	portQuarantine = time.Minute
)

// ports are the relay ports of one relay address. Which free port is lent is random
// (SEC-11). A released port rests first; only when no other is left is the one lent
// that has rested longest. Operations take constant time, amortised, and do not
// allocate. The owner guards it.
//
// Port base+2i and the next are pair i, and have index i in three lanes: the even
// ports, the odd ports, and the pairs of which neither port is lent.
type ports struct {
	first, last uint16
	base        uint16 // even: first, or the port before
	even, odd   lane
	pairs       lane
	lent        int

	epoch   time.Time // the first time seen
	random  io.Reader
	scratch [8]byte // for random, here so that it stays off the heap
}

// newPorts returns the ports from first to last, all free.
func newPorts(first, last uint16, random io.Reader) (*ports, error) {
	if first < minRelayPort || last < first {
		return nil, fmt.Errorf("%d-%d is no range within %d-65535; 49152-65535 is usual", first, last, minRelayPort)
	}
	p := &ports{first: first, last: last, base: first &^ 1, random: random}
	size := int(last-p.base)/2 + 1
	p.even, p.odd, p.pairs = newLane(size), newLane(size), newLane(size)
	for n := int(first); n <= int(last); n++ {
		port := uint16(n)
		p.side(port).addFree(p.index(port))
		if port&1 == 1 && port > first {
			p.pairs.addFree(p.index(port))
		}
	}
	return p, nil
}

// counts returns how many ports are lent and how many are not, resting or free.
func (p *ports) counts() (lent, left int) {
	return p.lent, int(p.last-p.first) + 1 - p.lent
}

// take lends a port. It returns false if all are lent.
func (p *ports) take(now time.Time) (port uint16, ok bool) {
	second := p.second(now)
	p.even.settle(second)
	p.odd.settle(second)
	odd := p.odd.restedLonger(&p.even)
	if evens, odds := len(p.even.free), len(p.odd.free); evens+odds > 0 {
		n, ok := p.below(evens + odds)
		if !ok {
			return 0, false
		}
		odd = n >= evens
	}
	if !odd {
		return p.takeEven(now)
	}
	index, ok := p.choose(&p.odd, now)
	if !ok {
		return 0, false
	}
	return p.lend(p.base + 2*index + 1), true
}

// takeEven lends an even port. It returns false if all are lent.
func (p *ports) takeEven(now time.Time) (port uint16, ok bool) {
	index, ok := p.choose(&p.even, now)
	if !ok {
		return 0, false
	}
	return p.lend(p.base + 2*index), true
}

// takePair lends an even port and the next, each to be released by itself. It returns
// the even one, or false if there are no such two.
func (p *ports) takePair(now time.Time) (even uint16, ok bool) {
	index, ok := p.choose(&p.pairs, now)
	if !ok {
		return 0, false
	}
	even = p.lend(p.base + 2*index)
	p.lend(even + 1)
	return even, true
}

// release takes a port back. Ports that are not lent are left alone.
func (p *ports) release(port uint16, now time.Time) {
	if !p.isLent(port) {
		return
	}
	p.lent--
	until := p.second(now.Add(portQuarantine)) + 1 // the second after, to be no less
	p.side(port).rest(p.index(port), until)
	if sibling := port ^ 1; p.contains(sibling) && !p.isLent(sibling) {
		p.pairs.rest(p.index(port), until)
	}
}

// choose returns a random free index of a lane; if there is none, the one that has
// rested longest; if there is none either, false.
func (p *ports) choose(l *lane, now time.Time) (index uint16, ok bool) {
	l.settle(p.second(now))
	if len(l.free) == 0 {
		return l.oldest, l.oldest != nobody
	}
	n, ok := p.below(len(l.free))
	if !ok {
		return 0, false
	}
	return l.free[n], true
}

// lend removes a port from its lanes and returns it.
func (p *ports) lend(port uint16) uint16 {
	p.side(port).remove(p.index(port))
	p.pairs.remove(p.index(port))
	p.lent++
	return port
}

func (p *ports) contains(port uint16) bool { return p.first <= port && port <= p.last }

func (p *ports) isLent(port uint16) bool {
	return p.contains(port) && p.side(port).places[p.index(port)].until == outside
}

// side returns the lane of even or of odd ports, whichever the port is in.
func (p *ports) side(port uint16) *lane {
	if port&1 == 0 {
		return &p.even
	}
	return &p.odd
}

func (p *ports) index(port uint16) uint16 { return (port - p.base) / 2 }

// below returns a random number below n, uniform to one part in 2^48. It returns false
// if there is no randomness to be had: no port is better than one that can be guessed.
func (p *ports) below(n int) (int, bool) {
	if _, err := io.ReadFull(p.random, p.scratch[:]); err != nil {
		return 0, false
	}
	high, _ := bits.Mul64(binary.LittleEndian.Uint64(p.scratch[:]), uint64(n))
	return int(high), true
}

// second counts the seconds since the first time seen.
func (p *ports) second(t time.Time) uint32 {
	if p.epoch.IsZero() {
		p.epoch = t
	}
	return uint32(max(0, t.Sub(p.epoch)/time.Second))
}

// lane is a set of indexes, some free and others resting.
type lane struct {
	free           []uint16 // in no order
	places         []place  // by index
	oldest, newest uint16   // the ends of the list of those that rest, or nobody
}

// place is where an index is in a lane.
type place struct {
	until         uint32 // the second it rests until; 0 if it is free, or outside
	before, after uint16 // its neighbours in the list, or before is its place in free
}

const (
	outside = math.MaxUint32 // of the lane
	nobody  = math.MaxUint16 // is no index: there are half as many
)

// newLane returns an empty lane for so many indexes.
func newLane(size int) lane {
	l := lane{make([]uint16, 0, size), make([]place, size), nobody, nobody}
	for i := range l.places {
		l.places[i].until = outside
	}
	return l
}

// addFree adds an index that is outside.
func (l *lane) addFree(index uint16) {
	l.places[index] = place{before: uint16(len(l.free))}
	l.free = append(l.free, index)
}

// rest adds an index that is outside, to be free at a given second.
func (l *lane) rest(index uint16, until uint32) {
	l.places[index] = place{until, l.newest, nobody}
	*l.afterOf(l.newest) = index
	l.newest = index
}

// remove puts an index outside, if it is not.
func (l *lane) remove(index uint16) {
	at := l.places[index]
	switch at.until {
	case outside:
		return
	case 0:
		end := len(l.free) - 1
		l.free[at.before] = l.free[end]
		l.places[l.free[end]].before = at.before
		l.free = l.free[:end]
	default:
		*l.afterOf(at.before) = at.after
		*l.beforeOf(at.after) = at.before
	}
	l.places[index].until = outside
}

// settle frees those that have rested until now.
func (l *lane) settle(second uint32) {
	for l.oldest != nobody && l.places[l.oldest].until <= second {
		index := l.oldest
		l.remove(index)
		l.addFree(index)
	}
}

// restedLonger reports whether something in l has rested longer than anything in other.
func (l *lane) restedLonger(other *lane) bool {
	if l.oldest == nobody || other.oldest == nobody {
		return l.oldest != nobody
	}
	return l.places[l.oldest].until < other.places[other.oldest].until
}

// afterOf returns what follows an index in the list of those that rest; nobody comes
// before the oldest.
func (l *lane) afterOf(index uint16) *uint16 {
	if index == nobody {
		return &l.oldest
	}
	return &l.places[index].after
}

// beforeOf returns what precedes an index in that list; nobody comes after the newest.
func (l *lane) beforeOf(index uint16) *uint16 {
	if index == nobody {
		return &l.newest
	}
	return &l.places[index].before
}
