package probe

import (
	"context"
	"time"

	"github.com/pion/stun/v3"
)

// Bounds of the search for how far the server's clock is ahead.
const (
	furthestAhead = 23 * time.Hour         // a credential that lasts longer Hairpin refuses for that
	clockAccuracy = 5 * time.Minute        // of the answer
	guessPause    = 150 * time.Millisecond // servers bound how fast one source may guess
)

// explainMinted finds out why a credential is refused that was minted here: by an older
// secret, or for a later time, another might be taken.
func (p *prober) explainMinted(ctx context.Context, d AuthenticationDetails) Step {
	const refused = "does not take what is made with the secret given"
	for i, mint := range p.o.Mint[1:] {
		if l, ok := p.taken(ctx, mint, mintedFor); ok {
			d.Secret = i + 2
			p.goOn(ctx, *l)
			return fault("old-secret", d, "knows secret %d of those given, but not the newest", d.Secret).
				hint("the server has not been told of the new secret; restart it or have it read its secrets again")
		}
	}
	l, ok := p.taken(ctx, p.o.Mint[0], furthestAhead)
	if !ok {
		return fault("wrong-secret", d, "%s (401)", refused).
			hint("compare the secret with the server's; does the server use a shared secret at all?")
	}
	low, high := mintedFor, furthestAhead
	for high-low > clockAccuracy && ctx.Err() == nil {
		middle := (low + high) / 2
		if better, ok := p.taken(ctx, p.o.Mint[0], middle); ok {
			high, l = middle, better
		} else {
			low = middle
		}
	}
	p.goOn(ctx, *l)
	d.Secret, d.ClockAheadSeconds = 1, int64(high/time.Second)
	return fault("clock-skew", d, "the server's clock is about %s ahead of the one here: credentials for %s have expired when they arrive", span(high), span(mintedFor)).
		hint("set the clocks: one of the two does not follow NTP")
}

// goOn has the remaining steps use a login that the server takes after all.
func (p *prober) goOn(ctx context.Context, l Login) {
	p.login = &l
	answer, err := p.allocateAs(ctx, l)
	if err != nil {
		p.refused = err
		return
	}
	p.lend(answer)
}

// taken reports whether the server lets in a login that lasts so long. What it then
// lends is given back.
func (p *prober) taken(ctx context.Context, mint Mint, lasts time.Duration) (*Login, bool) {
	l, err := mint(p.o.Now().Add(lasts))
	if err != nil {
		return nil, false
	}
	select {
	case <-ctx.Done():
		return nil, false
	case <-time.After(guessPause):
	}
	_, err = p.allocateAs(ctx, l)
	if err != nil {
		return &l, codeOf(err) != 0 && codeOf(err) != int(stun.CodeUnauthorized)
	}
	_, _ = p.a.request(ctx, stun.MethodRefresh, lifetime(0))
	return &l, true
}
