package stream

import "time"

// progress is how far a client has come, as far as time limits depend on it. The zero
// value, with opened set, is a connection just accepted.
type progress struct {
	opened time.Time
	heard  time.Time // the last whole frame, or opened
	begun  time.Time // the first byte of the unfinished frame, or zero
	framed bool      // a whole frame has arrived
}

// received records what a read brought: whole frames, and whether it ended within one.
func (p *progress) received(now time.Time, frames int, partial bool) {
	if frames > 0 {
		p.framed, p.heard, p.begun = true, now, time.Time{}
	}
	if partial && p.begun.IsZero() {
		p.begun = now
	}
}

// due returns when the connection is to end if nothing more arrives, and why; the
// zero time if never. The client is unauthenticated since a moment, or not if that is zero.
func (p *progress) due(l *Limits, unauthenticated time.Time) (at time.Time, why Reason) {
	limit := func(since time.Time, d time.Duration, r Reason) {
		if t := since.Add(d); d > 0 && (at.IsZero() || t.Before(at)) {
			at, why = t, r
		}
	}
	if !p.framed {
		limit(p.opened, l.FirstFrame, FirstFrame)
	}
	if !unauthenticated.IsZero() {
		limit(unauthenticated, l.Unauthenticated, Unauthenticated)
	}
	if !p.begun.IsZero() {
		limit(p.begun, l.Stall, Stall)
	}
	limit(p.heard, l.Idle, Idle)
	return at, why
}
