package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// quick returns the default limits without those that a test's slowness could reach.
func quick() Limits {
	l := DefaultLimits()
	l.FirstFrame, l.Unauthenticated, l.Stall = 0, 0, 0
	return l
}

func TestConnAddresses(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"} {
		t.Run(bind, func(t *testing.T) {
			l, err := Listen("tcp", netip.MustParseAddrPort(bind), quick())
			if err != nil && strings.Contains(bind, "::") {
				t.Skip("no IPv6 here:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			h := make(handler, 1)
			serve(t, l, h)
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port())
			if bind == "[::1]:0" {
				to = l.Addr()
			}
			c, err := net.Dial("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			s := h.next(t)
			if s.conn.Local() != to || s.conn.Remote() != addrPort(c.LocalAddr()) {
				t.Errorf("local %v, remote %v; want %v, %v", s.conn.Local(), s.conn.Remote(), to, c.LocalAddr())
			}
		})
	}
}

func TestConnS17TwoRequestsInOneSegment(t *testing.T) {
	c := dial(t, listen(t, quick(), echo{}))
	requests := slices.Concat(stunMessage(20), stunMessage(40))
	write(t, c, requests)
	answers := make([]byte, len(requests))
	if _, err := io.ReadFull(c, answers); err != nil || !bytes.Equal(answers, requests) {
		t.Errorf("answers %x, %v", answers, err)
	}
}

func TestConnS17OneByteSegments(t *testing.T) {
	c := dial(t, listen(t, quick(), echo{}))
	request := stunMessage(28)
	for _, b := range request {
		write(t, c, []byte{b}) // Go sets TCP_NODELAY: one segment each
	}
	answer := make([]byte, len(request))
	if _, err := io.ReadFull(c, answer); err != nil || !bytes.Equal(answer, request) {
		t.Errorf("answer %x, %v", answer, err)
	}
}

func TestConnS18Garbage(t *testing.T) {
	for name, test := range map[string]struct {
		bytes  []byte
		reason Reason
	}{
		"random":                      {[]byte{0x9E, 0x37, 0x79, 0xB9}, Garbage},
		"TLS hello":                   {[]byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}, Garbage},
		"HTTP":                        {[]byte("GET / HTTP/1.1\r\n\r\n"), Garbage},
		"length-wrap frame":           {[]byte{0x40, 0, 0xFF, 0xFC, 0, 0, 0, 0, 0}, Oversized},
		"ChannelData FFFF":            {[]byte{0x40, 0, 0xFF, 0xFF}, Oversized},
		"STUN length FFEC":            {[]byte{0, 1, 0xFF, 0xEC}, Oversized},
		"garbage behind good request": {append(stunMessage(20), 0xFF), Garbage},
		"a channel's first byte":      {append(stunMessage(20), 0x40), Garbage},
		"a channel's longest data":    {append(stunMessage(20), 0x40, 0, 0xFF, 0xE3), Garbage},
		"a channel's data cut short":  {append(stunMessage(20), channelData(make([]byte, 1200)...)[:1203]...), Garbage},
	} {
		t.Run(name, func(t *testing.T) {
			h := make(handler, 1)
			l := listen(t, quick(), h)
			c := dial(t, l)
			write(t, c, test.bytes)
			awaitClosed(t, c)
			if r := h.next(t).reason(t); r != test.reason {
				t.Errorf("closed because of %v, want %v", r, test.reason)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if n := l.Counters(); n.Closed[test.reason] != 1 || n.Accepted != 1 || n.Open != 0 {
				t.Errorf("counters %+v", n)
			}
		})
	}
}

// allocating is a Session whose client holds an allocation from its first frame on.
type allocating struct{ *client }

func (s allocating) Frame(buf []byte, start, end int) {
	s.conn.Authenticated()
	s.client.Frame(buf, start, end)
}

// TestConnPipelinedChannelData has data right behind the request that allocates.
func TestConnPipelinedChannelData(t *testing.T) {
	h := make(handler, 1)
	c := dial(t, listen(t, quick(), handlerFunc(func(c *Conn) Session {
		return allocating{h.Open(c).(*client)}
	})))
	s := h.next(t)
	frame := channelData(make([]byte, 5000)...)
	write(t, c, stunMessage(20), frame[:5])
	s.next(t, stunMessage(20))
	write(t, c, frame[5:])
	s.next(t, frame)
}

// TestConnWholeChannelDataOfAStranger is for the session to drop: it holds nothing.
func TestConnWholeChannelDataOfAStranger(t *testing.T) {
	h := make(handler, 1)
	c := dial(t, listen(t, quick(), h))
	s := h.next(t)
	for _, frame := range [][]byte{stunMessage(20), channelData(1, 2, 3, 4), stunMessage(40)} {
		write(t, c, frame)
		s.next(t, frame)
	}
}

func TestConnC10RelaysWithoutWaitingForPadding(t *testing.T) {
	h := make(handler, 1)
	c := dial(t, listen(t, quick(), h))
	s := h.next(t)
	s.conn.Authenticated()
	for n := range 5 {
		frame := channelData(make([]byte, n)...)
		write(t, c, frame)
		s.next(t, frame)
		write(t, c, padded(frame)[len(frame):]) // later than the session's use of the room
	}
	write(t, c, stunMessage(20))
	s.next(t, stunMessage(20))
}

func TestConnL26ClientGone(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"closed": (*net.TCPConn).Close,
		"reset": func(c *net.TCPConn) error {
			return errors.Join(c.SetLinger(0), c.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := make(handler, 1)
			c := dial(t, listen(t, quick(), h))
			s := h.next(t)
			s.conn.Authenticated()
			write(t, c, stunMessage(20))
			s.next(t, stunMessage(20))
			if err := leave(c); err != nil {
				t.Fatal(err)
			}
			if r := s.reason(t); r != EOF && r != Broken {
				t.Errorf("closed because of %v", r)
			}
			if s.conn.Send(stunMessage(20)) {
				t.Error("sent to a client that is gone")
			}
		})
	}
}

