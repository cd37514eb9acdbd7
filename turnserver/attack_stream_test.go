package turnserver

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"

	"github.com/pion/stun/v3"
)

// Frames whose length cannot be end their connection, whatever came before. The nine
// bytes of the first made another server's read loop spin for ever.
func TestAttackImpossibleLengths(t *testing.T) { // SEC-21, SEC-30
	r, before := startAttacked(t, nil)
	for _, frame := range []string{
		"4000fffc0000000000", "4000ffff", "4000fffc", "7fffffff", "4000ffe4",
		"0001ffec2112a442", "0001fff0", "0001fffc2112a442", "0001fffd", "0003ea602112a442",
		"8000", "ff", "0101000200000000",
	} {
		t.Run(frame, func(t *testing.T) {
			bad, err := hex.DecodeString(frame)
			if err != nil {
				t.Fatal(err)
			}
			for _, first := range []bool{true, false} {
				q := r.raw("tcp4", r.tcp())
				if !first {
					q.must(stun.MethodBinding)
				}
				q.send(bad)
				if _, err := io.ReadAll(q.conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection stays open; first frame: %v", first)
				}
				q.conn.Close()
			}
			q := r.raw("udp4", r.udp())
			q.send(bad)
			if replies := q.fence(); replies != 0 {
				t.Errorf("%d replies over UDP", replies)
			}
		})
	}
	waitFor(t, "the connections to be gone", func() bool { return r.openStreams() == 0 })
	r.checkUnharmed(before)
}

// slowClients are ways to do next to nothing, and what each is closed for.
var slowClients = []struct {
	name string
	act  func(*raw)
	why  stream.Reason
}{
	{"says nothing", func(*raw) {}, stream.FirstFrame},
	{"half a header", func(q *raw) { q.send(bindingRequest[:10]) }, stream.FirstFrame},
	{"a byte now and then", func(q *raw) { q.trickle(1) }, stream.FirstFrame},
	{"asks and asks, and never logs in", func(q *raw) { q.trickle(len(bindingRequest)) }, stream.Unauthenticated},
	{"half of the second frame", func(q *raw) { q.must(stun.MethodBinding); q.send(bindingRequest[:19]) }, stream.Stall},
	{"half a ChannelData header", func(q *raw) { q.own(); q.send([]byte{0x40, 0, 0}) }, stream.Stall},
	{"half the data", func(q *raw) { q.own(); q.send([]byte{0x40, 0, 0x10, 0, 1, 2, 3}) }, stream.Stall},
	{"an allocation and silence", (*raw).own, stream.Idle},
}

// bindingRequest is 20 bytes long.
var bindingRequest = stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw

// Clients that do next to nothing are closed in time, each for its own reason, and
// what they held is free again.
func TestAttackSlowLoris(t *testing.T) { // SEC-28
	r, before := startAttacked(t, func(c *Config) {
		c.Streams.FirstFrame, c.Streams.Stall = time.Second, time.Second
		c.Streams.Unauthenticated, c.Streams.Idle = 2*time.Second, 3*time.Second
	})
	want := r.Stats().Streams[0].Closed
	clients := make([]*raw, len(slowClients))
	for i, c := range slowClients { // all at once, so that the test is not slow too
		clients[i] = r.raw("tcp4", r.tcp())
		c.act(clients[i])
		want[c.why]++
	}
	for i, q := range clients {
		if _, err := io.ReadAll(q.conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that does this stays: %s", slowClients[i].name)
		}
	}
	waitFor(t, "the connections to be counted", func() bool { return r.openStreams() == 0 })
	if got := r.Stats().Streams[0].Closed; got != want {
		t.Errorf("closed by reason: %v, want %v", got, want)
	}
	waitFor(t, "allocations to go with their connections", func() bool { return r.table.Len() == 0 })
	r.checkUnharmed(before)
}

// own logs in and allocates.
func (q *raw) own() {
	q.login("loris")
	q.allocateRelayed()
}

