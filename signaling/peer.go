package signaling

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// The pace at which one socket's messages are acted on, within its limits. A burst that a newcomer may
// send at once would fill its share of the others' outboxes before their writers had a turn. So whoever
// sends more than a few in a row waits between messages, longer while half its share of some outbox waits,
// but never for longer than longestHold.
const (
	messageSpacing = 2 * time.Millisecond
	unspaced       = 16 // messages in a row, a quarter of the default share
)

// controlRate and controlBurst bound a client's pings and pongs. Nobody needs more than one a second.
const (
	controlRate  = 5
	controlBurst = 20
)

// Renewal of ICE servers: at renewAt of their life, but no later than renewMargin before its end, and no
// sooner than renewSoonest. After a failure, every renewRetry. The margin is over 10 s because a relay lends
// no longer than the credentials last, and Firefox gives an allocation up that lasts no longer than that.
const (
	renewAt      = 0.8
	renewMargin  = 15 * time.Second
	renewSoonest = time.Second
	renewRetry   = 10 * time.Second
)

// peer is the server's end of one WebSocket.
type peer struct {
	hub     *Hub
	id      ClientID
	network netip.Prefix
	conn    *websocket.Conn // set once, before any goroutine starts

	request *http.Request // of the handshake; used by the reader, until the join

	place  *seat                // written by the reader before joined is closed
	seat   atomic.Pointer[seat] // the same, from the publication of its join, or its resumption, until it parts
	joined chan struct{}        // closed by the seat

	outbox *outbox
	sent   atomic.Uint64 // the number, in the seat's journal, of the frame after the last one written

	once sync.Once
	ctx  context.Context // done when the socket has to end
	stop context.CancelFunc
	last ending // written before ctx is done

	// Used by the reader.
	messages, bytes, pace, control, reports *rate.Limiter
}

// ending is how a socket ends.
type ending struct {
	refusal *Refusal // nil where the client ended it
	code    websocket.StatusCode
	lost    bool // nobody wanted it to end
}

func newPeer(h *Hub, r *http.Request) *peer {
	l := h.limits
	ctx, stop := context.WithCancel(context.Background())
	return &peer{
		hub:      h,
		id:       ClientID(rand.Text()),
		network:  network(clientAddr(h.config.ClientAddr, r)),
		request:  r,
		joined:   make(chan struct{}),
		outbox:   newOutbox(l),
		ctx:      ctx,
		stop:     stop,
		messages: rate.NewLimiter(rate.Limit(l.MessageRate), l.MessageBurst),
		bytes:    rate.NewLimiter(rate.Limit(l.ByteRate), l.ByteBurst),
		pace:     rate.NewLimiter(rate.Limit(l.MessageRate), unspaced),
		control:  rate.NewLimiter(controlRate, controlBurst),
		reports:  rate.NewLimiter(reportRate, reportBurst),
	}
}

func clientAddr(configured func(*http.Request) netip.Addr, r *http.Request) netip.Addr {
	if configured != nil {
		return configured(r)
	}
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr()
}

// serve runs the socket until it has ended and all its goroutines have.
func (p *peer) serve(conn *websocket.Conn) {
	p.conn = conn
	var readers, writer sync.WaitGroup
	readers.Go(p.read)
	writer.Go(p.write)
	p.attend(&readers)
	p.leave() // first of all, so that nobody waits for a slow farewell
	writer.Wait()
	_ = p.conn.Close(p.last.code, p.last.why()) // which cuts at once where the code is 1006
	readers.Wait()
	p.leave() // again, for a join that was under way
}

// attend keeps time until the socket ends.
func (p *peer) attend(pings *sync.WaitGroup) {
	deadline := time.NewTimer(p.hub.limits.JoinTimeout)
	defer deadline.Stop()
	ping := time.NewTicker(p.hub.limits.PingInterval)
	defer ping.Stop()
	var renew <-chan time.Time
	joined := p.joined
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-deadline.C:
			p.refuse(refuse(ReasonJoinTimeout, "No room was joined in time."))
		case <-ping.C:
			pings.Go(p.ping)
		case <-joined:
			joined = nil
			deadline.Stop()
			renew = p.pushICEServers()
		case <-renew:
			renew = p.pushICEServers()
		}
	}
}

