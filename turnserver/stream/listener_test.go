package stream

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestListenRefusesNonsense(t *testing.T) {
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	for name, test := range map[string]struct {
		network string
		change  func(*Limits)
		says    string
	}{
		"datagrams":       {"udp", func(*Limits) {}, "use tcp"},
		"negative cap":    {"tcp", func(l *Limits) { l.PerAddress = -1 }, "0 lifts"},
		"negative time":   {"tcp", func(l *Limits) { l.Stall = -1 }, "0 lifts"},
		"queue too short": {"tcp", func(l *Limits) { l.QueueBytes = 100 }, "at least"},
	} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			test.change(&limits)
			l, err := Listen(test.network, loopback, limits)
			if err == nil {
				_ = l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want one that says %q", err, test.says)
			}
		})
	}
	l := listen(t, DefaultLimits(), echo{})
	if _, err := Listen("tcp", l.Addr(), DefaultLimits()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a bound address again: %v", err)
	}
}

func TestListenerSEC29PerAddress(t *testing.T) {
	limits := quick()
	limits.PerAddress = 3
	h := make(handler, 8)
	l := listen(t, limits, h)
	var first *client
	for range limits.PerAddress {
		dial(t, l)
		first = h.next(t)
	}
	for range 5 {
		c, err := tryDial(t, l)
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("one too many: %v", err)
		}
	}
	if n := l.Counters(); n.Open != 3 || n.Accepted != 3 || n.RefusedAddress != 5 || n.RefusedTotal != 0 {
		t.Errorf("counters %+v", n)
	}
	first.conn.Close()
	first.reason(t)
	// The place is free a moment after the session was told, so some may be refused.
	for deadline := time.Now().Add(patience); !accepted(t, l, h); {
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection stays taken")
		}
	}
}

// accepted dials and reports whether the connection was accepted.
func accepted(t *testing.T, l *Listener, h handler) bool {
	t.Helper()
	c, err := tryDial(t, l)
	if err != nil {
		return false
	}
	refused := make(chan struct{})
	go func() {
		_, _ = c.Read(make([]byte, 1)) // the end of the connection is all that comes
		close(refused)
	}()
	select {
	case <-h:
		return true
	case <-refused:
		return false
	}
}

// TestListenerCaps counts clients by IPv4 address and IPv6 network.
func TestListenerCaps(t *testing.T) {
	type step struct {
		remote  string
		refused Counters
	}
	address, total := Counters{RefusedAddress: 1}, Counters{RefusedTotal: 1}
	for name, test := range map[string]struct {
		perAddress, total int
		steps             []step
	}{
		"IPv4": {1, 0, []step{
			{"192.0.2.1:1", Counters{}},
			{"192.0.2.1:2", address},
			{"192.0.2.2:1", Counters{}},
			{"[::ffff:192.0.2.1]:3", address},
		}},
		"IPv6 /64": {1, 0, []step{
			{"[2001:db8:0:1::1]:1", Counters{}},
			{"[2001:db8:0:1:ffff::2]:1", address},
			{"[2001:db8:0:2::1]:1", Counters{}},
			{"[fe80::1%eth0]:1", Counters{}},
			{"[fe80::2%eth1]:1", address},
		}},
		"total": {0, 2, []step{
			{"192.0.2.1:1", Counters{}},
			{"192.0.2.1:2", Counters{}},
			{"192.0.2.3:1", total},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := quick()
			limits.PerAddress, limits.Total = test.perAddress, test.total
			p := newPipes()
			l, err := NewListener(p, limits)
			if err != nil {
				t.Fatal(err)
			}
			h := make(handler, 8)
			serve(t, l, h)
			for _, step := range test.steps {
				before := l.Counters()
				c := p.connect(step.remote)
				_ = c.SetDeadline(time.Now().Add(patience)) // a pipe can
				if step.refused == (Counters{}) {
					h.next(t)
				} else {
					awaitClosed(t, c)
				}
				after := l.Counters()
				if after.RefusedAddress-before.RefusedAddress != step.refused.RefusedAddress ||
					after.RefusedTotal-before.RefusedTotal != step.refused.RefusedTotal {
					t.Errorf("%s: %+v", step.remote, after)
				}
			}
		})
	}
}

