package control

import (
	"math"
	"time"
)

// wheelSlots is the number of one-second slots: more than the longest lifetime lent by
// default, an hour, so that a timer is looked at once. Timers further ahead are looked
// at once a turn. A power of two.
const wheelSlots = 1 << 12

// wheel holds timers, each in the slot of the second it lapses in. Scheduling and
// cancelling take constant time and do not allocate. The owner of a wheel guards it.
//
// Times should carry a monotonic reading, or all lack it: then seconds are counted
// from the first time seen, and steps of the wall clock do not show.
type wheel struct {
	epoch time.Time
	tick  int64 // the last second that has been advanced to
	slots [wheelSlots]*timer
	due   *timer // taken from a slot, not looked at yet
}

// timer is an entry of a wheel, part of what owns it. The zero value is not scheduled.
type timer struct {
	owner any // what lapses; set by the owner, unused by the wheel

	tick int64 // the first second at which it has lapsed
	next *timer
	link **timer // what points to this timer; nil while it is not scheduled
}

// newWheel returns a wheel without timers.
func newWheel() *wheel { return &wheel{tick: math.MinInt64} }

// schedule makes t lapse at the given time, and at no other that it was scheduled for
// before. A time that has passed already means the next second.
func (w *wheel) schedule(t *timer, at time.Time) {
	w.cancel(t)
	since := w.sinceEpoch(at)
	t.tick = int64(since / time.Second)
	if since%time.Second > 0 {
		t.tick++ // never early
	}
	t.tick = max(t.tick, w.tick+1)
	t.insert(w.slot(t.tick))
}

// cancel makes t not lapse.
func (w *wheel) cancel(t *timer) {
	if t.link != nil {
		t.remove()
	}
}

// advance calls fire for every timer that has lapsed by now, after cancelling it. Those
// of one second come in no order. Fire may schedule and cancel any timer. Whatever the
// time since the last call, the work is bounded by the slots and the timers.
func (w *wheel) advance(now time.Time, fire func(*timer)) {
	since := w.sinceEpoch(now)
	from, to := w.tick, int64(since/time.Second)
	if since%time.Second < 0 {
		to--
	}
	if to <= from {
		return
	}
	w.tick = to
	from = max(from, to-wheelSlots)
	for tick := from + 1; tick <= to; tick++ {
		w.empty(w.slot(tick), fire)
	}
}

// empty fires the timers of a slot that have lapsed, and puts the others back.
func (w *wheel) empty(slot **timer, fire func(*timer)) {
	if *slot == nil {
		return
	}
	w.due, *slot = *slot, nil
	w.due.link = &w.due
	for w.due != nil {
		t := w.due
		t.remove()
		if t.tick <= w.tick {
			fire(t)
		} else {
			t.insert(slot)
		}
	}
}

// sinceEpoch makes the first time it is given the epoch. Before it is negative.
func (w *wheel) sinceEpoch(t time.Time) time.Duration {
	if w.epoch.IsZero() {
		w.epoch = t
	}
	return t.Sub(w.epoch)
}

func (w *wheel) slot(tick int64) **timer { return &w.slots[tick&(wheelSlots-1)] }

// insert puts t first in a list.
func (t *timer) insert(list **timer) {
	t.next, t.link = *list, list
	if t.next != nil {
		t.next.link = &t.next
	}
	*list = t
}

// remove takes t out of the list it is in.
func (t *timer) remove() {
	*t.link = t.next
	if t.next != nil {
		t.next.link = t.link
	}
	t.next, t.link = nil, nil
}
