package turnserver

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"
)

// Refusal is a request of an authenticated user that was refused.
type Refusal struct {
	At time.Time
	relay.FiveTuple
	User, Request string // Request is the STUN method
	Reason        control.Reason
}

// observe logs what becomes of allocations. It is called by one goroutine at a time.
func (s *Server) observe(e control.Event) {
	if e.Kind == control.Ended {
		s.allocationEnded(e)
	}
	if s.config.Observe != nil {
		s.config.Observe(e)
	}
	level := slog.LevelInfo
	switch {
	case e.User == s.config.SelfUser:
		level = slog.LevelDebug
	case !s.lines.allow(e.At, s.log):
		return
	}
	if e.Kind == control.Allocated {
		s.log.Log(context.Background(), level, "allocated", "user", e.User, "client", e.Client.String(),
			"transport", e.Transport.String(), "relayed", e.Relayed.String())
		return
	}
	s.log.Log(context.Background(), level, "allocation ended", "why", string(e.End), "user", e.User, "client", e.Client.String(),
		"transport", e.Transport.String(), "relayed", e.Relayed.String(), "age", e.Age.Round(time.Millisecond),
		"to_peer_packets", e.ToPeer.Packets, "to_peer_bytes", e.ToPeer.Bytes,
		"to_client_packets", e.ToClient.Packets, "to_client_bytes", e.ToClient.Bytes)
}

// allocationEnded tells whoever waits for allocations to end, and closes the connection
// of a client whose allocation lapsed or was revoked: it has nothing to wait for.
func (s *Server) allocationEnded(e control.Event) {
	select {
	case s.ended <- struct{}{}:
	default:
	}
	if conn, ok := e.Path.Frames.(*stream.Conn); ok && (e.End == control.EndExpired || e.End == control.EndRevoked) {
		conn.Close()
	}
}

// linesPerSecond bounds the log lines about allocations: a client may make and end
// thousands of them a second.
const linesPerSecond = 100

// lineBudget lets linesPerSecond lines through. The zero value is ready. It is used by
// one goroutine at a time.
type lineBudget struct {
	second        int64 // since 1970
	lines, beyond int
}

// allow reports whether to write a line. With the first line of a later second it says
// how many were left out.
func (b *lineBudget) allow(now time.Time, log *slog.Logger) bool {
	if second := now.Unix(); second != b.second {
		if b.beyond > 0 {
			log.Warn("lines about allocations were left out", "lines", b.beyond)
		}
		*b = lineBudget{second: second}
	}
	if b.lines++; b.lines <= linesPerSecond {
		return true
	}
	b.beyond++
	return false
}

// sampler lets one log line a second through for each reason, so that a client cannot
// fill the disk. The zero value is ready.
type sampler struct {
	last [256]atomic.Int64 // by reason: the second of the last line, since 1970
}

func (s *sampler) allow(now time.Time, why control.Reason) bool {
	second, last := now.Unix(), &s.last[why]
	before := last.Load()
	return before != second && last.CompareAndSwap(before, second)
}

// Stats are the server's figures of the moment.
type Stats struct {
	Control control.Stats
	Relay   relay.Totals
	Streams []stream.Counters // of each listener

	// Withheld is how many answers to requests that prove nothing were not sent, by
	// every reason there is.
	Withheld map[Withheld]uint64

	Offload offload.Stats
}

// Stats returns the figures. It may be called at any time.
func (s *Server) Stats() Stats {
	stats := Stats{
		Control: s.control.Stats(), Relay: s.table.Totals(),
		Withheld: s.budgets.stats(), Offload: s.offload.Stats(),
	}
	stats.Control.Bindings += s.bindings.Load() + s.offload.Bindings()
	stats.Withheld[BindingSource] += s.offload.BindingsWithheld() // it does not tell whose budget was spent
	for _, l := range s.streams {
		stats.Streams = append(stats.Streams, l.Counters())
	}
	return stats
}
