package stream

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// drainTime is how long a client may take for what was queued when its connection
// ended: the responses to its last requests, if it shut down its side behind them.
const drainTime = 5 * time.Second

// Send queues whole frames, already padded, to be written in order, and copies them:
// they are the caller's again when it returns. It never waits for the client. If they
// do not all fit into the queue, or the connection has ended, none of them is sent
// and it reports false. Unless the client is [Conn.Authenticated] the queue is short:
// enough for the responses to a client that reads them.
func (c *Conn) Send(frames ...[]byte) bool {
	n, reserve := 0, responseReserve
	for _, frame := range frames {
		n += len(frame)
		if !isResponse(frame) {
			reserve = 0
		}
	}
	if n == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil || c.queued+c.writing+n > c.capacity()+reserve {
		c.listener.dropped.Add(1)
		return false
	}
	c.queue = c.listener.memory.extend(c.queue, c.queued, c.queued+n)
	for _, frame := range frames {
		c.queued += copy(c.queue.b[c.queued:], frame)
	}
	if !c.running {
		c.running = true
		go c.run()
	}
	return true
}

// capacity is the length of the queue for anything but responses, in bytes.
func (c *Conn) capacity() int {
	if c.isAuthenticated() {
		return c.listener.limits.QueueBytes
	}
	return responseReserve
}

// isResponse reports whether the frame is a STUN success or error response: its
// class bit C1 is set (RFC 8489 §5).
func isResponse(frame []byte) bool {
	return len(frame) > 0 && frame[0]&0b1100_0001 == 0b0000_0001
}

// write is the writing goroutine. It gives all that is queued to the transport at
// once, and ends when nothing more is.
func (c *Conn) write() {
	for {
		taken, n := c.take()
		if taken == nil {
			return
		}
		err := c.writeAll(taken.b[:n])
		c.listener.memory.giveBack(taken)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.end(SlowReader)
		case err != nil:
			c.end(fmt.Errorf("%w: %w", Broken, err))
		}
	}
}

// take empties the queue into the hands of the writing goroutine. It returns nil if
// there is nothing to be written, and the goroutine counts as ended.
func (c *Conn) take() (taken *block, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken, n = c.queue, c.queued
	c.queue, c.queued, c.writing = nil, 0, n
	if taken == nil {
		c.running = false
		if c.drained != nil {
			close(c.drained)
		}
	}
	return taken, n
}

// writeAll writes p, for as long as the client takes some of it in every WriteStall.
func (c *Conn) writeAll(p []byte) error {
	for len(p) > 0 {
		renewed := c.renewWriteDeadline()
		n, err := c.transport.Write(p)
		p = p[n:]
		progressed := renewed && n > 0 && errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !progressed {
			return err
		}
	}
	return nil
}

// renewWriteDeadline gives the client another WriteStall, unless the connection has
// ended: then drain has set the last deadline.
func (c *Conn) renewWriteDeadline() bool {
	stall := c.listener.limits.WriteStall
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil || stall == 0 {
		return false
	}
	_ = c.transport.SetWriteDeadline(time.Now().Add(stall)) // fails on a closed connection, which Write reports
	return true
}

// drain waits until the writing goroutine has written the queue of the ended
// connection, or has given up, and has ended.
func (c *Conn) drain() {
	c.mu.Lock()
	running := c.running
	if running {
		c.drained = make(chan struct{})
		_ = c.transport.SetWriteDeadline(time.Now().Add(drainTime)) // fails when closed: no drain then
	}
	c.mu.Unlock()
	if running {
		<-c.drained
	}
}
