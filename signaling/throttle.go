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

// How fast, in bytes a second, and how many bytes at once are taken in from a client that has been told
// goodbye, while its own is waited for. What was on its way still fits; a flood is no longer worth reading.
const (
	farewellRate  = 16 << 10
	farewellBurst = 64 << 10
)

// throttled makes the connection that is hijacked from a response read no faster than the limits, and
// end with cut: the WebSocket library, once it says goodbye, does so for seconds. Once leaving is done,
// it is read slower still.
type throttled struct {
	http.ResponseWriter
	limits       Limits
	leaving, cut context.Context
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
		Conn:     conn,
		ctx:      ctx,
		cancel:   cancel,
		leaving:  t.leaving,
		farewell: rate.NewLimiter(farewellRate, farewellBurst),
		taken:    rate.NewLimiter(rate.Limit(transportFactor*t.limits.ByteRate), transportFactor*t.limits.ByteBurst),
	}, rw, nil
}

type throttledConn struct {
	net.Conn
	ctx    context.Context // ends with the connection, and ends it
	cancel context.CancelFunc

	taken    *rate.Limiter // one token a byte
	farewell *rate.Limiter // instead of taken, once leaving is done
	leaving  context.Context
}

// Read reads, and returns only when the rate allows it; what is not read yet holds the sender back.
func (c *throttledConn) Read(p []byte) (int, error) {
	taken := c.taken
	if c.leaving.Err() != nil {
		taken = c.farewell
	}
	n, err := c.Conn.Read(p[:min(len(p), taken.Burst())])
	if taken.WaitN(c.ctx, n) != nil && err == nil {
		err = net.ErrClosed
	}
	return n, err
}

// Close closes the connection; a Read that waits returns.
func (c *throttledConn) Close() error {
	c.cancel()
	return c.Conn.Close()
}
