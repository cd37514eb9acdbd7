package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"
)

// The peers there can be. Both are our own: a probe sends to nobody else.
const (
	peerRelay = "second-allocation" // of the same server: packets cross it twice
	peerHere  = "this-machine"      // a UDP socket here
)

// peer is the other end of what the first allocation relays.
type peer struct {
	kind     string
	address  netip.AddrPort             // as the relay sees it
	send     func(payload []byte) error // to the first allocation's relayed address
	arrivals <-chan arrival
}

// permit asks for a permission for a peer on the first allocation.
func (p *prober) permit(ctx context.Context, c *client, to netip.AddrPort) error {
	_, err := c.request(ctx, stun.MethodCreatePermission, xorPeer(to))
	return err
}

// errSecond is that there is no second allocation.
type errSecond struct{ error }

func (e errSecond) Unwrap() error { return e.error }

// relayPeer makes a second allocation, and has each relay to the other.
func (p *prober) relayPeer(ctx context.Context) (*peer, error) {
	b, err := p.open(ctx)
	if err != nil {
		return nil, errSecond{err}
	}
	p.later(func() { p.end(b) })
	answer, err := b.request(ctx, stun.MethodAllocate, requestedTransport(protocolUDP))
	if err != nil {
		return nil, errSecond{err}
	}
	second := allocationOf(answer)
	if !plausible(second.relayed) {
		return nil, errSecond{errors.New("it has no address")}
	}
	if err := p.permit(ctx, p.a, second.relayed); err != nil {
		return nil, err
	}
	if err := p.permit(ctx, b, p.allocated.relayed); err != nil {
		return nil, err
	}
	return &peer{
		kind:     peerRelay,
		address:  second.relayed,
		send:     func(payload []byte) error { return b.sendTo(p.allocated.relayed, payload) },
		arrivals: b.arrivals,
	}, nil
}

// Errors of peerOf this machine.
var (
	errFamily = errors.New("this machine has no address of the relay's family that is known to the server")
	errInward = errors.New("nothing that is sent to the relayed address arrives")
)

const (
	outsideEvery = 200 * time.Millisecond
	outsideWait  = 2 * time.Second
)

// herePeer makes this machine a peer: a socket that sends to the relayed address, so
// that every NAT between lets the answers in and the server learns where it is.
func (p *prober) herePeer(ctx context.Context) (*peer, error) {
	relayed := p.allocated.relayed
	if p.mapped.Addr().Is4() != relayed.Addr().Is4() || !p.mapped.IsValid() {
		return nil, errFamily
	}
	if err := p.permit(ctx, p.a, p.mapped); err != nil {
		return nil, err
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", localFor(relayed))
	if err != nil {
		return nil, err
	}
	socket := conn.(*net.UDPConn)
	arrivals := make(chan arrival, maxArrivals)
	ended := make(chan struct{})
	go receiveHere(socket, arrivals, ended)
	p.later(func() { _ = socket.Close(); <-ended })
	send := func(payload []byte) error { _, err := socket.WriteToUDPAddrPort(payload, relayed); return err }
	address, err := p.meet(ctx, send)
	if err != nil {
		return nil, err
	}
	return &peer{kind: peerHere, address: address, send: send, arrivals: arrivals}, nil
}

// receiveHere passes on what comes to a socket until that is closed.
func receiveHere(socket *net.UDPConn, arrivals chan<- arrival, ended chan<- struct{}) {
	defer close(ended)
	buf := make([]byte, maxMessage)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		select {
		case arrivals <- arrival{at: time.Now(), peer: from, payload: append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

// meet sends to the relayed address until a packet arrives, and returns where it came
// from.
func (p *prober) meet(ctx context.Context, send func([]byte) error) (netip.AddrPort, error) {
	token := make([]byte, 2*tokenLen)
	_, _ = rand.Read(token) // never fails
	late := time.After(min(outsideWait, p.o.Wait))
	again := time.NewTicker(outsideEvery)
	defer again.Stop()
	if err := send(token); err != nil {
		return netip.AddrPort{}, err
	}
	for {
		select {
		case a := <-p.a.arrivals:
			if a.channel == 0 && bytes.Equal(a.payload, token) {
				return a.peer, nil
			}
		case <-again.C:
			_ = send(token) // the next is tried all the same
		case <-late:
			return netip.AddrPort{}, errInward
		case <-p.a.ended:
			return netip.AddrPort{}, p.a.err
		case <-ctx.Done():
			return netip.AddrPort{}, ctx.Err()
		}
	}
}