// TestConnHalfClose has the client shut down its side right behind its request.
func TestConnHalfClose(t *testing.T) {
	c := dial(t, listen(t, quick(), echo{}))
	write(t, c, stunMessage(20))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !bytes.Equal(answer, stunMessage(20)) {
		t.Errorf("answer %x, %v", answer, err)
	}
}

func TestConnClose(t *testing.T) {
	h := make(handler, 1)
	c := dial(t, listen(t, quick(), h))
	s := h.next(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(s.conn.Close)
	}
	wg.Wait()
	if r := s.reason(t); r != Closed {
		t.Errorf("closed because of %v", r)
	}
	awaitClosed(t, c)
}

// closer is a Session that closes its connection at the first frame.
type closer struct {
	client
}

func (s *closer) Frame(buf []byte, start, end int) {
	s.client.Frame(buf, start, end)
	s.conn.Close()
}

type handlerFunc func(*Conn) Session

func (f handlerFunc) Open(c *Conn) Session { return f(c) }

func TestConnCloseWithinFrame(t *testing.T) {
	opened := make(chan *closer, 1)
	l := listen(t, quick(), handlerFunc(func(c *Conn) Session {
		s := &closer{client{conn: c, frames: make(chan []byte, 8), closed: make(chan error, 1)}}
		opened <- s
		return s
	}))
	c := dial(t, l)
	write(t, c, stunMessage(20))
	s := <-opened
	if r := s.reason(t); r != Closed {
		t.Errorf("closed because of %v", r)
	}
	awaitClosed(t, c)
}

func TestConnNoSession(t *testing.T) {
	l := listen(t, quick(), handlerFunc(func(*Conn) Session { return nil }))
	awaitClosed(t, dial(t, l))
}

// TestSendOrder has several goroutines send at once: frames stay whole, and those of
// one goroutine in order.
func TestSendOrder(t *testing.T) {
	const senders, each = 4, 200
	h := make(handler, 1)
	c := dial(t, listen(t, quick(), h))
	s := h.next(t)
	s.conn.Authenticated()
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				pair := [][]byte{channelData(byte(i), byte(n), 0, 0), channelData(byte(i), byte(n), 1, 0)}
				if !s.conn.Send(pair...) {
					t.Error("dropped")
				}
			}
		})
	}
	wg.Wait()
	s.conn.finish(Closed) // lets the queue drain, and nothing more in
	var next [senders]int
	for range senders * each {
		var pair [16]byte
		if _, err := io.ReadFull(c, pair[:]); err != nil {
			t.Fatal(err)
		}
		i, n := pair[4], int(pair[5])
		if n != next[i] || pair[12] != i || int(pair[13]) != n || pair[14] != 1 {
			t.Fatalf("sender %d: %x, want number %d twice", i, pair, next[i])
		}
		next[i]++
	}
}

