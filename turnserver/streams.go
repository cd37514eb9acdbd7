package turnserver

import (
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/stream"
	"hairpin/turnserver/udp"

	"github.com/pion/stun/v3"
)

// streamHandler gives every connection a session.
type streamHandler struct{ *Server }

// Open implements [stream.Handler].
func (h streamHandler) Open(c *stream.Conn) stream.Session {
	return &streamSession{server: h.Server, conn: c, from: control.From{
		FiveTuple: relay.FiveTuple{Client: c.Remote(), Server: c.Local(), Transport: relay.TCP},
		Path:      relay.Path{Frames: c},
	}}
}

// streamSession is one client on a stream. Its connection's goroutine owns it.
type streamSession struct {
	server *Server
	conn   *stream.Conn
	from   control.From
}

// Frame implements [stream.Session].
func (s *streamSession) Frame(buf []byte, start, end int) {
	table := s.server.table
	worker := table.Borrow()
	defer table.Return(worker)
	p := udp.Packet{Buf: buf, Start: start, End: end, Remote: s.from.Client}
	now := table.Now()
	if worker.FromClient(now, &s.from.FiveTuple, &p) != relay.Punt {
		worker.Flush()
		return
	}
	answer := s.server.handle(&s.from, p.Data(), nil)
	if len(answer.Reply) > 0 && s.server.budgets.stream(now, s.from.Client.Addr(), p.Data(), &answer) {
		s.conn.Send(answer.Reply) // before settle, which may shorten the queue
	}
	if answer.Reason == control.None {
		s.settle(answer.Method)
	}
}

// settle gives the connection the time of one with an allocation, or takes it back.
func (s *streamSession) settle(done stun.Method) {
	switch {
	case done == stun.MethodAllocate:
		s.conn.Authenticated()
	case done == stun.MethodRefresh && s.server.table.Lookup(s.from.FiveTuple) == nil:
		s.conn.Unauthenticated()
	}
}

// Closed implements [stream.Session]: without its connection the five-tuple is gone,
// and the allocation with it.
func (s *streamSession) Closed(error) {
	s.server.control.ClientGone(time.Now(), &s.from)
}