func (p *peer) ping() {
	ctx, cancel := p.allow(p.hub.limits.PongTimeout, refuse(ReasonPongTimeout, "A ping was not answered in time."))
	defer cancel()
	sent := p.sent.Load()
	err := p.conn.Ping(ctx)
	s := p.seat.Load()
	switch {
	case err != nil && p.hasEnded():
		_ = p.conn.CloseNow() // or a write that is stuck would keep it open
	case err == nil && s != nil:
		s.arrived(p, sent)
	}
}

// allow returns a context for an operation on the connection. When the time is over, the refusal ends
// the socket before the context ends; the other way round, the reader would see a connection lost. A
// network that is gone looks like this too, so the member may resume.
func (p *peer) allow(d time.Duration, late *Refusal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(p.hub.ctx)
	timer := time.AfterFunc(d, func() {
		p.abandon(late)
		cancel()
	})
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// pushICEServers sends ICE servers and returns when to do it again, if ever.
func (p *peer) pushICEServers() <-chan time.Time {
	if p.hub.config.ICEServers == nil {
		return nil
	}
	s := p.place
	servers, err := p.hub.config.ICEServers(s.member)
	if err != nil {
		p.hub.log.Error("cannot make ICE servers", "client", string(p.id), "error", err)
		p.refuse(refuse(ReasonICEUnavailable, "There are no ICE servers at the moment; they will follow."))
		return time.After(renewRetry)
	}
	s.send(iceServersFrame(servers))
	if servers.TTL <= 0 {
		return nil
	}
	return time.After(renewAfter(servers.TTL))
}

func renewAfter(ttl time.Duration) time.Duration {
	return max(renewSoonest, min(time.Duration(renewAt*float64(ttl)), ttl-renewMargin))
}

// leave parts the peer from its seat, if it has one, and ends the membership unless it may be resumed.
func (p *peer) leave() {
	s := p.seat.Swap(nil)
	if s == nil {
		return
	}
	if !s.lose(p) {
		s.leave(p.last.why())
	} else if p.last.lost {
		p.hub.log.Info("member away", "tenant", s.member.Tenant, "room", s.member.Room, "client", string(s.id), "why", p.last.why())
	}
}

func (e ending) why() string {
	switch {
	case e.refusal != nil:
		return string(e.refusal.Reason)
	case e.code == websocket.StatusNormalClosure:
		return "left"
	}
	return "gone"
}

// end makes the socket end; the first call says how. It never blocks.
func (p *peer) end(e ending) {
	p.once.Do(func() {
		p.last = e
		p.stop()
	})
}

func (p *peer) hasEnded() bool { return p.ctx.Err() != nil }

// refuse tells the client what was refused, and ends the socket where the reason says so. It never
// blocks.
func (p *peer) refuse(r *Refusal) {
	if p.hasEnded() {
		return
	}
	p.hub.counters.refusals[r.Reason].Add(1)
	code := r.Reason.CloseCode()
	if code == 0 && !p.isMember() {
		code = CloseBadRequest
	}
	if code != 0 {
		p.end(ending{refusal: r, code: websocket.StatusCode(code)})
		return
	}
	p.send(outgoing{frame: errorFrame(r)})
}

// abandon ends a socket that does not carry any more, for a reason that closes.
func (p *peer) abandon(r *Refusal) {
	if p.hasEnded() {
		return
	}
	p.hub.counters.refusals[r.Reason].Add(1)
	p.end(ending{refusal: r, code: websocket.StatusCode(r.Reason.CloseCode()), lost: true})
}

func (p *peer) isMember() bool {
	select {
	case <-p.joined:
		return true
	default:
		return false
	}
}

// welcome makes the peer a member. Its seat calls it once.
func (p *peer) welcome(roomUsers []byte) {
	p.send(outgoing{frame: roomUsers})
	close(p.joined)
}

// resumed makes the peer a member that there was before, and sends what it missed: the newest frames of
// the seat's journal. Its seat calls it once.
func (p *peer) resumed(s *seat, missed [][]byte, frame []byte) {
	p.sent.Store(s.sent.next() - uint64(len(missed)))
	p.id, p.place = s.id, s
	p.seat.Store(s)
	p.send(outgoing{frame: frame, missed: missed})
	close(p.joined)
}

// send queues a frame, or ends a peer whose outbox is full. It reports false where the frame is refused
// because its sender's share is. It never blocks.
func (p *peer) send(o outgoing) bool {
	if p.hasEnded() {
		return true
	}
	switch p.outbox.put(o, time.Now()) {
	case shareIsFull:
		return false
	case outboxIsFull:
		p.refuse(refuse(ReasonSlowReader, "The messages of the room were not read fast enough."))
	}
	return true
}

// write sends the outbox, until the socket ends; then it says why.
func (p *peer) write() {
	for !p.hasEnded() {
		select {
		case <-p.ctx.Done():
		case <-p.outbox.ready:
			p.empty()
		}
	}
	if p.last.refusal != nil {
		_ = p.writeFrame(errorFrame(p.last.refusal))
	}
}

// empty writes what waits now.
func (p *peer) empty() {
	for !p.hasEnded() {
		o, ok := p.outbox.take()
		if !ok {
			return
		}
		if p.writeOut(o) != nil {
			p.end(ending{code: websocket.StatusProtocolError, lost: true})
		}
	}
}

func (p *peer) writeOut(o outgoing) error {
	if err := p.writeFrame(o.frame); err != nil {
		return err
	}
	if o.counts {
		p.sent.Add(1)
	}
	for _, frame := range o.missed {
		if err := p.writeFrame(frame); err != nil {
			return err
		}
		p.sent.Add(1)
	}
	return nil
}

func (p *peer) writeFrame(frame []byte) error {
	ctx, cancel := p.allow(p.hub.limits.WriteTimeout, refuse(ReasonSlowReader, "A message was not read in time."))
	defer cancel()
	return p.conn.Write(ctx, websocket.MessageText, frame)
}

// takeControl counts a ping or pong, and reports whether it is to be answered.
func (p *peer) takeControl() bool {
	if p.control.Allow() {
		return true
	}
	p.refuse(refuse(ReasonRateLimited, "The client sends too many pings or pongs."))
	return false
}

// read acts on the client's messages until the socket ends.
func (p *peer) read() {
	defer func() {
		// The socket of whoever finds a fault in us is lost, but not the calls of all others.
		if fault := recover(); fault != nil {
			p.hub.log.Error("panic while serving a client", "panic", fault, "stack", string(debug.Stack()))
			p.refuse(refuse(ReasonInternal, "The server failed to handle a message."))
		}
	}()
	for !p.hasEnded() {
		kind, data, err := p.conn.Read(p.hub.ctx)
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			p.refuse(refuse(ReasonMessageTooBig, "The message is too long."))
		case err != nil:
			// Where the client has closed, or is gone, the code is not sent any more.
			p.end(ending{code: websocket.StatusProtocolError, lost: !isGoodbye(websocket.CloseStatus(err))})
		default:
			p.take(kind, data)
		}
	}
}

