package signaling

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"golang.org/x/time/rate"
)

// transportFactor is how much faster than its messages may be a socket's bytes are taken in. It leaves
// room for frame headers and pings, and bounds the work that frames which complete no message can
// cause: RFC 6455 allows any number of empty fragments and control frames.
const transportFactor = 4

// throttled makes the connection that is hijacked from a response read no faster than the limits, and
// end with cut: the WebSocket library, once it says goodbye, does so for seconds.
type throttled struct {
	http.ResponseWriter
	limits Limits
	cut    context.Context
}

// Hijack implements http.Hijacker.
func (t throttled) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(t.cut)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &throttledConn{
		Conn:   conn,
		ctx:    ctx,
		cancel: cancel,
		taken:  rate.NewLimiter(rate.Limit(transportFactor*t.limits.ByteRate), transportFactor*t.limits.ByteBurst),
	}, rw, nil
}

type throttledConn struct {
	net.Conn
	ctx    context.Context // ends with the connection, and ends it
	cancel context.CancelFunc
	taken  *rate.Limiter // one token a byte
}

// Read reads, and returns only when the rate allows it; what is not read yet holds the sender back.
func (c *throttledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.taken.Burst())])
	if c.taken.WaitN(c.ctx, n) != nil && err == nil {
		err = net.ErrClosed
	}
	return n, err
}

// Close closes the connection; a Read that waits returns.
func (c *throttledConn) Close() error {
	c.cancel()
	return c.Conn.Close()
}
