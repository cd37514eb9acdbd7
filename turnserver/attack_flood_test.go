package turnserver

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/udp"

	"github.com/pion/stun/v3"
)

// flooder sends requests without a credential as fast as they are answered.
type flooder struct {
	t        *testing.T
	conn     *udp.Conn
	writer   *udp.Writer
	packets  []udp.Packet
	replies  *udp.Batch
	sent     uint64
	answered int
	longest  int // reply, in bytes
}

// floodBatch is how many requests are under way at once: as many as the kernel's
// buffers surely hold.
const floodBatch = 192

// newFlooder repeats the given requests in turn, each time as a new transaction.
func newFlooder(t *testing.T, server netip.AddrPort, requests ...[]byte) *flooder {
	t.Helper()
	conn, err := udp.Listen(netip.AddrPortFrom(server.Addr(), 0), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &flooder{t: t, conn: conn, writer: udp.NewWriter(), replies: udp.NewBatch(floodBatch)}
	for i := range floodBatch {
		request := append([]byte(nil), requests[i%len(requests)]...)
		f.packets = append(f.packets, udp.Packet{Buf: request, End: len(request), Remote: server})
	}
	return f
}

// flood sends so many requests and waits for every answer.
func (f *flooder) flood(requests int) {
	f.t.Helper()
	watchdog := time.AfterFunc(patience+time.Duration(requests)*100*time.Microsecond, func() { f.conn.Close() })
	defer watchdog.Stop()
	for range (requests + floodBatch - 1) / floodBatch {
		for i := range f.packets {
			f.sent++
			binary.BigEndian.PutUint64(f.packets[i].Buf[12:], f.sent) // part of the transaction ID
		}
		if sent, err := f.conn.WriteBatch(f.writer, f.packets); sent != floodBatch {
			f.t.Fatalf("sent %d of %d: %v", sent, floodBatch, err)
		}
		f.receive(floodBatch)
	}
}

// receive waits for so many answers.
func (f *flooder) receive(n int) {
	f.t.Helper()
	for n > 0 {
		if err := f.conn.ReadBatch(f.replies); err != nil {
			f.t.Fatalf("%d of %d requests were answered: %v", f.answered, f.sent, err)
		}
		n -= len(f.replies.Packets)
		f.answered += len(f.replies.Packets)
		for i := range f.replies.Packets {
			f.longest = max(f.longest, len(f.replies.Packets[i].Data()))
		}
	}
}

// A million requests of one source that prove nothing leave no state, and no line in
// the log.
func TestAttackUnauthenticatedFlood(t *testing.T) { // SEC-22, SEC-23, SEC-24
	log := &syncBuffer{}
	r, before := startAttacked(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	logged := log.String()
	q := r.raw("udp4", r.udp())
	bare := q.build(stun.MethodAllocate, requestUDP)
	q.login("alice") // asks for a nonce, which is no other client's
	foreign := q.build(stun.MethodAllocate, requestUDP)
	q.password = rand.Text()
	wrong := q.build(stun.MethodAllocate, requestUDP)
	bind, _ := stun.Build(stun.TransactionID, stun.BindingRequest) // cannot fail

	f := newFlooder(t, r.Addrs().UDP[0], bind.Raw, bare.Raw, wrong.Raw, foreign.Raw)
	begun := time.Now()
	f.flood(effort(1_000_000))
	t.Logf("%d requests answered in %v, none by more than %d bytes", f.answered, time.Since(begun).Round(time.Millisecond), f.longest)
	if f.longest > 72 {
		t.Errorf("SEC-24: a reply has %d bytes", f.longest)
	}
	if n := r.table.Len(); n != 0 {
		t.Errorf("%d allocations were made", n)
	}
	if added := log.String()[len(logged):]; added != "" {
		t.Errorf("the log has %d new bytes, such as %.200q", len(added), added)
	}
	r.checkUnharmed(before)
}