// isGoodbye reports whether a client that closed its socket so meant to leave: it said so, gave no code,
// or its page went away. Browsers send 1005 as no code, and nothing where the network fails.
func isGoodbye(code websocket.StatusCode) bool {
	return code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway || code == websocket.StatusNoStatusRcvd
}

// take acts on one message, or refuses it.
func (p *peer) take(kind websocket.MessageType, data []byte) {
	now := time.Now()
	if !p.messages.AllowN(now, 1) || !p.bytes.AllowN(now, len(data)) {
		p.hub.addresses.punish(p.network)
		p.refuse(refuse(ReasonRateLimited, "The client sends too much."))
		return
	}
	if kind != websocket.MessageText {
		p.refuse(refuse(ReasonBinary, "Messages must be text."))
		return
	}
	p.handle(data)
	if !p.pace.AllowN(now, 1) {
		p.pause()
	}
}

// handle acts on one message of the right size and kind. Who is a member is counted it, in whichever way
// it ends.
func (p *peer) handle(data []byte) {
	if s := p.seat.Load(); s != nil {
		s.acting.Lock()
		defer s.acting.Unlock()
		if !s.take(p) {
			return
		}
	}
	m, refusal := parseMessage(data, p.hub.limits)
	if refusal == nil {
		p.hub.counters.messages[m.Type].Add(1)
		refusal = p.act(m)
	}
	if refusal != nil {
		p.refuse(refusal)
	}
}

// pause waits for the room's writers to catch up with the client.
func (p *peer) pause() {
	end := time.Now().Add(longestHold)
	for {
		select {
		case <-p.ctx.Done():
			return
		case now := <-time.After(messageSpacing):
			if s := p.seat.Load(); s == nil || !s.room.holds(s.id, now) || now.After(end) {
				return
			}
		}
	}
}
