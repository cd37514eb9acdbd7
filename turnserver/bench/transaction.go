package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/stun/v3"

	"hairpin/turnserver/udp"
)

// The retransmissions of a request (RFC 8489 §6.2.1), two fewer than the RFC's, so that
// a server that does not answer is known after 16 seconds.
const (
	firstTimeout = 500 * time.Millisecond
	attempts     = 5
)

type transactionID = [stun.TransactionIDSize]byte

// transactions pairs the request that a goroutine has under way with the answer that
// another receives.
type transactions struct {
	answers chan []byte // holds at most one

	// mu guards waiting and id.
	mu      sync.Mutex
	waiting bool
	id      transactionID // of the request under way, if waiting
}

func newTransactions() transactions { return transactions{answers: make(chan []byte, 1)} }

// begin makes id the transaction whose answer is wanted.
func (t *transactions) begin(id transactionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting, t.id = true, id
}

// end forgets the transaction, and the answer if nobody took it.
func (t *transactions) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = false
	select {
	case <-t.answers:
	default:
	}
}

// answered keeps a copy of a STUN message if it is the answer that is wanted, and the
// first.
func (t *transactions) answered(p []byte) {
	const idOffset = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.waiting || len(p) < idOffset+len(t.id) || transactionID(p[idOffset:idOffset+len(t.id)]) != t.id {
		return
	}
	select {
	case t.answers <- append([]byte(nil), p...):
	default:
	}
}

// ErrUnreachable is what errors are, by [errors.Is], that say that the server does not
// answer or that there is no way to it.
var ErrUnreachable = errors.New("the server cannot be reached")

// ErrSilent is what errors are that say that a server which has answered some clients
// does not answer others.
var ErrSilent = errors.New("the server answers no more")

// unreachable is an error that is ErrUnreachable, in its own words.
type unreachable struct{ error }

func (u unreachable) Is(target error) bool { return target == ErrUnreachable }
func (u unreachable) Unwrap() error        { return u.error }

// reliable reports whether requests need no repeating.
func (c *client) reliable() bool {
	_, stream := c.conn.(*connection)
	return stream
}

// transact sends a request until it is answered.
func (c *client) transact(ctx context.Context, w *udp.Writer, m *stun.Message) (*stun.Message, error) {
	c.transactions.begin(m.TransactionID)
	defer c.transactions.end()
	packet := []udp.Packet{{Buf: m.Raw, End: len(m.Raw), Remote: c.account.server}}
	timeout := firstTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for attempt := 1; ; attempt++ {
		if attempt == 1 || !c.reliable() {
			if _, err := c.conn.WriteBatch(w, packet); err != nil {
				return nil, err
			}
			if attempt > 1 {
				c.fleet.repeated.Add(1)
			}
		}
		select {
		case raw := <-c.transactions.answers:
			answer := &stun.Message{Raw: raw}
			return answer, answer.Decode()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		if attempt == c.fleet.config.attempts {
			return nil, unreachable{fmt.Errorf("%v does not answer", c.account.server)}
		}
		timeout *= 2
		timer.Reset(timeout)
	}
}
