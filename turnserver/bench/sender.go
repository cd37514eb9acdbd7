package bench

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

// sender sends a load. It belongs to one goroutine.
type sender struct {
	load  Load
	run   uint32
	flows []flow
	clock func() time.Duration

	writer  *udp.Writer
	packets []udp.Packet // maxAtOnce of them, their payload after room for a header
	turn    int          // index of the flow whose turn it is
	burst   int          // how many packets it has sent in its turn

	sent    atomic.Uint64 // what the kernel took, or a connection's queue
	refused uint64        // and what not
	refusal error         // why not, the first time
}

func newSender(l Load, run uint32, flows []flow, clock func() time.Duration) *sender {
	s := &sender{load: l, run: run, flows: flows, clock: clock, writer: udp.NewWriter()}
	s.packets = make([]udp.Packet, maxAtOnce)
	for i := range s.packets {
		size := wire.ChannelDataHeaderLen + l.Payload
		s.packets[i] = udp.Packet{Buf: make([]byte, size), End: size}
	}
	return s
}

// send sends the load, and returns when it began.
func (s *sender) send(ctx context.Context) (began time.Duration) {
	began = s.clock()
	pace := newPacer(s.load)
	for ctx.Err() == nil {
		now := s.clock() - began
		if now >= s.load.Duration {
			break
		}
		n := pace.take(now)
		taken := false
		for left := n; left > 0; {
			some, took := s.sendSome(left)
			left -= some
			taken = taken || took
		}
		switch {
		case n == 0:
			sleep(pace.wait(now))
		case !taken:
			sleep(refusedPause)
		case s.load.Rate == 0:
			runtime.Gosched() // or the receivers might wait for the processor
		}
	}
	return began
}

// refusedPause is how long a sender waits when nothing it offers is taken.
const refusedPause = 100 * time.Microsecond

// sendSome sends up to n packets whose turn it is and that leave by one socket, and
// returns how many, and whether any was taken.
func (s *sender) sendSome(n int) (count int, taken bool) {
	from := s.flows[s.turn].from
	now := s.clock()
	for count < n && s.flows[s.turn].from == from {
		s.fill(&s.packets[count], now)
		count++
	}
	sent, err := from.WriteBatch(s.writer, s.packets[:count])
	s.sent.Add(uint64(sent))
	s.refused += uint64(count - sent)
	if s.refusal == nil {
		s.refusal = err
	}
	return count, sent > 0
}

// fill makes p the next packet, and gives the turn to whose it is after that.
func (s *sender) fill(p *udp.Packet, now time.Duration) {
	f := &s.flows[s.turn]
	p.Start, p.Remote = wire.ChannelDataHeaderLen, f.to
	stamp := stamp{run: s.run, flow: uint32(s.turn), sequence: f.sequence, sent: now}
	switch {
	case f.binding:
		p.Start, p.End = 0, wire.HeaderLen
		putBinding(p.Buf, stamp)
	case f.channel != 0:
		stamp.put(p.Data())
		p.Start = 0
		wire.PutChannelDataHeader(p.Buf, f.channel, s.load.Payload)
	default:
		stamp.put(p.Data())
	}
	f.sequence++
	if s.burst++; s.burst >= s.load.Burst {
		s.burst = 0
		s.turn = (s.turn + 1) % len(s.flows)
	}
}
