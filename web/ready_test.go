package web

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestReady(t *testing.T) {
	config, clock := testConfig(t)
	var (
		calls    int
		failure  error
		draining bool
		log      strings.Builder
	)
	config.Logger = logTo(&log)
	config.Draining = func() bool { return draining }
	config.Ready = func(context.Context) error {
		calls++
		return failure
	}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no route to self")
	for _, step := range []struct {
		name     string
		after    time.Duration
		failure  error
		draining bool
		want     Reason
		calls    int
	}{
		{"first", 0, nil, false, "", 1},
		{"kept", readyFor - 1, broken, false, "", 1},
		{"too old", 1, broken, false, ReasonNotReady, 2},
		{"bad one kept", unreadyFor - 1, nil, false, ReasonNotReady, 2},
		{"still bad", 1, broken, false, ReasonNotReady, 3},
		{"draining asks nothing", time.Hour, nil, true, ReasonDraining, 3},
		{"good again", 0, nil, false, "", 4},
	} {
		clock.advance(step.after)
		failure, draining = step.failure, step.draining
		w := do(t, h, request{line: "GET /readyz"})
		retry := w.Header().Get("Retry-After")
		if got := reasonOf(t, w); got != step.want || calls != step.calls || (got == ReasonNotReady) != (retry == "1") {
			t.Errorf("%s: %q after %d calls, Retry-After %q; want %q after %d", step.name, got, calls, retry, step.want, step.calls)
		}
	}
	if n := strings.Count(log.String(), `level=WARN msg="not ready"`); n != 1 || strings.Count(log.String(), "ready again") != 1 {
		t.Errorf("%d warnings of one failure: %s", n, log.String())
	}
}

// Many probes at once make one check, which the impatience of the first does not end.
func TestReadySingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		h := newHandler(t, func(c *Config) {
			c.Now = time.Now
			c.Ready = func(ctx context.Context) error {
				calls.Add(1)
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		var all sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		all.Go(func() { _ = h.ready.result(first) })
		synctest.Wait()
		var served, gaveUp atomic.Int32
		second, leaveToo := context.WithCancel(t.Context())
		all.Go(func() {
			if errors.Is(h.ready.result(second), context.Canceled) {
				gaveUp.Add(1)
			}
		})
		for range 100 {
			all.Go(func() {
				if do(t, h, request{line: "GET /readyz"}).Code == 200 {
					served.Add(1)
				}
			})
		}
		leave()
		leaveToo()
		synctest.Wait()
		close(release)
		all.Wait()
		if calls.Load() != 1 || served.Load() != 100 || gaveUp.Load() != 1 {
			t.Errorf("%d calls, %d served, %d gave up", calls.Load(), served.Load(), gaveUp.Load())
		}
	})
}

// A check that hangs is ended, and one that panics leaves nobody waiting.
func TestReadyBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := false
		h := newHandler(t, func(c *Config) {
			c.Now = time.Now
			c.Ready = func(ctx context.Context) error {
				if panics {
					panic("broken")
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		begun := time.Now()
		if got := reasonOf(t, do(t, h, request{line: "GET /readyz"})); got != ReasonNotReady {
			t.Errorf("hanging check: %q", got)
		}
		if took := time.Since(begun); took != readyTimeout {
			t.Errorf("took %v", took)
		}
		panics = true
		time.Sleep(unreadyFor) // In the bubble's time.
		if got := reasonOf(t, do(t, h, request{line: "GET /readyz"})); got != ReasonInternal {
			t.Errorf("panicking check: %q", got)
		}
		if got := reasonOf(t, do(t, h, request{line: "GET /readyz"})); got != ReasonNotReady {
			t.Errorf("after the panic: %q", got)
		}
	})
}
