package bench

import (
	"sync"
	"time"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

const (
	// clientBatch is how many packets are read at once from a client's socket, of
	// which there may be thousands, and peerBatch from a peer's, of which there are few.
	clientBatch = 16
	peerBatch   = 128
)

// receiver takes what arrives at one socket of the fleet. It is a [udp.Borrower].
type receiver struct {
	fleet  *Fleet
	conn   socket
	client *client // whose socket it is; nil for a peer's
}

// batches lends memory to the receivers.
type batches struct{ client, peer sync.Pool }

func newBatches() *batches {
	b := new(batches)
	b.client.New = func() any { return udp.NewBatch(clientBatch) }
	b.peer.New = func() any { return udp.NewBatch(peerBatch) }
	return b
}

func (r *receiver) pool() *sync.Pool {
	if r.client == nil {
		return &r.fleet.batches.peer
	}
	return &r.fleet.batches.client
}

func (r *receiver) Borrow() *udp.Batch { return r.pool().Get().(*udp.Batch) }

func (r *receiver) Return(b *udp.Batch) { r.pool().Put(b) }

func (r *receiver) Handle(b *udp.Batch) {
	now := r.fleet.now()
	t := r.fleet.tally.Load()
	for i := range b.Packets {
		r.take(t, b.Packets[i].Data(), now)
	}
	t.arrived(now)
}

// take takes one packet, or one frame of a stream. The tally is nil between runs.
func (r *receiver) take(t *tally, p []byte, now time.Duration) {
	framed := false
	if r.client != nil {
		switch wire.Classify(p) {
		case wire.STUN:
			r.client.transactions.answered(p)
			if t != nil && t.bindings {
				t.addBinding(r, p, now)
			}
			return
		case wire.ChannelData:
			_, data, _ := wire.ParseChannelData(p) // nothing, if it is too short
			p, framed = data, true
		}
	}
	if t != nil {
		t.add(r, p, framed, now)
	}
}

// now is the time since the fleet's epoch.
func (f *Fleet) now() time.Duration { return time.Since(f.epoch) }