// TestSendSEC36SlowReader floods a client that never reads.
func TestSendSEC36SlowReader(t *testing.T) {
	limits := quick()
	limits.WriteStall = 100 * time.Millisecond
	h := make(handler, 1)
	l := listen(t, limits, h)
	c := dial(t, l)
	s := h.next(t)
	s.conn.Authenticated()
	// The kernel is to hold less than the queue, or it would take all of the flood.
	if err := errors.Join(c.SetReadBuffer(4<<10), s.conn.transport.(*net.TCPConn).SetWriteBuffer(4<<10)); err != nil {
		t.Fatal(err)
	}
	frame := padded(channelData(make([]byte, 1200)...))
	for s.conn.Send(frame) {
	}
	for range 10_000 {
		s.conn.Send(frame)
		s.conn.mu.Lock()
		queued, queue := s.conn.queued+s.conn.writing, s.conn.queue
		s.conn.mu.Unlock()
		if queued > limits.QueueBytes || queue != nil && len(queue.b) > limits.QueueBytes+responseReserve {
			t.Fatalf("%d bytes queued, limit %d", queued, limits.QueueBytes)
		}
	}
	if r := s.reason(t); r != SlowReader {
		t.Errorf("closed because of %v, want %v", r, SlowReader)
	}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the kernel goes on with a client that does not read: %v", err)
	}
	if l.Counters().Dropped == 0 {
		t.Error("no drop counted")
	}
}

// unread returns a client that takes nothing, over a transport that holds nothing.
func unread(t *testing.T) *client {
	t.Helper()
	p := newPipes()
	limits := quick()
	limits.WriteStall = 0
	l, err := NewListener(p, limits)
	if err != nil {
		t.Fatal(err)
	}
	h := make(handler, 1)
	serve(t, l, h)
	c := p.connect("192.0.2.1:1")
	t.Cleanup(func() { _ = c.Close() })
	return h.next(t)
}

// TestSendResponseBehindFlood keeps room for responses in a queue full of data.
func TestSendResponseBehindFlood(t *testing.T) {
	s := unread(t)
	s.conn.Authenticated()
	frame := padded(channelData(make([]byte, 1200)...))
	for s.conn.Send(frame) {
	}
	response := stunMessage(100)
	response[0] = 0x01
	if s.conn.Send(frame) || s.conn.Send(response, frame) || !s.conn.Send(response) {
		t.Error("a response was treated like data")
	}
}

// TestSendUnauthenticated holds a client without an allocation to a short queue.
func TestSendUnauthenticated(t *testing.T) {
	s := unread(t)
	response := stunMessage(1000)
	response[0] = 0x01
	sent := 0
	for s.conn.Send(response) {
		sent += len(response)
	}
	if sent > 2*responseReserve || sent < responseReserve {
		t.Errorf("%d bytes queued for a stranger", sent)
	}
	s.conn.Authenticated()
	if !s.conn.Send(channelData(make([]byte, 60_000)...)) {
		t.Error("the queue of an authenticated client is as short")
	}
}

func TestConnZeroAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	c := dial(t, listen(t, quick(), handlerFunc(func(c *Conn) Session {
		c.Authenticated()
		return echo{c}
	})))
	request := slices.Concat(stunMessage(20), padded(channelData(make([]byte, 1201)...)))
	length := len(request) - 3 // what comes back has no padding
	answer := make([]byte, length)
	if n := testing.AllocsPerRun(2000, func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per two frames in and out", n)
	}
}

func TestFramerZeroAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	f := NewFramer()
	data := slices.Concat(stunMessage(20), padded(channelData(make([]byte, 40_000)...)), channelData())
	if n := testing.AllocsPerRun(100, func() {
		if feed(f, data) != 3 {
			t.Fatal("frames missing")
		}
	}); n != 0 {
		t.Errorf("%v allocations per three frames", n)
	}
}
