package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"

	"hairpin/turnserver/stream"
	"hairpin/turnserver/udp"
)

// Transport is what clients speak to the server over. Peers always speak UDP.
type Transport string

// The transports.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls" // over TCP
)

// queueBytes bounds what waits to be written to one connection: some milliseconds of a
// fast one. What does not fit is refused, so that one slow connection does not hold up
// the sender of all.
const queueBytes = 256 << 10

// errBacklog says that a connection takes no more: the server reads too slowly.
var errBacklog = errors.New("the connection does not take more: the server is slow to read it")

// connection is a client's TCP or TLS connection to the server. Sending puts frames
// into a queue, which a goroutine of serve writes.
type connection struct {
	conn  net.Conn
	local netip.AddrPort

	wake chan struct{} // holds at most one: the queue has something, or the connection has ended

	// mu guards queue and err.
	mu    sync.Mutex
	queue []byte // whole frames, padded
	err   error  // why there is nothing more to send
}

// dial connects a client to the server.
func (c Config) dial(ctx context.Context) (*connection, error) {
	conn, err := c.Dial(ctx)
	if err == nil && c.Transport == TLS {
		secure := tls.Client(conn, c.TLS)
		if err = secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
		}
		conn = secure
	}
	if err != nil {
		return nil, unreachable{err}
	}
	return newConnection(conn), nil
}

func newConnection(conn net.Conn) *connection {
	c := &connection{conn: conn, wake: make(chan struct{}, 1)}
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		c.local = local.AddrPort()
	}
	return c
}

func (c *connection) LocalAddr() netip.AddrPort { return c.local }

// Drops returns zero: TCP makes who sends too fast wait.
func (c *connection) Drops() uint64 { return 0 }

// WriteBatch queues packets, padded as a stream needs it (RFC 8656 §12.5), for the
// server whatever their destination.
func (c *connection) WriteBatch(_ *udp.Writer, ps []udp.Packet) (sent int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	for i := range ps {
		data := ps[i].Data()
		padding := -len(data) & 3
		if len(c.queue)+len(data)+padding > queueBytes {
			err = errBacklog
			break
		}
		c.queue = append(c.queue, data...)
		c.queue = append(c.queue, "\x00\x00\x00"[:padding]...)
		sent++
	}
	c.wakeWriter()
	return sent, err
}

func (c *connection) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// serve reads and writes until one of both fails, as after Close.
func (c *connection) serve(r *receiver) error {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read(r)
	c.end(err)
	writer.Wait()
	return err
}

func (c *connection) read(r *receiver) error {
	framer := stream.NewFramer()
	for {
		n, err := c.conn.Read(framer.Space())
		if err != nil {
			return err
		}
		framer.Wrote(n)
		now, t := r.fleet.now(), r.fleet.tally.Load()
		for {
			buf, start, end, ok := framer.Next()
			if !ok {
				break
			}
			r.take(t, buf[start:end], now)
		}
		if err := framer.Err(); err != nil {
			return err
		}
		t.arrived(now)
	}
}

// write writes what is queued, until the connection ends.
func (c *connection) write() {
	var spare []byte
	for range c.wake {
		c.mu.Lock()
		err := c.err
		spare, c.queue = c.queue, spare[:0]
		c.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := c.conn.Write(spare); err != nil {
			c.end(err)
			return
		}
	}
}

// end closes the connection for a reason, of which the first is kept.
func (c *connection) end(reason error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = reason
	}
	c.mu.Unlock()
	_ = c.conn.Close()
	c.wakeWriter()
}

// Close ends the connection, and serve.
func (c *connection) Close() error {
	c.end(net.ErrClosed)
	return nil
}
