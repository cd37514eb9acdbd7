package turnserver

import (
	"net/netip"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/nat"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

const (
	// listenBatch is how many packets are read from a listening socket at once.
	listenBatch = 64

	// replySize is the room for a reply, in bytes: the largest is an Allocate success
	// over IPv6 with everything it can have, which is under 200.
	replySize = 512
)

// packetLoop serves one listening UDP socket. One goroutine owns it.
type packetLoop struct {
	server  *Server
	conn    *udp.Conn
	local   netip.AddrPort
	batch   *udp.Batch
	worker  *relay.Worker
	writer  *udp.Writer
	from    control.From
	replies []udp.Packet // of this batch; their memory is the loop's
	memory  []byte

	// answer is the one being sent apart from the batch, and long the memory for it.
	// Both are unused where discovery is not offered.
	answer [1]udp.Packet
	long   []byte
}

func newPacketLoop(s *Server, conn *udp.Conn) *packetLoop {
	l := &packetLoop{
		server:  s,
		conn:    conn,
		local:   conn.LocalAddr(),
		batch:   udp.NewBatch(listenBatch),
		worker:  s.table.Borrow(),
		writer:  udp.NewWriter(),
		from:    control.From{Path: relay.Path{Packets: conn}},
		replies: make([]udp.Packet, 0, listenBatch),
		memory:  make([]byte, listenBatch*replySize),
	}
	if s.discovery != nil {
		l.long = make([]byte, nat.MaxResponseLen)
	}
	return l
}

// run serves until the socket is closed.
func (l *packetLoop) run() error { return closedOr(l.conn.Serve(l)) }

// Borrow implements [udp.Borrower]. A socket that all clients share keeps its batch.
func (l *packetLoop) Borrow() *udp.Batch { return l.batch }

// Return implements [udp.Borrower].
func (l *packetLoop) Return(*udp.Batch) {}

// Handle implements [udp.Borrower].
func (l *packetLoop) Handle(batch *udp.Batch) {
	now := l.server.table.Now()
	for i := range batch.Packets {
		l.packet(now, &batch.Packets[i])
	}
	l.flush()
}

// packet relays a packet, or answers it.
func (l *packetLoop) packet(now relay.Instant, p *udp.Packet) {
	l.from.Client, l.from.Server = p.Remote, l.local
	if p.Local.IsValid() {
		l.from.Server = netip.AddrPortFrom(p.Local, l.local.Port())
	}
	if l.worker.FromClient(now, &l.from.FiveTuple, p) != relay.Punt {
		return
	}
	if l.discover(now, p) {
		return
	}
	i := len(l.replies)
	room := l.memory[i*replySize : (i+1)*replySize : (i+1)*replySize]
	if n := wire.AnswerBinding(room, p.Data(), p.Remote); n > 0 {
		if l.server.budgets.binding(now, p.Remote.Addr()) {
			l.server.bindings.Add(1)
			l.reply(p, room[:n])
		}
		return
	}
	l.ask(now, p, room)
}

// ask answers a packet by the control plane, within the budgets.
func (l *packetLoop) ask(now relay.Instant, p *udp.Packet, room []byte) {
	budgets, source := l.server.budgets, p.Remote.Addr()
	if budgets.worthless(now, source, p.Data()) {
		return
	}
	answer := l.server.handle(&l.from, p.Data(), room[:0])
	if len(answer.Reply) > 0 && budgets.packet(now, source, p.Data(), &answer) {
		l.reply(p, answer.Reply)
	}
}

func (l *packetLoop) reply(to *udp.Packet, data []byte) {
	l.replies = append(l.replies, udp.Packet{Buf: data, End: len(data), Remote: to.Remote, Local: to.Local})
}

// flush sends the replies and what was relayed. A reply that the kernel does not take
// is the client's to ask for again.
func (l *packetLoop) flush() {
	if len(l.replies) > 0 {
		_, _ = l.conn.WriteBatch(l.writer, l.replies)
		l.replies = l.replies[:0]
	}
	l.worker.Flush()
}

// handle asks the control plane, and logs what an authenticated client was refused.
func (s *Server) handle(from *control.From, msg, dst []byte) control.Answer {
	now := time.Now()
	answer := s.control.Handle(now, from, msg, dst)
	if answer.Reason != control.None && answer.User != "" {
		s.refused(now, from, &answer)
	}
	return answer
}

// refused tells of an answer that refuses something to a user, once a second for each
// reason in the log.
func (s *Server) refused(now time.Time, from *control.From, answer *control.Answer) {
	if s.config.Refused != nil {
		s.config.Refused(Refusal{now, from.FiveTuple, answer.User, answer.Method.String(), answer.Reason})
	}
	if s.refusals.allow(now, answer.Reason) {
		s.log.Info("refused", "reason", answer.Reason.String(), "request", answer.Method.String(),
			"user", answer.User, "client", from.Client.String(), "transport", from.Transport.String())
	}
}
