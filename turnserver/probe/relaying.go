package probe

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v3"
)

// PermissionDetails are the details of the step permission.
type PermissionDetails struct {
	Peer     netip.AddrPort `json:"peer"`
	PeerKind string         `json:"peerKind"` // "second-allocation" or "this-machine"
}

// RelayDetails are the details of the steps indication and channel.
type RelayDetails struct {
	PeerKind string      `json:"peerKind"`
	ToPeer   FlowDetails `json:"toPeer"`
	ToClient FlowDetails `json:"toClient"`
}

// permission finds a peer to relay to: a second allocation, so that no other socket
// need be reachable, or else this machine.
func (p *prober) permission(ctx context.Context) Step {
	far, err := p.relayPeer(ctx)
	if err == nil {
		p.far = far
		return okay(p.permissionDetails(), "given for %s, a second allocation of ours", far.address)
	}
	var second errSecond
	noSecond := errors.As(err, &second)
	if here, errHere := p.herePeer(ctx); errHere == nil {
		p.far = here
	}
	switch {
	case noSecond && p.far != nil:
		return okay(p.permissionDetails(), "given for %s, this machine; a second allocation is refused (%v)", p.far.address, err)
	case noSecond:
		return unknown("no-peer", nil, "there is no peer to try: a second allocation is refused (%v), and this machine cannot be one", err).because(err)
	case codeOf(err) == int(stun.CodeForbidden):
		return fault("relay-to-relay-denied", p.permissionDetails(), "refuses its own relayed addresses as peers (%v): two clients that are both relayed cannot talk", err).
			hint("let the server relay to its own relayed addresses; for coturn, --allowed-peer-ip with its own address")
	case codeOf(err) != 0:
		return fault("permission-refused", p.permissionDetails(), "refuses a permission (%v)", err).because(err)
	}
	reason, words := describe(err)
	return fault(reason, p.permissionDetails(), "the server %s", words)
}

func (p *prober) permissionDetails() any {
	if p.far == nil {
		return nil
	}
	return PermissionDetails{Peer: p.far.address, PeerKind: p.far.kind}
}

// indication has packets relayed both ways in Send and Data indications (RFC 8656 §11).
func (p *prober) indication(ctx context.Context) Step {
	d := p.relayBoth(ctx, func(payload []byte) error { return p.a.sendTo(p.far.address, payload) }, 0)
	if d.ToPeer.Received+d.ToClient.Received > 0 || p.far.kind != peerRelay || ctx.Err() != nil {
		return judgeRelay(d)
	}
	// A server behind a NAT that does not turn packets back fails here, though it
	// relays to others.
	here, err := p.herePeer(ctx)
	if err != nil {
		return judgeRelay(d)
	}
	p.far = here
	d = p.relayBoth(ctx, func(payload []byte) error { return p.a.sendTo(here.address, payload) }, 0)
	if step := judgeRelay(d); step.Status != OK {
		return step
	}
	return fault("relay-to-relay", d, "relays to this machine, but from one of its relayed addresses to another nothing arrives: two clients that are both relayed cannot talk").
		hint("the server's own NAT does not turn packets back, or a firewall on it stops them; let it reach its own external address")
}

// ChannelNumbers that RFC 8656 §12 lets clients choose begin here.
const firstChannel = 0x4000

// channel binds a channel and has packets relayed over it both ways (RFC 8656 §12).
func (p *prober) channel(ctx context.Context) Step {
	number := attribute{stun.AttrChannelNumber, []byte{firstChannel >> 8, 0, 0, 0}}
	if _, err := p.a.request(ctx, stun.MethodChannelBind, number, xorPeer(p.far.address)); err != nil {
		if codeOf(err) == 0 {
			reason, words := describe(err)
			return fault(reason, nil, "the ChannelBind request: the server %s", words)
		}
		return fault("channel-refused", nil, "a ChannelBind request is refused (%v)", err).because(err)
	}
	return judgeRelay(p.relayBoth(ctx, func(payload []byte) error { return p.a.sendOn(firstChannel, payload) }, firstChannel))
}

// relayBoth measures one direction after the other, so that they do not meet. The
// channel is what packets to the client should come over, or 0.
func (p *prober) relayBoth(ctx context.Context, send func([]byte) error, channel uint16) RelayDetails {
	toPeer := flow{send, p.far.arrivals, func(arrival) bool { return true }, p.late()}
	toClient := flow{p.far.send, p.a.arrivals, func(a arrival) bool {
		return a.channel == channel && (channel != 0 || a.peer == p.far.address)
	}, p.late()}
	return RelayDetails{
		PeerKind: p.far.kind,
		ToPeer:   toPeer.measure(ctx, p.o.Packets),
		ToClient: toClient.measure(ctx, p.o.Packets),
	}
}

