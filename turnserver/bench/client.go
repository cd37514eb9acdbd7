package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/stun/v3"

	"hairpin/turnserver/udp"
)

// authAttempts bounds how often a request is repeated because the server wants
// credentials or a fresh nonce.
const authAttempts = 3

// client has one allocation. Its requests are made by one goroutine at a time.
type client struct {
	receiver
	account account

	realm     string
	nonce     []byte
	integrity stun.MessageIntegrity
	relayed   netip.AddrPort // the allocation's relayed transport address

	transactions transactions
}

// account is how clients come by an allocation.
type account struct {
	server             netip.AddrPort
	username, password string
}

func newClient(f *Fleet, a account) *client {
	c := &client{account: a, transactions: newTransactions()}
	c.receiver = receiver{fleet: f, client: c}
	return c
}

// allocate asks for an allocation (RFC 8656 §7.1).
func (c *client) allocate(ctx context.Context, w *udp.Writer) error {
	const protocolUDP = 17
	answer, err := c.request(ctx, w, stun.MethodAllocate,
		stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocolUDP, 0, 0, 0}})
	if err != nil {
		return err
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		return fmt.Errorf("%s: the answer's relayed transport address: %w", stun.MethodAllocate, err)
	}
	ip, _ := netip.AddrFromSlice(relayed.IP)
	c.relayed = netip.AddrPortFrom(ip.Unmap(), uint16(relayed.Port))
	return nil
}

// bind binds a channel to a peer, or renews the binding and the permission that comes
// with it (RFC 8656 §12.1).
func (c *client) bind(ctx context.Context, w *udp.Writer, channel uint16, peer netip.AddrPort) error {
	number := binary.BigEndian.AppendUint16(nil, channel)
	_, err := c.request(ctx, w, stun.MethodChannelBind,
		stun.RawAttribute{Type: stun.AttrChannelNumber, Value: append(number, 0, 0)},
		xorPeer(peer))
	return err
}

// refresh sets the allocation's remaining lifetime; zero deletes it (RFC 8656 §8).
func (c *client) refresh(ctx context.Context, w *udp.Writer, lifetime time.Duration) error {
	seconds := binary.BigEndian.AppendUint32(nil, uint32(lifetime/time.Second))
	_, err := c.request(ctx, w, stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: seconds})
	return err
}

// xorPeer is the attribute XOR-PEER-ADDRESS.
type xorPeer netip.AddrPort

// AddTo implements [stun.Setter].
func (p xorPeer) AddTo(m *stun.Message) error {
	addr := netip.AddrPort(p)
	x := stun.XORMappedAddress{IP: addr.Addr().AsSlice(), Port: int(addr.Port())}
	return x.AddToAs(m, stun.AttrXORPeerAddress)
}

// request makes an authenticated request and returns the success response. The
// challenge that gives realm and nonce it answers by itself (RFC 8489 §9.2).
func (c *client) request(ctx context.Context, w *udp.Writer, method stun.Method, attributes ...stun.Setter) (*stun.Message, error) {
	for attempt := 1; ; attempt++ {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		if c.nonce != nil {
			setters = append(setters, stun.NewUsername(c.account.username), stun.NewRealm(c.realm),
				stun.Nonce(c.nonce), c.integrity)
		}
		m, err := stun.Build(setters...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		answer, err := c.transact(ctx, w, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		if answer.Type.Class == stun.ClassSuccessResponse {
			return answer, nil
		}
		err = c.takeChallenge(answer)
		if err == nil && attempt == authAttempts {
			err = ErrRejected
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
	}
}

// A Refusal is an error response.
type Refusal struct {
	Code   int    // RFC 8489 §14.8, RFC 8656 §19
	Reason string // the server's words
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the server refuses: %d %s", r.Code, strconv.QuoteToGraphic(r.Reason))
}

// ErrRejected says that the server does not accept the username or the password.
var ErrRejected = errors.New("the server does not accept the credentials")

// errMismatch says that the server has an allocation of this client's transport
// address already, or has had one lately (RFC 8656 §7.2).
var errMismatch = errors.New("437 Allocation Mismatch")

// takeChallenge takes realm and nonce from an error response that asks for credentials
// or for a fresh nonce. For any other it returns an error.
func (c *client) takeChallenge(answer *stun.Message) error {
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(answer); err != nil {
		return fmt.Errorf("error response without a code: %w", err)
	}
	switch {
	case code.Code == stun.CodeAllocMismatch:
		return errMismatch
	case code.Code == stun.CodeUnauthorized && c.nonce != nil:
		return ErrRejected
	case code.Code != stun.CodeUnauthorized && code.Code != stun.CodeStaleNonce:
		return &Refusal{int(code.Code), string(code.Reason)}
	}
	var nonce stun.Nonce
	var realm stun.Realm
	if err := answer.Parse(&nonce, &realm); err != nil {
		return fmt.Errorf("challenge without nonce or realm: %w", err)
	}
	c.nonce = nonce
	if c.realm != realm.String() || c.integrity == nil {
		c.realm = realm.String()
		c.integrity = stun.NewLongTermIntegrity(c.account.username, c.realm, c.account.password)
	}
	return nil
}
