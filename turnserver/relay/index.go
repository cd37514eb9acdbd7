package relay

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// index is a hash table that is read without a lock. Its chains are only ever
// prepended to and unlinked from, under mu; a reader on an unlinked node still finds
// its way to the end. K holds no pointers, so that hashing it does not allocate.
type index[K comparable, V any] struct {
	seed    maphash.Seed
	buckets atomic.Pointer[[]bucket[K, V]] // a power of two of them

	mu sync.Mutex // guards writing, and n
	n  int
}

type bucket[K comparable, V any] = atomic.Pointer[node[K, V]]

type node[K comparable, V any] struct {
	key   K
	value *V
	next  atomic.Pointer[node[K, V]]
}

// indexMin is the number of buckets an empty index has.
const indexMin = 64

func newIndex[K comparable, V any]() *index[K, V] {
	x := &index[K, V]{seed: maphash.MakeSeed()}
	first := make([]bucket[K, V], indexMin)
	x.buckets.Store(&first)
	return x
}

func (x *index[K, V]) bucketOf(all []bucket[K, V], key K) *bucket[K, V] {
	return &all[maphash.Comparable(x.seed, key)&uint64(len(all)-1)]
}

// get returns what is stored under key, or nil.
func (x *index[K, V]) get(key K) *V {
	for n := x.bucketOf(*x.buckets.Load(), key).Load(); n != nil; n = n.next.Load() {
		if n.key == key {
			return n.value
		}
	}
	return nil
}

// put stores v under a key that has nothing yet and reports whether it did.
func (x *index[K, V]) put(key K, v *V) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.get(key) != nil {
		return false
	}
	all := *x.buckets.Load()
	if x.n >= len(all) {
		all = x.growLocked(all)
	}
	b := x.bucketOf(all, key)
	n := &node[K, V]{key: key, value: v}
	n.next.Store(b.Load())
	b.Store(n)
	x.n++
	return true
}

// growLocked doubles the buckets. It copies the nodes, because readers may stand on
// the old ones.
func (x *index[K, V]) growLocked(old []bucket[K, V]) []bucket[K, V] {
	all := make([]bucket[K, V], 2*len(old))
	for i := range old {
		for n := old[i].Load(); n != nil; n = n.next.Load() {
			b := x.bucketOf(all, n.key)
			c := &node[K, V]{key: n.key, value: n.value}
			c.next.Store(b.Load())
			b.Store(c)
		}
	}
	x.buckets.Store(&all)
	return all
}

// remove takes away v from under key; it does nothing if another value is there.
func (x *index[K, V]) remove(key K, v *V) {
	x.mu.Lock()
	defer x.mu.Unlock()
	link := x.bucketOf(*x.buckets.Load(), key)
	for n := link.Load(); n != nil; n = link.Load() {
		if n.key == key {
			if n.value == v {
				link.Store(n.next.Load())
				x.n--
			}
			return
		}
		link = &n.next
	}
}

// each calls f with every value until it returns false. What is put or removed
// meanwhile may or may not be seen.
func (x *index[K, V]) each(f func(*V) bool) {
	all := *x.buckets.Load()
	for i := range all {
		for n := all[i].Load(); n != nil; n = n.next.Load() {
			if !f(n.value) {
				return
			}
		}
	}
}

// size returns the number of values.
func (x *index[K, V]) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.n
}
