package limit

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

// DefaultSources is how many slots for sources a table makes that is given none.
const DefaultSources = 1 << 16

// Config says what a Table allows. The zero value allows everything.
type Config struct {
	Rate  int // answers a second to one source; 0 is no limit
	Burst int // of them at once, at least 1; 0 means as many as in a second
	Total int // answers a second to all sources together, as many of them at once; 0 is no limit

	// Keys choose the slots of sources. Both zero means random ones.
	Keys [2]uint64

	// Slots are the table's memory, [SlotsFor] some number of sources; nil makes its
	// own. They are the table's and of those it is shared with from then on, and need
	// not be zero if they have been a table's before.
	Slots []uint64

	// Offset is what the clock of those who share the slots shows, in nanoseconds, when
	// the caller's shows zero.
	Offset uint64
}

// SlotsFor returns how many slots a table has that tells so many sources apart, a power
// of two.
func SlotsFor(sources int) int { return sources + 1 }

// Parameters are what a table works with, for those who share its slots. The package
// comment says how. The layout is that of a C struct of the same fields.
type Parameters struct {
	Keys           [2]uint64
	Mask           uint64
	Interval       uint64 // nanoseconds between answers to one source
	Tolerance      uint64 // nanoseconds that a source may be ahead of that
	TotalInterval  uint64 // the same for all sources together
	TotalTolerance uint64
}

// Verdict is whether there may be an answer, and if not, whose budget is spent.
type Verdict uint8

// The verdicts.
const (
	Allowed Verdict = iota
	Source          // the source's budget is spent
	Total           // that of all sources together is
)

// Table is the budgets of all sources. Its methods are safe for concurrent use.
type Table struct {
	Parameters
	slots  []uint64
	offset uint64
}

// New returns a table. It fails if a number is negative or the slots are not of a
// length that [SlotsFor] gives.
func New(c Config) (*Table, error) {
	if c.Rate < 0 || c.Burst < 0 || c.Total < 0 {
		return nil, errors.New("limit: a rate is negative")
	}
	if c.Burst == 0 {
		c.Burst = max(c.Rate, 1)
	}
	if c.Slots == nil {
		c.Slots = make([]uint64, SlotsFor(DefaultSources))
	}
	sources := len(c.Slots) - 1
	if sources < 1 || sources&(sources-1) != 0 {
		return nil, errors.New("limit: the slots are not a power of two and one")
	}
	if c.Keys == [2]uint64{} {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		c.Keys[0] = binary.NativeEndian.Uint64(random[:])
		c.Keys[1] = binary.NativeEndian.Uint64(random[8:])
	}
	t := &Table{Parameters: Parameters{Keys: c.Keys, Mask: uint64(sources - 1)}, slots: c.Slots, offset: c.Offset}
	t.Interval, t.Tolerance = spacing(c.Rate, c.Burst)
	t.TotalInterval, t.TotalTolerance = spacing(c.Total, c.Total)
	return t, nil
}

// spacing turns a rate and a burst into the terms of the algorithm, in nanoseconds.
func spacing(rate, burst int) (interval, tolerance uint64) {
	if rate == 0 {
		return 0, 0
	}
	interval = max(uint64(time.Second)/uint64(rate), 1)
	return interval, interval * uint64(burst-1)
}

// Key returns what stands for an address: an IPv4 address whole, an IPv4-mapped one
// alike, and the first 64 bits of any other.
func Key(source netip.Addr) uint64 {
	ip := source.As16()
	if source.Is4() || source.Is4In6() {
		return binary.BigEndian.Uint64(ip[8:])
	}
	return binary.BigEndian.Uint64(ip[:])
}

// Slot returns which slot a source has.
func (p *Parameters) Slot(key uint64) uint64 {
	x := key ^ p.Keys[0]
	x = (x ^ x>>32) * (p.Keys[1] | 1)
	x = (x ^ x>>32) * 0x9E3779B97F4A7C15
	return (x ^ x>>32) & p.Mask
}

// Take says whether a source may be answered at a time in nanoseconds, and takes the
// answer from its budget and from the total. An answer that only the total refuses is
// the source's loss all the same.
func (t *Table) Take(key uint64, now int64) Verdict {
	at := uint64(now) + t.offset
	switch {
	case !take(&t.slots[t.Slot(key)], at, t.Interval, t.Tolerance):
		return Source
	case !take(&t.slots[len(t.slots)-1], at, t.TotalInterval, t.TotalTolerance):
		return Total
	}
	return Allowed
}

// Check says what Take would, and takes nothing.
func (t *Table) Check(key uint64, now int64) Verdict {
	at := uint64(now) + t.offset
	switch {
	case spent(atomic.LoadUint64(&t.slots[t.Slot(key)]), at, t.Interval, t.Tolerance):
		return Source
	case spent(atomic.LoadUint64(&t.slots[len(t.slots)-1]), at, t.TotalInterval, t.TotalTolerance):
		return Total
	}
	return Allowed
}

// take moves a slot on, unless its budget is spent. Each time another is faster the
// budget is one less, so it tries no more often than the burst is large.
func take(slot *uint64, now, interval, tolerance uint64) bool {
	for interval != 0 {
		before := atomic.LoadUint64(slot)
		if spent(before, now, interval, tolerance) {
			return false
		}
		if atomic.CompareAndSwapUint64(slot, before, max(before, now)+interval) {
			return true
		}
	}
	return true
}

func spent(tat, now, interval, tolerance uint64) bool {
	return interval != 0 && tat > now && tat-now > tolerance
}
