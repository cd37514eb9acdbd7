package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// readyTimeout bounds one check. A relayed loop inside the machine takes
	// milliseconds; orchestrators give a probe a second or a few.
	readyTimeout = 3 * time.Second

	// readyFor is how long a good result is good, unreadyFor a bad one: less, because
	// the first probes of a server that is starting come too early.
	readyFor   = 5 * time.Second
	unreadyFor = time.Second
)

// errPanicked is the result of a check that did not return.
var errPanicked = errors.New("the check panicked")

// readiness runs a check, one at a time, and keeps its result for a while. Safe for
// concurrent use.
type readiness struct {
	check  func(context.Context) error
	now    func() time.Time
	logger *slog.Logger // told of changes only, however often a prober asks

	mu      sync.Mutex    // guards all below
	running chan struct{} // closed when the running check has ended; nil if none runs
	until   time.Time     // when err is too old
	err     error
}

// result returns the error of the last check, or of one that is made or waited for. It
// returns earlier only if ctx ends.
func (y *readiness) result(ctx context.Context) error {
	for {
		fresh, running, err := y.join(y.now())
		switch {
		case fresh:
			return err
		case running == nil:
			return y.run(ctx)
		}
		select {
		case <-running:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join returns a result that is fresh, or what to wait for, or else leaves the check to
// the caller.
func (y *readiness) join(now time.Time) (fresh bool, running chan struct{}, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if now.Before(y.until) || y.running != nil {
		return now.Before(y.until), y.running, y.err
	}
	y.running = make(chan struct{})
	return false, nil, nil
}

// run checks, in the caller's goroutine but not for the caller's time: others wait for
// the result, and must not get the impatience of the first.
func (y *readiness) run(ctx context.Context) (err error) {
	err = errPanicked
	defer func() { y.finish(err, y.now()) }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	return y.check(ctx)
}

func (y *readiness) finish(err error, now time.Time) {
	y.mu.Lock()
	before := y.err
	y.err, y.until = err, now.Add(readyFor)
	if err != nil {
		y.until = now.Add(unreadyFor)
	}
	close(y.running)
	y.running = nil
	y.mu.Unlock()

	switch {
	case err != nil && before == nil:
		y.logger.Warn("not ready", "error", err)
	case err == nil && before != nil:
		y.logger.Info("ready again")
	}
}

// getHealth serves /healthz: that the process answers is all it says.
func (h *Handler) getHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// getReady serves /readyz.
func (h *Handler) getReady(w http.ResponseWriter, r *http.Request) {
	if h.config.Draining() {
		h.refuse(w, deny(ReasonDraining, "The server is shutting down and takes no new allocations. Send clients to another."))
		return
	}
	if err := h.ready.result(r.Context()); err != nil {
		h.refuse(w, &refusal{
			reason: ReasonNotReady, retry: unreadyFor,
			detail: "A relayed loop through the server itself does not work. The server's log says why.",
		})
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ready"})
}