// TestListenerSEC29NoDescriptors has accepting fail for a while.
func TestListenerSEC29NoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
		p := newPipes()
		for range 12 {
			p.errs = append(p.errs, failure)
		}
		l, err := NewListener(p, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		h := make(handler, 1)
		serve(t, l, h)
		start := time.Now()
		c := p.connect("192.0.2.1:1")
		defer func() { _ = c.Close() }()
		<-h
		// 5, 10, 20 … 640 ms, then every second.
		if d, want := time.Since(start), 1275*time.Millisecond+4*time.Second; d != want {
			t.Errorf("12 failures took %v, want %v", d, want)
		}
		if n := l.Counters(); n.AcceptErrors != 12 || n.Accepted != 1 {
			t.Errorf("counters %+v", n)
		}
	})
}

// TestListenerCloseWhileFailing closes a listener that waits to try again.
func TestListenerCloseWhileFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes(make([]error, 9)...)
		for i := range p.errs {
			p.errs[i] = syscall.ENFILE
		}
		l, err := NewListener(p, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		serve(t, l, echo{})
		synctest.Wait()
	})
}

func TestListenerInnerClosed(t *testing.T) {
	l, err := Listen("tcp", netip.MustParseAddrPort("127.0.0.1:0"), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.inner.Close()
	if err := l.Serve(echo{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestListenerClose ends clients in every state, and leaves no goroutine.
func TestListenerClose(t *testing.T) {
	h := make(handler, 8)
	l, err := Listen("tcp", netip.MustParseAddrPort("127.0.0.1:0"), quick())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve(h) }()

	dial(t, l)
	sessions := []*client{h.next(t)} // idle
	write(t, dial(t, l), stunMessage(20)[:7])
	sessions = append(sessions, h.next(t)) // within a frame
	dial(t, l)
	flooded := h.next(t)
	flooded.conn.Authenticated()
	for flooded.conn.Send(channelData(make([]byte, 60_000)...)) {
	}
	sessions = append(sessions, flooded)

	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	for i, s := range sessions {
		select {
		case err := <-s.closed:
			if err != Closed {
				t.Errorf("session %d: %v", i, err)
			}
		default:
			t.Errorf("session %d was not told before Close returned", i)
		}
	}
	if n := l.Counters(); n.Open != 0 || n.Closed[Closed] != 3 {
		t.Errorf("counters %+v", n)
	}
	if left := goroutines(); left != "" {
		t.Errorf("goroutines left:\n%s", left)
	}
}

// goroutines returns the stacks that are within a connection.
func goroutines() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	var ours []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "stream.(*Conn)") {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}

// TestIdleMemory holds an idle connection to the memory of the buffer it reads into,
// a small stack, and the bookkeeping: about 7 kB, and 1 kB of the client's side.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not the program's")
	}
	const conns, limit = 500, 10 << 10
	limits := quick()
	limits.PerAddress = 0
	h := make(handler, conns)
	l := listen(t, limits, handlerFunc(func(c *Conn) Session {
		h <- nil // the test reads what is echoed
		return echo{c}
	}))
	before := inUse()
	for range conns {
		c := dial(t, l)
		write(t, c, stunMessage(20))
		h.next(t)
		if _, err := c.Read(make([]byte, 20)); err != nil {
			t.Fatal(err)
		}
	}
	each := (inUse() - before) / conns
	t.Logf("%d bytes per idle connection, the client's side included", each)
	if each > limit {
		t.Errorf("%d bytes per idle connection, limit %d", each, limit)
	}
}

// inUse returns the bytes of live objects and of stacks.
func inUse() int {
	runtime.GC()
	runtime.GC() // the first only moves pooled memory to where the second frees it
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for r := range Reason(reasons) {
		if code := r.String(); code == "" || seen[code] {
			t.Errorf("reason %d: code %q", r, code)
		}
		seen[r.String()] = true
		if got := ReasonOf(fmt.Errorf("context: %w", r)); got != r {
			t.Errorf("ReasonOf(%v) = %v", r, got)
		}
	}
	if ReasonOf(errors.New("another")) != Broken || reasons.String() != "unknown" {
		t.Error("an unknown error has a known reason")
	}
}
