package bench

import (
	"context"
	"errors"
	"time"
)

// Run carries a load, waits for what is still under way, and reports. On an error there
// is no report; a run cut short by its context has one that says so.
func (f *Fleet) Run(ctx context.Context, l Load) (*Report, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := f.prepare(ctx, l.Mode); err != nil {
		return nil, err
	}
	return f.carry(ctx, l, f.flows(l.Mode))
}

// errNoBaseline says that a load cannot go without the server.
var errNoBaseline = errors.New("only payloads of clients on UDP can go without the server")

// Baseline carries a load from the same sockets straight to where the server would have
// relayed it. What that costs the machine is the generator's own part of the cost of
// [Fleet.Run]: see [Load.Baseline].
func (f *Fleet) Baseline(ctx context.Context, l Load) (*Report, error) {
	l, err := l.withDefaults()
	switch {
	case err != nil:
		return nil, err
	case l.Mode == Binding || f.config.Transport != UDP:
		return nil, errNoBaseline
	case l.Mode == RelayToRelay && len(f.clients)%2 != 0:
		return nil, errOdd
	}
	l.Process, l.Baseline = 0, Spent{}
	return f.carry(ctx, l, f.straight(l.Mode))
}

// carry sends along flows and counts what arrives.
func (f *Fleet) carry(ctx context.Context, l Load, flows []flow) (*Report, error) {
	f.run = nextRun(f.run)
	s := newSender(l, f.run, flows, f.now)
	t := newTally(f.run, flows)
	t.sink = f.config.Sink
	t.sink.begin(f.run)
	defer t.sink.end()
	drops := f.drops()
	cost, err := measure(l.Process)
	if err != nil {
		return nil, err
	}
	t.began = f.now()
	f.tally.Store(t)
	f.sending.Store(s)
	defer f.tally.Store(nil)
	began := s.send(ctx)
	settle(t, &s.sent)
	if err := cost.stop(); err != nil {
		return nil, err
	}
	r := newReport(l, s, t, began, cost)
	r.Drops = f.drops() - drops
	r.Interrupted = ctx.Err() != nil
	return r, nil
}

// drops returns how much the fleet's own sockets have thrown away.
func (f *Fleet) drops() uint64 {
	var n uint64
	for _, c := range f.clients {
		n += c.conn.Drops()
	}
	for _, p := range f.peers {
		n += p.conn.Drops()
	}
	return n
}

// Progress returns how far the run under way is, or the last one; ok is false before
// the first. It may be called while a run is under way.
func (f *Fleet) Progress() (p Progress, ok bool) {
	s, t := f.sending.Load(), f.tally.Load()
	if s == nil || t == nil {
		return Progress{}, false
	}
	return Progress{Elapsed: f.now() - t.began, Sent: s.sent.Load(), Delivered: t.arrivals()}, true
}

// Progress is how far a run is. Counts are packets.
type Progress struct {
	Elapsed         time.Duration
	Sent, Delivered uint64
}

const (
	// settleEvery is how often is looked whether all has arrived.
	settleEvery = 10 * time.Millisecond

	// settled is how long nothing must have arrived for the rest to count as lost.
	settled = 300 * time.Millisecond
)

// settle waits until all that was sent has arrived, or nothing arrives any more.
func settle(t *tally, sent interface{ Load() uint64 }) {
	last, quiet := t.arrivals(), time.Duration(0)
	for last < sent.Load() && quiet < settled {
		time.Sleep(settleEvery)
		quiet += settleEvery
		if n := t.arrivals(); n != last {
			last, quiet = n, 0
		}
	}
}
