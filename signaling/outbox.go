package signaling

import (
	"slices"
	"sync"
	"time"
)

// outboxShares is how many senders may have their full share of an outbox waiting. With more, it is the
// reader who is slow.
const outboxShares = 4

// longestHold is for how long a sender is held back for one receiver, from when half its share waits there
// until all of it has been read. A busy server's writers have their turn by then; a receiver who is slow on
// purpose delays nobody for longer.
const longestHold = 2 * time.Second

// outbox is what waits to be written to one socket, in order. Every sender has a share of it and no more: one
// that floods takes the place of its own messages, and neither that of others nor the receiver's socket.
// A sender is a user, so that it does not get another share with another socket.
//
// Any goroutine may put; one takes. Nothing waits for room.
type outbox struct {
	share, shareBytes int           // of one sender
	ready             chan struct{} // holds a token when something may wait

	mu      sync.Mutex // guards all below
	waiting []outgoing
	bytes   int     // of the frames that wait
	shares  []share // of the senders of whom something waits
}

// outgoing is what waits in an outbox: a frame, and after it those that a resumed member missed.
type outgoing struct {
	frame  []byte
	sender string // whose share it takes; empty for what the server says
	counts bool   // in the seat's journal
	missed [][]byte
}

// share is what waits of one sender.
type share struct {
	sender        string
	frames, bytes int
	since         time.Time // when it passed the half, if it has since it was empty
}

// verdict is what an outbox does with a frame.
type verdict int

const (
	outboxTakes  verdict = iota
	shareIsFull          // the frame is not taken; the sender is to be told
	outboxIsFull         // the frame is not taken; the socket has to end
)

func newOutbox(l Limits) *outbox {
	return &outbox{share: l.OutboxMessages, shareBytes: l.OutboxBytes, ready: make(chan struct{}, 1)}
}

// put queues a frame, or says why not. A frame longer than a share may wait alone. What a member missed
// is bounded by its journal, and not counted again.
func (b *outbox) put(o outgoing, now time.Time) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := -1
	if o.sender != "" {
		if i = b.indexLocked(o.sender); i >= 0 && b.shares[i].exceeds(b.share-1, b.shareBytes-len(o.frame)) {
			return shareIsFull
		}
	}
	if len(b.waiting) >= outboxShares*b.share || b.bytes+len(o.frame) > outboxShares*b.shareBytes {
		return outboxIsFull
	}
	if o.sender != "" {
		if i < 0 {
			i = len(b.shares)
			b.shares = append(b.shares, share{sender: o.sender})
		}
		s := &b.shares[i]
		s.frames++
		s.bytes += len(o.frame)
		if s.since.IsZero() && s.exceeds(b.share/2, b.shareBytes/2) {
			s.since = now
		}
	}
	b.waiting = append(b.waiting, o)
	b.bytes += len(o.frame)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return outboxTakes
}

// take returns what has waited longest, if anything waits.
func (b *outbox) take() (outgoing, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return outgoing{}, false
	}
	o := b.waiting[0]
	b.waiting[0] = outgoing{}
	if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
		b.waiting = nil // gives the memory back
	}
	b.bytes -= len(o.frame)
	if i := b.indexLocked(o.sender); i >= 0 {
		s := &b.shares[i]
		s.bytes -= len(o.frame)
		if s.frames--; s.frames == 0 {
			b.shares = slices.Delete(b.shares, i, i+1)
		}
	}
	return o, true
}

// holds reports whether a sender should wait for this outbox: half its share waits, and that has not been so
// for long.
func (b *outbox) holds(sender string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.indexLocked(sender)
	return i >= 0 && b.shares[i].exceeds(b.share/2, b.shareBytes/2) && now.Sub(b.shares[i].since) < longestHold
}

func (s share) exceeds(frames, bytes int) bool { return s.frames > frames || s.bytes > bytes }

func (b *outbox) indexLocked(sender string) int {
	return slices.IndexFunc(b.shares, func(s share) bool { return s.sender == sender })
}