// late is how long after the last packet one that has not arrived is lost.
func (p *prober) late() time.Duration { return min(packetLate, p.o.Wait) }

func judgeRelay(d RelayDetails) Step {
	switch {
	case d.ToPeer.Received+d.ToClient.Received == 0:
		return fault("relay-dead", d, "nothing arrives, in neither direction").
			hint("is the relayed address the server's own, and are its relay ports open?")
	case d.ToPeer.Received == 0:
		return fault("relay-dead", d, "nothing reaches the peer, though the peer reaches us: %v", d.ToClient)
	case d.ToClient.Received == 0:
		return fault("relay-dead", d, "nothing reaches us, though we reach the peer: %v", d.ToPeer)
	case d.ToClient.Misframed > 0:
		return fault("misframed", d, "%d packets came framed otherwise than RFC 8656 §12.7 has it", d.ToClient.Misframed)
	case d.ToPeer.lossy() || d.ToClient.lossy():
		return fault("loss", d, "packets are lost: to the peer %v, back %v", d.ToPeer, d.ToClient).
			hint("probe again: if the loss stays, look at the network, the socket buffers and the load of the server")
	}
	return okay(d, "to the peer %v, back %v", d.ToPeer, d.ToClient)
}

// OutsideDetails are the details of the step outside.
type OutsideDetails struct {
	Relayed  netip.AddrPort  `json:"relayed"`
	Here     netip.AddrPort  `json:"here"`               // as the relay sees the socket here
	SentFrom *netip.AddrPort `json:"sentFrom,omitempty"` // where the relay's packets come from
}

// outside sends from this machine to the relayed address as any peer would. It is the
// only step that sees whether relay ports are open in the firewall before them.
func (p *prober) outside(ctx context.Context) Step {
	relayed := p.allocated.relayed
	d := OutsideDetails{Relayed: relayed}
	here, err := p.far, error(nil)
	if here == nil || here.kind != peerHere {
		here, err = p.herePeer(ctx)
	}
	if err != nil {
		return p.explainOutside(d, err)
	}
	d.Here = here.address
	back := flow{
		func(payload []byte) error { return p.a.sendTo(here.address, payload) }, here.arrivals,
		func(a arrival) bool { d.SentFrom = &a.peer; return true }, p.late(),
	}.measure(ctx, 3)
	switch {
	case back.Received == 0 && p.onServer():
		return unknown("on-server", d, "a packet from here reaches %s; none comes back, but this is the server's own machine", relayed)
	case back.Received == 0:
		return fault("no-return", d, "a packet from here reaches %s, but none comes back", relayed).
			hint("is UDP from the relay ports stopped on its way out?")
	case *d.SentFrom != relayed:
		return fault("relay-source", d, "what is relayed comes from %s, and not from the relayed address %s: peers will drop it", d.SentFrom, relayed).
			hint("the NAT before the server must translate one to one, ports unchanged")
	}
	return okay(d, "a packet from here reaches %s, and one comes back from it", relayed)
}

func (p *prober) explainOutside(d OutsideDetails, err error) Step {
	switch {
	case errors.Is(err, errFamily):
		return unknown("family", d, "%v", err)
	case codeOf(err) != 0 && p.onServer():
		return unknown("on-server", d, "cannot be tried on the server's own machine: as a peer it is refused (%v)", err).
			hint("probe from another machine")
	case codeOf(err) != 0:
		return unknown("peer-refused", d, "the server does not relay to this machine, %s (%v)", p.mapped.Addr(), err).because(err)
	case !errors.Is(err, errInward):
		return unknown("no-socket", d, "cannot be tried: %v", err)
	case p.onServer():
		return unknown("on-server", d, "cannot be tried on the server's own machine, whose addresses are no peers").
			hint("probe from another machine")
	case scopeOf(d.Relayed.Addr()) == scopePublic && !p.uri.stream() && p.far != nil:
		return fault("relayed-unreachable", d, "nothing sent from here to %s arrives, though UDP reaches the server itself", d.Relayed).
			hint("open the relay ports for UDP in the server's firewall: 49152-65535 unless set otherwise")
	}
	where := []string{"nothing sent from here to " + d.Relayed.String() + " arrives"}
	if p.uri.stream() {
		where = append(where, "but UDP may be stopped near here")
	}
	return unknown("relayed-unreachable", d, "%s", strings.Join(where, ", ")).
		hint("are the relay ports open for UDP?")
}

// onServer reports whether this machine is the server: then this machine's address is
// the server's, which good servers refuse as a peer.
func (p *prober) onServer() bool {
	return p.mapped.Addr() == p.at.Addr() || p.mapped.Addr() == p.allocated.relayed.Addr() || p.mapped.Addr().IsLoopback()
}
