package turnserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/stun/v3"
)

// raw is a client that sends exactly what it is told, over UDP or TCP.
type raw struct {
	r        *running
	conn     net.Conn
	username string
	password string
	realm    string
	nonce    []byte
}

func (r *running) raw(network, addr string) *raw {
	r.t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.rawOn(conn)
}

// rawOn is raw on a connection, which it closes after the test.
func (r *running) rawOn(conn net.Conn) *raw {
	r.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &raw{r: r, conn: conn}
}

func (q *raw) send(p []byte) {
	q.r.t.Helper()
	if _, err := q.conn.Write(p); err != nil {
		q.r.t.Fatal(err)
	}
}

// receive returns the next STUN message or ChannelData frame, without its padding.
func (q *raw) receive() []byte {
	q.r.t.Helper()
	buf := make([]byte, 70_000)
	if q.conn.LocalAddr().Network() == "udp" {
		n, err := q.conn.Read(buf)
		if err != nil {
			q.r.t.Fatal(err)
		}
		return buf[:n]
	}
	if _, err := io.ReadFull(q.conn, buf[:4]); err != nil {
		q.r.t.Fatal(err)
	}
	length := 4 + int(binary.BigEndian.Uint16(buf[2:]))
	if buf[0] < 0x40 {
		length += 16
	}
	if _, err := io.ReadFull(q.conn, buf[4:(length+3)&^3]); err != nil {
		q.r.t.Fatal(err)
	}
	return buf[:length]
}

type setter func(*stun.Message) error

func (s setter) AddTo(m *stun.Message) error { return s(m) }

var requestUDP = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}

func peerAddress(a *net.UDPAddr) stun.Setter {
	return setter(func(m *stun.Message) error {
		return (stun.XORMappedAddress{IP: a.IP, Port: a.Port}).AddToAs(m, stun.AttrXORPeerAddress)
	})
}

// login mints a credential and asks for a nonce.
func (q *raw) login(user string) {
	q.r.t.Helper()
	challenge := q.request(stun.MethodAllocate, requestUDP)
	realm, _ := challenge.Get(stun.AttrRealm)
	q.nonce, _ = challenge.Get(stun.AttrNonce)
	q.realm = string(realm)
	c := q.r.login(user)
	q.username, q.password = c.Username, c.Password
}

// build makes a request, with the credential if there is one.
func (q *raw) build(method stun.Method, setters ...stun.Setter) *stun.Message {
	q.r.t.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, setters...)
	if q.username != "" {
		all = append(all, stun.NewUsername(q.username), stun.NewRealm(q.realm), stun.NewNonce(string(q.nonce)),
			stun.NewLongTermIntegrity(q.username, q.realm, q.password))
	}
	m, err := stun.Build(all...)
	if err != nil {
		q.r.t.Fatal(err)
	}
	return m
}

// request sends a request and returns the reply.
func (q *raw) request(method stun.Method, setters ...stun.Setter) *stun.Message {
	q.r.t.Helper()
	m := q.build(method, setters...)
	q.send(m.Raw)
	reply := new(stun.Message)
	if err := stun.Decode(q.receive(), reply); err != nil || reply.TransactionID != m.TransactionID {
		q.r.t.Fatalf("the reply to %v is %v: %v", m, reply, err)
	}
	return reply
}

// must sends a request that has to succeed.
func (q *raw) must(method stun.Method, setters ...stun.Setter) *stun.Message {
	q.r.t.Helper()
	reply := q.request(method, setters...)
	if reply.Type.Class != stun.ClassSuccessResponse {
		q.r.t.Fatalf("%v was refused: %d", method, errorCode(reply))
	}
	return reply
}

func (q *raw) bindChannel(channel uint16, peer *net.UDPAddr) {
	q.r.t.Helper()
	q.must(stun.MethodChannelBind, channelNumber(channel), peerAddress(peer))
}

func channelNumber(channel uint16) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{byte(channel >> 8), byte(channel), 0, 0}}
}

// errorCode returns a reply's error code, 0 if it has none.
func errorCode(m *stun.Message) int {
	var code stun.ErrorCodeAttribute
	if code.GetFrom(m) != nil {
		return 0
	}
	return int(code.Code)
}

// syncBuffer is a buffer that a logger and a test may use at once.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
