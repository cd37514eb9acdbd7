package signaling

import (
	"sync"
	"time"
)

// maxRemovals bounds the table. Beyond that the user whose time is over first may come back early.
const maxRemovals = 4096

// removals remembers who was removed from which room, for a while.
type removals struct {
	mu    sync.Mutex // guards until
	until map[removal]time.Time
}

type removal struct{ room, user string }

func (r *removals) add(room, user string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[removal]time.Time{}
	}
	if _, known := r.until[removal{room, user}]; !known && len(r.until) >= maxRemovals {
		r.dropFirstLocked()
	}
	r.until[removal{room, user}] = until
}

func (r *removals) dropFirstLocked() {
	var first removal
	for k, until := range r.until {
		if first == (removal{}) || until.Before(r.until[first]) {
			first = k
		}
	}
	delete(r.until, first)
}

func (r *removals) has(room, user string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, known := r.until[removal{room, user}]
	if known && !now.Before(until) {
		delete(r.until, removal{room, user})
		return false
	}
	return known
}
