package udp

import (
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// maxIdle is what an idle relay socket may cost, in bytes of resident memory: Conn,
// descriptor, and the parked goroutine of Serve. The rest of an allocation must fit
// beside it into 8 kB.
const maxIdle = 4096

// TestIdleMemory serves many sockets, first never used and then all used once, and
// measures what they keep resident. (A goroutine whose handler needed more than the
// 2 kB of stack it began with keeps 4 kB, which the runtime decides.)
func TestIdleMemory(t *testing.T) {
	const n = 10_000
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	skipUnless(t, limit.Cur > n+100, fmt.Sprintf("may only open %d descriptors", limit.Cur))

	client := backends[0].open(t, "127.0.0.1:0", Options{})
	m := &pool{packets: make(chan struct{}, n)}
	m.batches.New = func() any { return NewBatch(4) }
	m.Return(m.Borrow())
	before := resident(t)

	conns := make([]*Conn, n)
	var serving sync.WaitGroup
	for i := range conns {
		c, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		serving.Go(func() { _ = c.Serve(m) })
	}
	defer serving.Wait()
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	idle := (resident(t) - before) / n

	w := NewWriter()
	for _, c := range conns {
		ps := []Packet{packet(c.LocalAddr(), []byte("x"))}
		if sent, err := client.WriteBatch(w, ps); sent != 1 {
			t.Fatal(err)
		}
		await(t, "a packet", m.packets)
	}
	used := (resident(t) - before) / n
	t.Logf("resident bytes per socket: %d never used, %d used once", idle, used)
	if idle > maxIdle || used > maxIdle {
		t.Fatalf("more than %d", maxIdle)
	}
}

// pool is a Borrower that many sockets share.
type pool struct {
	batches sync.Pool
	packets chan struct{}
}

func (m *pool) Borrow() *Batch  { return m.batches.Get().(*Batch) }
func (m *pool) Return(b *Batch) { m.batches.Put(b) }
func (m *pool) Handle(b *Batch) { m.packets <- struct{}{} }

// resident returns the process's resident bytes without what the collector could free.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	debug.FreeOSMemory() // stacks shrink in one collection and are freed in the next
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
