package nat

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hairpin/turnserver/wire"
)

// How long to wait, and how often to send. One packet in twenty lost in each direction
// leaves a request unanswered one time in ten, and six of them one time in a million.
const (
	tries    = 6
	gap      = 250 * time.Millisecond // between two of them, and up to
	jitter   = 100 * time.Millisecond // more, so that transactions do not march in step
	patience = 800 * time.Millisecond // after the last, or
	maxWait  = 3 * time.Second        // three round trips, but not more than this

	// connectTries gives up on UDP after eight seconds.
	connectTries = 8
	connectGap   = 900 * time.Millisecond

	// pace is the time between new transactions (RFC 5780 §5).
	pace = 100 * time.Millisecond
)

// readSize is the longest packet that is read whole, in bytes.
const readSize = 4096

// maxArrivals is how many packets of one transaction may wait to be looked at.
const maxArrivals = 4

// errSilence says that nothing came back, however often it was asked.
var errSilence = errors.New("no answer")

// misdirected says that an answer came, but from or to the wrong address.
type misdirected struct{ arrival }

func (e *misdirected) Error() string {
	return fmt.Sprintf("answered from %v to %v", e.from, e.at.LocalAddr())
}

// refused says that the server answered with an error.
type refused struct{ code int }

func (e *refused) Error() string { return fmt.Sprintf("answered with error %d", e.code) }

// endpoint is a socket whose packets are read and sorted by transaction.
type endpoint struct{ Socket }

// arrival is a message of a known transaction.
type arrival struct {
	message
	at   *endpoint
	from netip.AddrPort
	took time.Duration // since the request was last sent
}

// exchanger asks servers and matches their answers. It is safe for concurrent use.
type exchanger struct {
	readers sync.WaitGroup
	strays  atomic.Uint64 // packets that belong to no transaction

	mu      sync.Mutex // guards all below
	waiting map[wire.TransactionID]chan<- arrival
	open    []*endpoint
	next    time.Time // when a transaction may begin
	wait    time.Duration
}

func newExchanger() *exchanger {
	return &exchanger{waiting: make(map[wire.TransactionID]chan<- arrival), wait: patience}
}

// listen opens an endpoint, which close closes.
func (x *exchanger) listen(n Network, local netip.Addr, dontFragment bool) (*endpoint, error) {
	socket, err := n.Listen(local, dontFragment)
	if err != nil {
		return nil, err
	}
	e := &endpoint{socket}
	x.mu.Lock()
	x.open = append(x.open, e)
	x.mu.Unlock()
	x.readers.Go(func() { x.read(e) })
	return e, nil
}

// close ends all endpoints and waits for their readers.
func (x *exchanger) close() {
	x.mu.Lock()
	open := x.open
	x.mu.Unlock()
	for _, e := range open {
		_ = e.Close()
	}
	x.readers.Wait()
}

// read sorts what arrives at an endpoint until it is closed.
func (x *exchanger) read(e *endpoint) {
	buf := make([]byte, readSize)
	for {
		n, from, err := e.ReadFrom(buf)
		if err != nil {
			return
		}
		if !x.deliver(e, from, buf[:n]) {
			x.strays.Add(1)
		}
	}
}

// deliver hands a packet to who waits for it. It never blocks: what a transaction does
// not look at in time was sent to flood it.
func (x *exchanger) deliver(e *endpoint, from netip.AddrPort, p []byte) bool {
	if len(p) < wire.HeaderLen {
		return false
	}
	x.mu.Lock()
	to := x.waiting[wire.TransactionID(p[8:wire.HeaderLen])]
	x.mu.Unlock()
	if to == nil {
		return false
	}
	m, ok := parseMessage(p)
	if !ok {
		return false
	}
	select {
	case to <- arrival{message: m, at: e, from: from}:
	default:
	}
	return true
}

// question is a request and where its answer belongs.
type question struct {
	from   *endpoint
	to     netip.AddrPort
	expect netip.AddrPort // the source of the answer; zero for any
	at     *endpoint      // where it arrives; nil for where it was asked from
	turned bool           // the answer is the request itself
	attrs  func(request []byte) []byte
	tries  int           // zero for the usual
	gap    time.Duration // zero for the usual
}

// ask sends a request until it is answered and returns the answer. The error is that of
// ctx, errSilence, a *misdirected, a *refused, or why it could not be sent.
func (x *exchanger) ask(ctx context.Context, q question) (arrival, error) {
	if q.tries == 0 {
		q.tries, q.gap = tries, gap
	}
	if q.at == nil {
		q.at = q.from
	}
	request, arrivals, done := x.begin(q)
	defer done()
	if err := x.pause(ctx); err != nil {
		return arrival{}, err
	}
	failure := errSilence
	for try := 1; try <= q.tries; try++ {
		sent := time.Now()
		if err := q.from.WriteTo(request, q.to); err != nil {
			failure = err
		}
		wait := q.gap + rand.N(jitter)
		if try == q.tries {
			wait = x.patience()
		}
		a, err := q.await(ctx, arrivals, wait)
		var elsewhere *misdirected
		switch {
		case errors.As(err, &elsewhere):
			failure = err // the right one may still come
		case !errors.Is(err, errSilence):
			a.took = time.Since(sent)
			return a, err
		}
	}
	return arrival{}, failure
}

// begin writes the request and registers for what belongs to its transaction.
func (x *exchanger) begin(q question) (request []byte, arrivals <-chan arrival, done func()) {
	var header [wire.HeaderLen - 4]byte // cookie and transaction
	binary.BigEndian.PutUint32(header[:], 0x2112A442)
	_, _ = crand.Read(header[4:]) // never fails
	id := wire.TransactionID(header[4:])
	request = appendHeader(nil, bindingRequest, header[:])
	if q.attrs != nil {
		request = q.attrs(request)
	}
	ch := make(chan arrival, maxArrivals)
	x.mu.Lock()
	x.waiting[id] = ch
	x.mu.Unlock()
	return finish(request, false), ch, func() {
		x.mu.Lock()
		delete(x.waiting, id)
		x.mu.Unlock()
	}
}

// await waits for the answer.
func (q *question) await(ctx context.Context, arrivals <-chan arrival, wait time.Duration) (arrival, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	failure := errSilence
	for {
		select {
		case a := <-arrivals:
			switch {
			case q.turned != (a.kind == bindingRequest):
				// Nobody answers a Binding request with this.
			case a.at != q.at || q.expect.IsValid() && a.from != q.expect:
				if failure = error(&misdirected{a}); a.kind == bindingError {
					return a, &refused{a.code} // errors go to where the request came from
				}
			case a.kind == bindingError:
				return a, &refused{a.code}
			case q.turned || a.kind == bindingSuccess:
				return a, nil
			}
		case <-timer.C:
			return arrival{}, failure
		case <-ctx.Done():
			return arrival{}, ctx.Err()
		}
	}
}

// pause waits until a new transaction may begin.
func (x *exchanger) pause(ctx context.Context) error {
	x.mu.Lock()
	now := time.Now()
	begin := now
	if x.next.After(now) {
		begin = x.next
	}
	x.next = begin.Add(pace)
	x.mu.Unlock()
	return sleep(ctx, begin.Sub(now))
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learn adapts the patience to the round-trip time.
func (x *exchanger) learn(roundTrip time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wait = min(max(patience, 3*roundTrip), maxWait)
}

func (x *exchanger) patience() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.wait
}
