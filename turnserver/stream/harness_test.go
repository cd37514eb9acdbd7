package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// patience bounds a wait for what must happen; reaching it fails the test.
const patience = 20 * time.Second

// client is the server's side of a connection, as a Handler and Session see it.
type client struct {
	conn   *Conn
	frames chan []byte
	closed chan error
}

func (s *client) Frame(buf []byte, start, end int) {
	frame := bytes.Clone(buf[start:end])
	overwrite(buf[start-Headroom : end+Tailroom])
	s.frames <- frame
}

func (s *client) Closed(err error) {
	close(s.frames)
	s.closed <- err
}

// reason waits for the end of the connection, and returns why it ended.
func (s *client) reason(t *testing.T) Reason {
	t.Helper()
	select {
	case err := <-s.closed:
		return ReasonOf(err)
	case <-time.After(patience):
		t.Fatal("the connection did not end")
		return 0
	}
}

// next waits for a frame and compares it.
func (s *client) next(t *testing.T, want []byte) {
	t.Helper()
	select {
	case frame, ok := <-s.frames:
		if !ok || !bytes.Equal(frame, want) {
			t.Fatalf("frame %x (%v), want %x", frame, ok, want)
		}
	case <-time.After(patience):
		t.Fatalf("no frame; want %x", want)
	}
}

// handler is a Handler that shows every connection to the test.
type handler chan *client

func (h handler) Open(c *Conn) Session {
	s := &client{conn: c, frames: make(chan []byte, 1024), closed: make(chan error, 1)}
	h <- s
	return s
}

// next waits for a connection.
func (h handler) next(t *testing.T) *client {
	t.Helper()
	select {
	case s := <-h:
		return s
	case <-time.After(patience):
		t.Fatal("no connection")
		return nil
	}
}

// echo is a Handler and Session that sends every frame back.
type echo struct{ conn *Conn }

func (e echo) Open(c *Conn) Session             { return echo{c} }
func (e echo) Frame(buf []byte, start, end int) { e.conn.Send(buf[start:end]) }
func (e echo) Closed(error)                     {}

// listen returns a served listener on a loopback port. It ends with the test.
func listen(t *testing.T, l Limits, h Handler) *Listener {
	t.Helper()
	listener, err := Listen("tcp", netip.MustParseAddrPort("127.0.0.1:0"), l)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listener, h)
	return listener
}

// serve runs the listener until the end of the test.
func serve(t *testing.T, l *Listener, h Handler) {
	served := make(chan error, 1)
	go func() { served <- l.Serve(h) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// dial connects to the listener until the end of the test.
func dial(t *testing.T, l *Listener) *net.TCPConn {
	t.Helper()
	c, err := tryDial(t, l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryDial is dial where the listener may refuse, which the client can notice while
// connecting or when reading.
func tryDial(t *testing.T, l *Listener) (*net.TCPConn, error) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), nil
}

func write(t *testing.T, w io.Writer, parts ...[]byte) {
	t.Helper()
	if _, err := w.Write(slices.Concat(parts...)); err != nil {
		t.Fatal(err)
	}
}

// pipes is a net.Listener of in-process connections, for fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	errs   []error // returned by Accept first
}

func newPipes(errs ...error) *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), errs: errs}
}

func (p *pipes) Accept() (net.Conn, error) {
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		return nil, err
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// addressed is a net.Conn from a made-up address.
type addressed struct {
	net.Conn
	remote netip.AddrPort
}

func (a addressed) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.remote) }

// connect returns the client's end of a new connection from remote.
func (p *pipes) connect(remote string) net.Conn {
	near, far := net.Pipe()
	p.conns <- addressed{far, netip.MustParseAddrPort(remote)}
	return near
}

// awaitClosed reads until the server has closed the connection.
func awaitClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
}
