package stream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Handler is told of connections.
type Handler interface {
	// Open is called for each accepted connection, on the connection's own goroutine.
	// It returns who gets the frames, or nil to have the connection closed.
	Open(c *Conn) Session
}

// Session gets what one client sends. Its methods are called on one goroutine, one
// after the other; while one runs, nothing is read from this client.
type Session interface {
	// Frame takes one whole STUN message or ChannelData frame, buf[start:end]. Until
	// it returns, the frame, the [Headroom] before and the [Tailroom] after it may be
	// overwritten; nothing of buf may be kept.
	Frame(buf []byte, start, end int)

	// Closed is called once, after the last Frame, whatever ended the connection,
	// which the five-tuple's allocation does not outlive. [ReasonOf] tells why. What
	// was queued before may still reach the client; nothing more can be sent.
	Closed(err error)
}

// Conn is one client's connection. Its methods are safe for concurrent use.
type Conn struct {
	listener      *Listener
	transport     net.Conn
	remote, local netip.AddrPort
	opened        time.Time
	without       atomic.Int64 // nanoseconds from opened to when the last allocation ended; 0 before; or holds
	run           func()       // c.write: kept, because a method value made per Send would allocate

	mu      sync.Mutex    // guards the following
	ended   error         // why the connection ended; set once
	queue   *block        // nil while empty
	queued  int           // bytes in queue
	writing int           // bytes taken from queue by the writing goroutine
	running bool          // the writing goroutine exists, or is about to
	drained chan struct{} // if not nil, closed when the writing goroutine ends
}

// holds is the value of Conn.without while the client holds an allocation.
const holds = -1

func newConn(l *Listener, transport net.Conn) *Conn {
	c := &Conn{
		listener:  l,
		transport: transport,
		remote:    addrPort(transport.RemoteAddr()),
		local:     addrPort(transport.LocalAddr()),
		opened:    time.Now(),
	}
	c.run = c.write
	return c
}

// Remote returns the client's address, never an IPv4-mapped IPv6 address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local returns the address the client connected to, never an IPv4-mapped IPv6
// address.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Authenticated says that the client holds an allocation: [Limits.Unauthenticated]
// no longer ends the connection, and it gets the whole of [Limits.QueueBytes].
func (c *Conn) Authenticated() { c.without.Store(holds) }

// Unauthenticated takes [Conn.Authenticated] back when the allocation has ended:
// [Limits.Unauthenticated] begins anew, now. The response to the request that ended it
// is to be sent first, while the queue is long. Without Authenticated before, it does
// nothing: a stranger's time is not prolonged.
func (c *Conn) Unauthenticated() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.without.CompareAndSwap(holds, int64(time.Since(c.opened))) {
		// The reading goroutine may wait for much longer. It is only woken here, because
		// it alone knows the other limits.
		_ = c.transport.SetReadDeadline(time.Now()) // fails on a closed connection, whose read ends anyway
	}
}

// isAuthenticated reports whether the client holds an allocation.
func (c *Conn) isAuthenticated() bool { return c.without.Load() == holds }

// unauthenticatedSince returns when the client came to be without an allocation; the
// zero time while it holds one.
func (c *Conn) unauthenticatedSince() time.Time {
	without := c.without.Load()
	if without == holds {
		return time.Time{}
	}
	return c.opened.Add(time.Duration(without))
}

// Close ends the connection at once, dropping what is queued. It does not wait for
// the session to be told, which may get a few more frames, read before. It may be
// called more than once.
func (c *Conn) Close() { c.end(Closed) }

// end closes the transport, for the reason why unless there has been one before.
func (c *Conn) end(why error) {
	c.finish(why)
	if why == SlowReader {
		// What the kernel holds for a client that does not read must not outlive it.
		abort(c.transport)
	}
	_ = c.transport.Close() // nothing is left to be done about a failure
}

// finish refuses further frames to send, and returns the first reason given.
func (c *Conn) finish(why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = why
	}
	return c.ended
}

// serve is the connection's goroutine.
func (c *Conn) serve(h Handler) {
	session := h.Open(c)
	if session == nil {
		c.Close()
	} else {
		session.Closed(c.finish(c.read(session)))
	}
	c.drain()
	_ = c.transport.Close() // closed already, unless the client ended the connection
}

// read delivers frames until the connection ends, and returns why it did.
func (c *Conn) read(session Session) error {
	f := newFramer(c.listener.memory)
	defer f.release()
	state := progress{opened: c.opened, heard: c.opened}
	var armed time.Time
	for {
		at, _ := state.due(&c.listener.limits, c.unauthenticatedSince())
		// A timer is set only to be earlier, because moving it for every frame would
		// cost more than letting it fire now and then for nothing.
		if !at.IsZero() && (armed.IsZero() || at.Before(armed)) {
			armed = c.arm(&state)
		}
		n, err := c.transport.Read(f.Space())
		now := time.Now()
		f.Wrote(n)
		frames := deliver(f, session)
		state.received(now, frames, f.Partial())
		switch {
		case f.Err() != nil:
			return f.Err()
		case f.partialData() && !c.isAuthenticated():
			// Without an allocation there is no channel to send data on, so the memory
			// for it is not lent. "GET /" too passes for the header of a long message.
			return Garbage
		case errors.Is(err, os.ErrDeadlineExceeded):
			at, why := state.due(&c.listener.limits, c.unauthenticatedSince())
			if !at.IsZero() && !now.Before(at) {
				return why
			}
			armed = c.arm(&state)
		case errors.Is(err, io.EOF):
			return EOF
		case err != nil:
			return fmt.Errorf("%w: %w", Broken, err)
		}
	}
}

// arm sets the read deadline to when the connection is due, and returns it. The lock
// keeps it from undoing the deadline that a concurrent [Conn.Unauthenticated] sets.
func (c *Conn) arm(state *progress) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, _ := state.due(&c.listener.limits, c.unauthenticatedSince())
	_ = c.transport.SetReadDeadline(at) // fails on a closed connection, which Read reports
	return at
}

// deliver hands the session every whole frame and returns their number.
func deliver(f *Framer, session Session) (frames int) {
	for {
		buf, start, end, ok := f.Next()
		if !ok {
			return frames
		}
		session.Frame(buf, start, end)
		frames++
	}
}

// addrPort returns a's address and port, IPv4-mapped addresses unmapped; the zero
// value if a has none.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// abort makes the following Close of a TCP connection discard what the kernel still
// holds for it, and leave no state behind.
func abort(transport net.Conn) {
	if t, ok := transport.(interface{ SetLinger(seconds int) error }); ok {
		_ = t.SetLinger(0) // without it, the kernel's own timeouts end the connection
	}
}
