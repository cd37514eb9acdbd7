package stream

import "sync"

// block is memory on loan. Its holder keeps the pointer, so that lending and giving
// back allocate nothing.
type block struct {
	b []byte // its length is its capacity
}

const (
	smallBlock  = 2 << 10  // an idle connection's: holds a usual frame
	mediumBlock = 16 << 10 // holds the longest STUN message
	largeBlock  = 72 << 10 // holds the longest ChannelData frame and the room around it
)

// memory lends blocks of a few sizes. Safe for concurrent use.
type memory struct {
	sizes []int // ascending
	pools []sync.Pool
}

// newMemory returns a memory whose largest block has at least longest bytes.
func newMemory(longest int) *memory {
	sizes := []int{smallBlock, mediumBlock, largeBlock}
	if longest > largeBlock {
		sizes = append(sizes, longest)
	}
	return &memory{sizes: sizes, pools: make([]sync.Pool, len(sizes))}
}

// lend returns a block of at least n bytes, n being no more than the longest. Its
// bytes are whatever the last holder left.
func (m *memory) lend(n int) *block {
	for i, size := range m.sizes {
		if size < n {
			continue
		}
		if b, ok := m.pools[i].Get().(*block); ok {
			return b
		}
		return &block{b: make([]byte, size)}
	}
	panic("stream: no block is that long")
}

// giveBack ends a loan. A nil block is ignored.
func (m *memory) giveBack(b *block) {
	if b == nil {
		return
	}
	for i, size := range m.sizes {
		if size == len(b.b) {
			m.pools[i].Put(b)
			return
		}
	}
}

// extend returns a block of at least n bytes that begins with the used ones of b,
// which may be nil and is given back unless it is returned.
func (m *memory) extend(b *block, used, n int) *block {
	if b != nil && len(b.b) >= n {
		return b
	}
	longer := m.lend(n)
	if b != nil {
		copy(longer.b, b.b[:used])
		m.giveBack(b)
	}
	return longer
}