// trickle sends Binding requests, so many bytes at a time, until the server ends the
// connection.
func (q *raw) trickle(piece int) {
	pace := time.NewTicker(100 * time.Millisecond)
	go func() {
		defer pace.Stop()
		for at := 0; ; at = (at + piece) % len(bindingRequest) {
			if _, err := q.conn.Write(bindingRequest[at : at+piece]); err != nil {
				return
			}
			<-pace.C
		}
	}()
}

// A client that never reads while its peer sends and sends loses data, then its
// connection. The server's memory stays bounded, and other clients notice nothing.
func TestAttackNeverReads(t *testing.T) { // SEC-36
	r, before := startAttacked(t, func(c *Config) {
		c.Streams.WriteStall = 200 * time.Millisecond
		c.Streams.QueueBytes = stream.MinQueueBytes
	})
	other, echoed := r.raw("udp4", r.udp()), echo(t, "udp4", "127.0.0.2:0").(*net.UDPAddr)
	other.login("bob")
	other.allocateRelayed()
	other.bindChannel(0x4000, echoed)

	flood, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	lazy := r.raw("tcp4", r.tcp())
	_ = lazy.conn.(*net.TCPConn).SetReadBuffer(4 << 10) // the rest piles up at the server
	lazy.login("lazy")
	relayed := lazy.allocateRelayed()
	lazy.bindChannel(0x4000, flood.LocalAddr().(*net.UDPAddr))

	payload, ping := make([]byte, 1200), []byte{0x40, 0, 0, 4, 'p', 'i', 'n', 'g'}
	var highest uint64
	closed := func() uint64 { return r.Stats().Streams[0].Closed[stream.SlowReader] }
	for given := time.Now().Add(patience); closed() == 0; {
		if time.Now().After(given) {
			t.Fatal("the connection stays open")
		}
		for range 1000 {
			_, _ = flood.WriteTo(payload, relayed) // what is lost on the way is lost
		}
		_ = other.conn.SetDeadline(time.Now().Add(patience))
		other.send(ping)
		if got := other.receive(); !bytes.Equal(got, ping) {
			t.Fatalf("the other client got %x", got)
		}
		highest = max(highest, measure().heap)
	}
	if lost := r.Stats().Relay.Dropped[relay.DropClientSlow]; lost == 0 {
		t.Error("the flood was too small to fill the queue")
	}
	const batches = 3 << 20 // what relay sockets that are being read may have borrowed
	if bound := before.heap + stream.MinQueueBytes + batches + heapSlack; highest > bound {
		t.Errorf("%d kB of heap in use during the flood, want at most %d kB", highest>>10, bound>>10)
	}
	other.must(stun.MethodRefresh, lifetimeZero)
	waitFor(t, "the allocations to end", func() bool { return r.table.Len() == 0 })
	before.goroutines++ // the echoing peer's
	r.checkUnharmed(before)
}

// One address has no more connections than its share, and takes nothing from others.
func TestAttackManyConnections(t *testing.T) { // SEC-29
	r, before := startAttacked(t, nil)
	share := r.config.Streams.PerAddress
	if share != 64 {
		t.Fatalf("one address may have %d connections", share)
	}
	const more = 36
	var conns []net.Conn
	for range share + more {
		conn, err := net.Dial("tcp4", r.tcp())
		if err == nil {
			conns = append(conns, conn)
		} else if !errors.Is(err, syscall.ECONNRESET) { // refused so soon that Dial sees it
			t.Fatal(err)
		}
	}
	counters := func() stream.Counters { return r.Stats().Streams[0] }
	waitFor(t, "all to be accepted or refused", func() bool { return counters().RefusedAddress == more && counters().Open == share })
	r.raw("udp4", r.udp()).must(stun.MethodBinding)
	r.rawFrom("127.0.0.2", "tcp4", r.tcp()).must(stun.MethodBinding)

	for _, conn := range conns {
		_ = conn.Close()
	}
	waitFor(t, "the connections to be gone", func() bool { return counters().Open <= 1 })
	r.raw("tcp4", r.tcp()).must(stun.MethodBinding)
	before.goroutines += 2 // the clients' that are still there
	r.checkUnharmed(before)
}
