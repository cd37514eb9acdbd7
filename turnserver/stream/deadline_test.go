package stream

import (
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inFakeTime runs test with a connection over a transport whose time is fake.
func inFakeTime(t *testing.T, l Limits, test func(c net.Conn, s *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		listener, err := NewListener(p, l)
		if err != nil {
			t.Fatal(err)
		}
		h := make(handler, 1)
		serve(t, listener, h)
		c := p.connect("192.0.2.1:1")
		defer func() { _ = c.Close() }()
		test(c, <-h)
	})
}

// trickle sends p's bytes one by one, one every interval, until the server closes or
// p ends.
func trickle(c net.Conn, p []byte, interval time.Duration) {
	for i := range p {
		if _, err := c.Write(p[i : i+1]); err != nil {
			return
		}
		time.Sleep(interval) // fake time
	}
}

// TestDeadlinesSEC28 holds every state a client can linger in to its limit.
func TestDeadlinesSEC28(t *testing.T) {
	authenticate := func(c net.Conn, s *client) {
		_, _ = c.Write(stunMessage(20))
		<-s.frames
		s.conn.Authenticated()
	}
	for _, test := range []struct {
		name   string
		client func(net.Conn, *client)
		after  time.Duration
		reason Reason
	}{
		{"silence", func(net.Conn, *client) {}, 10 * time.Second, FirstFrame},
		{"slow first frame", func(c net.Conn, _ *client) {
			trickle(c, stunMessage(20), 3*time.Second)
		}, 10 * time.Second, FirstFrame},
		{"requests without end", func(c net.Conn, s *client) {
			for {
				if _, err := c.Write(stunMessage(20)); err != nil {
					return
				}
				<-s.frames
				time.Sleep(time.Second / 3) // fake time
			}
		}, 30 * time.Second, Unauthenticated},
		{"slow-loris", func(c net.Conn, s *client) {
			authenticate(c, s)
			trickle(c, stunMessage(20), 5*time.Second)
		}, 10 * time.Second, Stall},
		{"slow-loris behind a frame", func(c net.Conn, s *client) {
			authenticate(c, s)
			time.Sleep(9 * time.Second) // fake time
			_, _ = c.Write(append(stunMessage(20), 0))
			trickle(c, stunMessage(20)[1:], 5*time.Second)
		}, 19 * time.Second, Stall},
		{"ChannelData header cut short", func(c net.Conn, s *client) {
			authenticate(c, s)
			_, _ = c.Write([]byte{0x40, 0, 0})
		}, 10 * time.Second, Stall},
		{"padding that never comes", func(c net.Conn, s *client) {
			authenticate(c, s)
			_, _ = c.Write(channelData(1))
		}, 70 * time.Minute, Idle},
		{"authenticated and idle", authenticate, 70 * time.Minute, Idle},
		{"allocation ended", func(c net.Conn, s *client) {
			authenticate(c, s)
			time.Sleep(9 * time.Minute) // fake time
			s.conn.Unauthenticated()
		}, 9*time.Minute + 30*time.Second, Unauthenticated},
		{"allocation ended, while a deadline is close", func(c net.Conn, s *client) {
			authenticate(c, s)
			time.Sleep(time.Second) // fake time
			s.conn.Unauthenticated()
		}, 31 * time.Second, Unauthenticated},
		{"allocation ended twice", func(c net.Conn, s *client) {
			authenticate(c, s)
			for range 2 {
				s.conn.Unauthenticated()
				time.Sleep(10 * time.Second) // fake time
			}
		}, 30 * time.Second, Unauthenticated},
		{"no allocation ended", func(_ net.Conn, s *client) {
			time.Sleep(5 * time.Second) // fake time
			s.conn.Unauthenticated()
		}, 10 * time.Second, FirstFrame},
		{"allocation ended within a frame", func(c net.Conn, s *client) {
			authenticate(c, s)
			_, _ = c.Write(stunMessage(20)[:9])
			time.Sleep(time.Second) // fake time
			s.conn.Unauthenticated()
		}, 10 * time.Second, Stall},
		{"allocation ended within a channel's data", func(c net.Conn, s *client) {
			authenticate(c, s)
			_, _ = c.Write(channelData(1, 2, 3, 4)[:6])
			time.Sleep(time.Second) // fake time
			s.conn.Unauthenticated()
		}, time.Second, Garbage},
		{"another allocation", func(c net.Conn, s *client) {
			authenticate(c, s)
			s.conn.Unauthenticated()
			time.Sleep(29 * time.Second) // fake time
			authenticate(c, s)
		}, 70*time.Minute + 29*time.Second, Idle},
	} {
		t.Run(test.name, func(t *testing.T) {
			inFakeTime(t, DefaultLimits(), func(c net.Conn, s *client) {
				opened := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { test.client(c, s) })
				defer wg.Wait()
				if r := ReasonOf(<-s.closed); r != test.reason {
					t.Errorf("closed because of %v, want %v", r, test.reason)
				}
				if d := time.Since(opened); d != test.after {
					t.Errorf("closed after %v, want %v", d, test.after)
				}
			})
		})
	}
}

