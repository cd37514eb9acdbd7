package bench

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/udp"
)

// pipe returns a connection that is served, and its other end.
func pipe(t *testing.T) (*connection, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	c := newConnection(near)
	var serving sync.WaitGroup
	serving.Go(func() { _ = c.serve(&receiver{fleet: &Fleet{epoch: time.Now()}, conn: c}) })
	t.Cleanup(func() { _ = c.Close(); _ = far.Close(); serving.Wait() })
	return c, far
}

func TestConnectionPads(t *testing.T) {
	c, far := pipe(t)
	frame := []byte{0x40, 0, 0, 1, 'x'}
	if sent, err := c.WriteBatch(nil, []udp.Packet{{Buf: frame, End: len(frame)}}); sent != 1 || err != nil {
		t.Fatalf("%d sent: %v", sent, err)
	}
	got := make([]byte, 16)
	n, err := far.Read(got)
	if want := string(frame) + "\x00\x00\x00"; err != nil || string(got[:n]) != want {
		t.Errorf("%q was sent, want %q: %v", got[:n], want, err)
	}
}

// A server that reads nothing holds up nobody, and takes a bounded amount of memory.
func TestConnectionRefusesWhatASlowServerDoesNotRead(t *testing.T) {
	c, _ := pipe(t)
	p := []udp.Packet{{Buf: make([]byte, 1000), End: 1000}}
	sent := 0
	for {
		n, err := c.WriteBatch(nil, p)
		sent += n
		if errors.Is(err, errBacklog) {
			break
		}
		if err != nil || sent > 3*queueBytes/1000 {
			t.Fatalf("%d sent: %v", sent, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.WriteBatch(nil, p); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d sent by a closed connection: %v", n, err)
	}
}

func TestConnectionEndsWithGarbage(t *testing.T) {
	_, far := pipe(t)
	// The first byte is enough to end it, perhaps before the last is written.
	if _, err := far.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	if err := far.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open: %v", err)
	}
}
