package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v3"
)

const (
	firstRetransmission = 250 * time.Millisecond // half of RFC 8489 §6.2.1: people wait for it
	maxChallenges       = 4                      // rounds of 401 and 438 that one request may take
	maxArrivals         = 256                    // packets relayed to us that wait to be looked at
)

var (
	errSilent     = errors.New("no answer")
	errClosed     = errors.New("the server closed the connection")
	errUnsigned   = errors.New("the answer is not signed with the password")
	errNonce      = errors.New("every nonce is called stale, those just given too")
	errNoRealm    = errors.New("the challenge has no REALM or no NONCE")
	errOtherStory = errors.New("the answer is to another method")
)

// A refusal is an error response.
type refusal struct {
	code    int
	phrase  string // as the server has it: anything
	message *stun.Message
}

func (r *refusal) Error() string {
	if r.phrase == "" {
		return fmt.Sprint(r.code)
	}
	return fmt.Sprintf("%d %q", r.code, r.phrase)
}

// codeOf returns the STUN error code of an error, or 0.
func codeOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.code
	}
	return 0
}

// transactionID tells the exchanges of a client apart.
type transactionID = [stun.TransactionIDSize]byte

// arrival is a packet that was relayed to a client, or that came to a peer.
type arrival struct {
	at      time.Time
	channel uint16         // of ChannelData, otherwise 0
	peer    netip.AddrPort // of a Data indication, or where it came from
	payload []byte
}

// client is one five-tuple with the server, and a user on it once it has a login. Its
// methods may be called from several goroutines.
type client struct {
	path     path
	wait     time.Duration // for an answer
	arrivals chan arrival  // what nobody takes in time is dropped
	strays   atomic.Int64  // packets that answer nothing
	ended    chan struct{} // closed when nothing more comes in
	err      error         // why; read it after ended is closed

	mu      sync.Mutex // guards what follows
	pending map[transactionID]chan<- *stun.Message
	login   *Login // nil: requests are not signed
	realm   string
	nonce   string
	key     stun.MessageIntegrity
	noise   []byte // the beginning of the first stray
}

// newClient takes over a path, and receives from it until close.
func newClient(p path, wait time.Duration) *client {
	c := &client{
		path:     p,
		wait:     wait,
		arrivals: make(chan arrival, maxArrivals),
		ended:    make(chan struct{}),
		pending:  make(map[transactionID]chan<- *stun.Message),
	}
	go c.receive()
	return c
}

// close ends the client and waits until it has ended. It does not give back an
// allocation.
func (c *client) close() {
	c.path.close()
	<-c.ended
}

func (c *client) receive() {
	defer close(c.ended)
	buf := make([]byte, maxMessage)
	for {
		n, err := c.path.receive(buf)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errClosed
		}
		if err != nil {
			c.err = err
			return
		}
		if !c.take(buf[:n], time.Now()) {
			c.stray(buf[:n])
		}
	}
}

// take looks at one message, and reports whether it was of use. A flood costs little:
// what answers no exchange is not decoded.
func (c *client) take(b []byte, now time.Time) bool {
	if isOurChannel(b) {
		return c.takeChannelData(b, now)
	}
	if len(b) < headerLen || b[0]>>6 != 0 || binary.BigEndian.Uint32(b[4:]) != magicCookie {
		return false
	}
	answers := c.answersTo(transactionID(b[8:headerLen]))
	indication := binary.BigEndian.Uint16(b)&0x0110 == 0x0010
	if answers == nil && !indication {
		return false
	}
	m := &stun.Message{Raw: append([]byte(nil), b...)}
	if err := m.Decode(); err != nil {
		return false
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return false
	}
	if indication {
		return c.takeIndication(m, now)
	}
	if m.Type.Class != stun.ClassSuccessResponse && m.Type.Class != stun.ClassErrorResponse {
		return false
	}
	select {
	case answers <- m:
	default: // the answer to a retransmission
	}
	return true
}

func (c *client) takeChannelData(b []byte, now time.Time) bool {
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length > len(b)-channelLen {
		return false
	}
	payload := append([]byte(nil), b[channelLen:channelLen+length]...)
	c.deliver(arrival{at: now, channel: binary.BigEndian.Uint16(b), payload: payload})
	return true
}

func (c *client) takeIndication(m *stun.Message, now time.Time) bool {
	peer, ok := addressOf(m, stun.AttrXORPeerAddress)
	payload, err := m.Get(stun.AttrData)
	if m.Type.Method != stun.MethodData || !ok || err != nil {
		return false
	}
	c.deliver(arrival{at: now, peer: peer, payload: payload})
	return true
}

func (c *client) deliver(a arrival) {
	select {
	case c.arrivals <- a:
	default:
		c.strays.Add(1)
	}
}

func (c *client) stray(b []byte) {
	if c.strays.Add(1) > 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noise = append([]byte(nil), b[:min(len(b), maxShown+1)]...)
}