// TestDeadlinesLifted has no limit end a connection.
func TestDeadlinesLifted(t *testing.T) {
	limits := Limits{QueueBytes: MinQueueBytes}
	inFakeTime(t, limits, func(c net.Conn, s *client) {
		trickle(c, stunMessage(20), 24*time.Hour)
		if _, ok := <-s.frames; !ok {
			t.Error("no frame")
		}
	})
}

// TestDeadlinesUnauthenticatedWithinFrame ends the allocation as a Refresh does, and
// has a client that goes on.
func TestDeadlinesUnauthenticatedWithinFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.FirstFrame = 0
		p := newPipes()
		l, err := NewListener(p, limits)
		if err != nil {
			t.Fatal(err)
		}
		h := make(handler, 1)
		serve(t, l, handlerFunc(func(c *Conn) Session { return ending{h.Open(c).(*client)} }))
		c := p.connect("192.0.2.1:1")
		defer func() { _ = c.Close() }()
		s := <-h
		s.conn.Authenticated()
		time.Sleep(time.Hour) // fake time
		if _, err := c.Write(stunMessage(20)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { trickle(c, slices.Repeat(stunMessage(20), 100), time.Second/20) })
		defer wg.Wait()
		if r, d := ReasonOf(<-s.closed), time.Since(start); r != Unauthenticated || d != 30*time.Second {
			t.Errorf("closed because of %v after %v", r, d)
		}
	})
}

// ending is a Session whose client holds no allocation from its first frame on.
type ending struct{ *client }

func (s ending) Frame(buf []byte, start, end int) {
	s.conn.Unauthenticated()
	s.client.Frame(buf, start, end)
}

// TestDeadlinesFrameInTime has frames that take long, but not too long, one after the
// other: each has a clock of its own.
func TestDeadlinesFrameInTime(t *testing.T) {
	inFakeTime(t, DefaultLimits(), func(c net.Conn, s *client) {
		s.conn.Authenticated()
		for range 20 {
			trickle(c, channelData(1, 2, 3, 4), 9*time.Second/8)
			if _, ok := <-s.frames; !ok {
				t.Fatal("closed:", <-s.closed)
			}
		}
	})
}

// TestWriteStall ends the connection of a client that takes nothing, on time, and
// not that of one that takes a little.
func TestWriteStall(t *testing.T) {
	inFakeTime(t, quick(), func(c net.Conn, s *client) {
		s.conn.Authenticated()
		if !s.conn.Send(channelData(make([]byte, 1000)...)) {
			t.Fatal("dropped")
		}
		for range 10 {
			time.Sleep(9 * time.Second) // fake time
			if _, err := c.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		last := time.Now()
		if r := ReasonOf(<-s.closed); r != SlowReader {
			t.Errorf("closed because of %v, want %v", r, SlowReader)
		}
		if d := time.Since(last); d > 20*time.Second {
			t.Errorf("closed %v after the client stopped to read", d)
		}
	})
}

// TestDrain gives a client that is done a while for what is queued, and no more.
func TestDrain(t *testing.T) {
	inFakeTime(t, DefaultLimits(), func(c net.Conn, s *client) {
		start := time.Now()
		if !s.conn.Send(stunMessage(2000), stunMessage(2000)) {
			t.Fatal("dropped")
		}
		_, _ = c.Write([]byte{0xFF})
		if r := ReasonOf(<-s.closed); r != Garbage || time.Since(start) != 0 {
			t.Errorf("closed because of %v after %v", r, time.Since(start))
		}
		if _, err := c.Read(make([]byte, 100)); err != nil {
			t.Error("nothing of what was queued came:", err)
		}
		for s.conn.listener.Counters().Open > 0 {
			synctest.Wait()
			time.Sleep(time.Second) // fake time
		}
		if d := time.Since(start); d > drainTime+time.Second {
			t.Errorf("drained for %v", d)
		}
	})
}
