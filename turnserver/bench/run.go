package bench

import (
	"context"
	"time"
)

// Run carries a load, waits for what is still under way, and reports. On an error there
// is no report.
func (f *Fleet) Run(ctx context.Context, l Load) (*Report, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := f.prepare(ctx, l.Mode); err != nil {
		return nil, err
	}
	f.runs++
	s := newSender(l, f.runs, f.flows(l.Mode), f.now)
	t := newTally(s.run, s.flows)
	f.tally.Store(t)
	defer f.tally.Store(nil)
	cost, err := measure(l.Process)
	if err != nil {
		return nil, err
	}
	began := s.send(ctx)
	settle(ctx, t, s.sent)
	if err := cost.stop(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return newReport(l, s, t, began, cost), nil
}

const (
	// settleEvery is how often is looked whether all has arrived.
	settleEvery = 10 * time.Millisecond

	// settled is how long nothing must have arrived for the rest to count as lost.
	settled = 300 * time.Millisecond
)

// settle waits until all that was sent has arrived, or nothing arrives any more.
func settle(ctx context.Context, t *tally, sent uint64) {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	last, quiet := t.delivered.Load(), time.Duration(0)
	for last < sent && quiet < settled {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		quiet += settleEvery
		if n := t.delivered.Load(); n != last {
			last, quiet = n, 0
		}
	}
}