// firstStray returns the beginning of the first packet that was of no use, if there was
// one.
func (c *client) firstStray() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noise, c.strays.Load() > 0
}

func (c *client) answersTo(id transactionID) chan<- *stun.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending[id]
}

// exchange sends a request, again and again where the path may lose it, until it is
// answered. The error is errSilent if it is not in time, and that of ctx or of the
// path if one ends before.
func (c *client) exchange(ctx context.Context, m *stun.Message) (*stun.Message, error) {
	answers := make(chan *stun.Message, 1)
	c.mu.Lock()
	c.pending[m.TransactionID] = answers
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, m.TransactionID)
		c.mu.Unlock()
	}()
	end := time.NewTimer(c.wait)
	defer end.Stop()
	for interval := firstRetransmission; ; interval *= 2 {
		if err := c.path.send(m.Raw); err != nil {
			return nil, c.because(err)
		}
		again := time.NewTimer(interval)
		if c.path.reliable() {
			again.Stop()
		}
		select {
		case a := <-answers:
			again.Stop()
			return a, nil
		case <-again.C:
		case <-end.C:
			again.Stop()
			return nil, errSilent
		case <-c.ended:
			again.Stop()
			return nil, c.err
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		}
	}
}

// because prefers why receiving has ended to why sending failed: a reset connection
// says less than the garbage that came before.
func (c *client) because(err error) error {
	select {
	case <-c.ended:
		return c.err
	default:
		return err
	}
}

// request sends a request as the client's user and returns its success response. It
// meets challenges (RFC 8489 §9.2.5), as often as a server can have reason to ask. An
// error response is a *refusal.
func (c *client) request(ctx context.Context, method stun.Method, with ...stun.Setter) (*stun.Message, error) {
	for range maxChallenges {
		m, key, err := c.build(method, with)
		if err != nil {
			return nil, err
		}
		answer, err := c.exchange(ctx, m)
		if err != nil {
			return nil, err
		}
		if answer.Type.Method != method {
			return nil, errOtherStory
		}
		refused := refusalOf(answer)
		if refused == nil {
			return answer, checkSignature(key, answer)
		}
		challenged := refused.code == int(stun.CodeStaleNonce) || refused.code == int(stun.CodeUnauthorized) && key == nil
		if c.anonymous() || !challenged {
			return nil, refused
		}
		if err := c.accept(refused.message); err != nil {
			return nil, err
		}
	}
	return nil, errNonce
}

func (c *client) anonymous() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login == nil
}

// build makes a request, signed with the key it returns unless that is nil.
func (c *client) build(method stun.Method, with []stun.Setter) (*stun.Message, stun.MessageIntegrity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, with...)
	if c.key != nil {
		setters = append(setters,
			attribute{stun.AttrUsername, []byte(c.login.Username)},
			attribute{stun.AttrRealm, []byte(c.realm)},
			attribute{stun.AttrNonce, []byte(c.nonce)},
			c.key)
	}
	m, err := stun.Build(append(setters, stun.Fingerprint)...)
	return m, c.key, err
}

// accept takes over the realm and nonce of a challenge.
func (c *client) accept(challenge *stun.Message) error {
	realm, errRealm := challenge.Get(stun.AttrRealm)
	nonce, errNonce := challenge.Get(stun.AttrNonce)
	if errNonce != nil || errRealm != nil || len(realm) > maxText || len(nonce) > maxText {
		return errNoRealm
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.realm, c.nonce = string(realm), string(nonce)
	c.key = stun.NewLongTermIntegrity(c.login.Username, c.realm, c.login.Password)
	return nil
}

// become makes a login the client's; its next request meets a new challenge.
func (c *client) become(l *Login) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login, c.key = l, nil
}

// checkSignature tells whether a success response proves that the server knows the
// password (RFC 8489 §9.2.5): without that, anyone could have sent it.
func checkSignature(key stun.MessageIntegrity, answer *stun.Message) error {
	if key != nil && key.Check(answer) != nil {
		return errUnsigned
	}
	return nil
}

// refusalOf returns the refusal that an error response is, or nil.
func refusalOf(m *stun.Message) *refusal {
	if m.Type.Class != stun.ClassErrorResponse {
		return nil
	}
	var e stun.ErrorCodeAttribute
	if err := e.GetFrom(m); err != nil {
		return &refusal{phrase: "without an error code", message: m}
	}
	return &refusal{code: int(e.Code), phrase: string(e.Reason[:min(len(e.Reason), maxText)]), message: m}
}

// sendTo sends a payload to a peer in a Send indication.
func (c *client) sendTo(peer netip.AddrPort, payload []byte) error {
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		xorPeer(peer), attribute{stun.AttrData, payload})
	if err != nil {
		return err
	}
	return c.path.send(m.Raw)
}

// sendOn sends a payload over a channel.
func (c *client) sendOn(channel uint16, payload []byte) error {
	b := binary.BigEndian.AppendUint16(nil, channel)
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	return c.path.send(append(b, payload...))
}
