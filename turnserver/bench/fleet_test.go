package bench

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
)

func TestRunDeliversByEveryMode(t *testing.T) {
	server, config := start(t)
	config.Clients, config.Peers = 4, 2
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	if fleet.AllocationRate() <= 0 {
		t.Errorf("%v allocations/s", fleet.AllocationRate())
	}
	for _, mode := range []Mode{ToPeer, ToClient, Both, RelayToRelay} {
		load := Load{Mode: mode, Rate: 2000, Burst: 2, Duration: 100 * time.Millisecond}
		r, err := fleet.Run(t.Context(), load)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if r.Sent == 0 || r.Delivered != r.Sent || r.Stray+r.Duplicate+r.Refused != 0 || r.Refusal != nil {
			t.Errorf("%s: %+v", mode, r)
		}
		if r.Delay.Count() != r.Delivered || r.Delay.Quantile(1) <= 0 || r.Elapsed <= 0 {
			t.Errorf("%s: %d delays up to %v in %v", mode, r.Delay.Count(), r.Delay.Quantile(1), r.Elapsed)
		}
	}
	if n := server.Stats().Control.Allocations[relay.UDP]; n != 4 {
		t.Errorf("%d allocations, want 4", n)
	}
	if err := fleet.Close(); err != nil {
		t.Error(err)
	}
	if n := server.Stats().Control.Allocations[relay.UDP]; n != 0 {
		t.Errorf("%d allocations are left", n)
	}
}

func TestRunFloods(t *testing.T) {
	_, config := start(t)
	config.Clients = 3
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	r, err := fleet.Run(t.Context(), Load{Mode: Both, Duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Delivered == 0 || r.Delivered > r.Sent || r.Limit() == LimitLoad {
		t.Errorf("%d of %d delivered, limit %s", r.Delivered, r.Sent, r.Limit())
	}
}

func TestRunRefuses(t *testing.T) {
	_, config := start(t)
	config.Clients = 3
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	if _, err := fleet.Run(t.Context(), Load{Mode: RelayToRelay}); err == nil {
		t.Error("three clients are in pairs")
	}
	if _, err := fleet.Run(t.Context(), Load{Process: 1 << 30, Duration: time.Millisecond}); err == nil {
		t.Error("a process that does not exist was measured")
	}
}

func TestEstablishLeavesNothingOpen(t *testing.T) {
	_, config := start(t)
	config.Clients = 4
	noMore := errors.New("no more sockets")
	var conns []*udp.Conn
	config.ListenClient = func(o udp.Options) (*udp.Conn, error) {
		if len(conns) == 3 {
			return nil, noMore
		}
		conn, err := udp.Listen(netip.AddrPortFrom(loopback, 0), o)
		conns = append(conns, conn)
		return conn, err
	}
	if _, err := Establish(t.Context(), config); !errors.Is(err, noMore) {
		t.Fatal(err)
	}
	for _, conn := range conns {
		if err := conn.ReadBatch(udp.NewBatch(1)); err == nil {
			t.Error("a socket is open")
		}
	}
}

func TestSendingAndReceivingAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	_, config := start(t)
	config.Clients = 2
	fleet, err := Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	load, err := Load{Mode: Both}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	flows := fleet.flows(load.Mode)
	s := newSender(load, 1, flows, fleet.now)
	if n := testing.AllocsPerRun(100, func() { s.sendSome(maxAtOnce) }); n != 0 {
		t.Errorf("sending: %v allocations", n)
	}
	fleet.tally.Store(newTally(1, flows))
	r := &fleet.clients[0].receiver
	batch := r.Borrow()
	defer r.Return(batch)
	batch.Packets = append(batch.Packets, s.packets[0]) // of the first flow, as if back from the server
	if n := testing.AllocsPerRun(100, func() { r.Handle(batch) }); n != 0 {
		t.Errorf("receiving: %v allocations", n)
	}
}

// Whatever arrives, only a payload of the run is counted, and only the answer that is
// awaited is kept.
func FuzzTake(f *testing.F) {
	f.Add([]byte{0x40, 0, 0, 4, 1, 2, 3, 4})
	f.Add([]byte{0x40, 0, 0xff, 0xff})
	f.Add(append([]byte{0x40, 0, 0, 24, mark, 0, 0, 1}, make([]byte, 20)...))
	f.Add([]byte{0x01, 0x03, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{})
	awaited := transactionID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	f.Fuzz(func(t *testing.T, p []byte) {
		const run = mark<<24 | 1
		c := newClient(nil, account{})
		c.transactions.begin(awaited)
		tally := newTally(run, []flow{{receiver: &c.receiver, framed: true}})
		c.take(tally, p, 0)
		const begin = "\x9b\x00\x00\x01\x00\x00\x00\x00" // of a payload of the run's only flow
		if tally.delivered.Load() > 0 && (len(p) < 4+MinPayload || p[0]>>6 != 1 || string(p[4:12]) != begin) {
			t.Errorf("%x is a payload", p)
		}
		select {
		case answer := <-c.transactions.answers:
			if string(answer) != string(p) || transactionID(p[8:20]) != awaited {
				t.Errorf("%x was taken for the answer, as %x", p, answer)
			}
		default:
		}
	})
}
