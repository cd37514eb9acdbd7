package bench

import (
	"math"
	"time"
)

const (
	// maxArrears is how far behind its rate a sender may catch up. What it misses
	// beyond that stays unsent, or a pause would end in a flood.
	maxArrears = 5 * time.Millisecond

	// maxAtOnce is how many packets are sent between two looks at the clock.
	maxAtOnce = 64
)

// pacer says when packets are due, in bursts: number n at n·burst/rate seconds after the
// start, which is time zero.
type pacer struct {
	rate  float64 // packets a second; zero means as fast as it goes
	burst int     // packets, from 1 to maxAtOnce
	next  int64   // number of the next burst
}

func newPacer(l Load) pacer { return pacer{rate: l.Rate, burst: min(l.Burst, maxAtOnce)} }

// take returns how many packets to send now, at most maxAtOnce.
func (p *pacer) take(now time.Duration) int {
	if p.rate == 0 {
		return maxAtOnce
	}
	p.next = max(p.next, p.number(now-maxArrears))
	n := max(min(p.number(now)+1-p.next, int64(maxAtOnce/p.burst)), 0)
	p.next += n
	return int(n) * p.burst
}

// number returns the number of the last burst that is due at a time.
func (p *pacer) number(at time.Duration) int64 {
	// As fractions of bursts, so little is early that it only makes up for rounding.
	const early = 1e-3
	return int64(math.Floor(at.Seconds()*p.rate/float64(p.burst) + early))
}

// wait returns how long it is until the next burst is due.
func (p *pacer) wait(now time.Duration) time.Duration {
	if p.rate == 0 {
		return 0
	}
	due := time.Duration(math.Ceil(float64(p.next) * float64(p.burst) / p.rate * float64(time.Second)))
	return max(due-now, 0)
}
