package web

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// budgetSets × budgetWays spenders are remembered, half a megabyte at most.
	budgetSets = 1024
	budgetWays = 4
)

// budget bounds how often each of any number of spenders does something, in a fixed
// amount of memory. A spender is remembered exactly; where too many meet in one set,
// the one that spent least is forgotten. Safe for concurrent use.
//
// It counts in virtual scheduling (GCRA, ITU-T I.371): one time for each spender, at
// which its bucket will be full again.
type budget[K comparable] struct {
	interval time.Duration // the time one token takes to come back
	depth    time.Duration // burst × interval
	seed     maphash.Seed  // secret, so that nobody aims at another's set

	mu   sync.Mutex // guards sets
	sets [budgetSets][budgetWays]spender[K]
}

type spender[K comparable] struct {
	key  K
	full time.Time // zero in an unused slot
}

func newBudget[K comparable](r Rate) *budget[K] {
	interval := max(time.Duration(float64(time.Second)/r.PerSecond), 1)
	return &budget[K]{
		interval: interval,
		depth:    interval * time.Duration(r.Burst),
		seed:     maphash.MakeSeed(),
	}
}

// spend takes a token of key. It returns 0, or, if there was none to take, the time
// until there is.
func (b *budget[K]) spend(key K, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.slotLocked(key)
	if wait := b.wait(*s, key, now); wait > 0 {
		return wait
	}
	if s.key != key || s.full.Before(now) {
		*s = spender[K]{key: key, full: now}
	}
	s.full = s.full.Add(b.interval)
	return 0
}

// check returns what spend would, and takes nothing.
func (b *budget[K]) check(key K, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait(*b.slotLocked(key), key, now)
}

func (b *budget[K]) wait(s spender[K], key K, now time.Time) time.Duration {
	if s.key != key {
		return 0
	}
	return max(0, s.full.Add(b.interval-b.depth).Sub(now))
}

// slotLocked returns the slot of key, or the one it may take over.
func (b *budget[K]) slotLocked(key K) *spender[K] {
	set := &b.sets[maphash.Comparable(b.seed, key)%budgetSets]
	least := &set[0]
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
		if set[i].full.Before(least.full) {
			least = &set[i]
		}
	}
	return least
}
