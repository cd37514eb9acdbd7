package turnserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// allocationRound is how many allocations are made before they are given back:
	// fewer than there are descriptors, at this end and at the server's.
	allocationRound = 4096

	// allocationWindow is how many requests are under way at once.
	allocationWindow = 64
)

// allocator makes allocations with requests that were built beforehand, so that the
// server's work is what takes the time.
type allocator struct {
	*process
	clients  []*raw
	allocate [][]byte // one request for each client
}

func newAllocator(t testing.TB) *allocator {
	t.Helper()
	a := &allocator{process: startProcess(t), allocate: make([][]byte, allocationRound)}
	for range allocationRound {
		q := a.rawFrom("127.0.0.2", "udp4", a.address) // not to take ports from the relay's address
		q.login("bench")
		a.clients = append(a.clients, q)
	}
	return a
}

// round makes so many allocations and gives them back. It returns what making them
// took, on the clock and of the server's processor time.
func (a *allocator) round(n int) (elapsed, cpu time.Duration) {
	a.t.Helper()
	for i, q := range a.clients[:n] {
		_ = q.conn.SetDeadline(time.Now().Add(patience))
		a.allocate[i] = q.build(stun.MethodAllocate, requestUDP).Raw
	}
	cpu, begun := a.processorTime(), time.Now()
	for i := range n + allocationWindow {
		if i < n {
			a.clients[i].send(a.allocate[i])
		}
		if i >= allocationWindow {
			a.clients[i-allocationWindow].receiveSuccess()
		}
	}
	elapsed, cpu = time.Since(begun), a.processorTime()-cpu
	for _, q := range a.clients[:n] {
		q.must(stun.MethodRefresh, lifetimeZero)
	}
	return elapsed, cpu
}

// receiveSuccess wants the reply to an Allocate request to be a success response.
func (q *raw) receiveSuccess() {
	q.r.t.Helper()
	var buf [512]byte
	n, err := q.conn.Read(buf[:])
	if err != nil || n < 2 || buf[0] != 0x01 || buf[1] != 0x03 {
		q.r.t.Fatalf("an Allocate request was answered by %x: %v", buf[:n], err)
	}
}

// processorTime returns the processor time that the server's threads have used.
func (p *process) processorTime() (sum time.Duration) {
	p.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		skipOrFail(p.t, "this kernel does not tell the processor time of threads")
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			p.t.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// BenchmarkAllocations makes allocations through a real socket. Its own metrics are
// allocations a second, the client's work included, and the processor time that one
// takes of the server.
func BenchmarkAllocations(b *testing.B) {
	a := newAllocator(b)
	var elapsed, cpu time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= min(left, allocationRound) {
		e, c := a.round(min(left, allocationRound))
		elapsed, cpu = elapsed+e, cpu+c
	}
	b.ReportMetric(float64(elapsed.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "allocations/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "server-µs/op")
}

// maxAllocationCost is the processor time of the server that an allocation may take:
// one core makes ten thousand a second.
const maxAllocationCost = 100 * time.Microsecond

func TestAllocationCost(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes time of its own")
	}
	a := newAllocator(t)
	a.round(allocationRound / 4) // what happens once happens now
	elapsed, cpu := a.round(allocationRound)
	rate := float64(allocationRound) / elapsed.Seconds()
	t.Logf("%d allocations in %v, which is %.0f a second; %v of the server's processor time each",
		allocationRound, elapsed.Round(time.Millisecond), rate, cpu/allocationRound)
	if cost := cpu / allocationRound; cost > maxAllocationCost {
		t.Errorf("an allocation takes %v of processor time, want at most %v", cost, maxAllocationCost)
	}
}
