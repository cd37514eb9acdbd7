package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

// The channels a client binds, as a mode needs them.
const (
	peerChannel = wire.MinChannel     // to its peer
	pairChannel = wire.MinChannel + 1 // to the other client of its pair
)

// lifetime is what is asked for an allocation when a run begins: the default of RFC
// 8656 §2, which outlasts MaxDuration.
const lifetime = 10 * time.Minute

// flow is one direction of a load.
type flow struct {
	from     socket
	to       netip.AddrPort
	channel  uint16 // of the ChannelData header, or zero for none
	binding  bool   // Binding requests are sent, not payloads
	receiver *receiver
	framed   bool   // the receiver gets ChannelData
	sequence uint64 // of the next packet
}

// peerOf returns the peer of client i. Clients that share a peer are neighbours, so
// that what one peer sends to them can leave in one batch.
func (f *Fleet) peerOf(i int) *receiver { return f.peers[i*len(f.peers)/len(f.clients)] }

// pairOf returns the other client of client i's pair.
func (f *Fleet) pairOf(i int) *client { return f.clients[i^1] }

// flows returns the flows of a mode.
func (f *Fleet) flows(m Mode) []flow {
	var flows []flow
	for i, c := range f.clients {
		peer := f.peerOf(i)
		if m == ToPeer || m == Both {
			flows = append(flows, flow{from: c.conn, to: f.config.Server, channel: peerChannel, receiver: peer})
		}
		if m == RelayToRelay {
			flows = append(flows, flow{from: c.conn, to: f.config.Server, channel: pairChannel, receiver: &f.pairOf(i).receiver, framed: true})
		}
		if m == Binding {
			flows = append(flows, flow{from: c.conn, to: f.config.Server, binding: true, receiver: &c.receiver})
		}
	}
	if m != ToClient && m != Both {
		return flows
	}
	for i, c := range f.clients {
		flows = append(flows, flow{from: f.peerOf(i).conn, to: c.relayed, receiver: &c.receiver, framed: true})
	}
	return flows
}

// straight returns the flows of a mode with the server left out: from the same sockets
// to where the server would have relayed to.
func (f *Fleet) straight(m Mode) []flow {
	flows := f.flows(m)
	for i := range flows {
		flow := &flows[i]
		flow.to, flow.channel, flow.framed = flow.receiver.conn.LocalAddr(), 0, false
	}
	return flows
}

var errOdd = errors.New(string(RelayToRelay) + " needs an even number of clients")

// prepare binds the channel that a mode sends through, or renews it, and renews the
// allocations.
func (f *Fleet) prepare(ctx context.Context, m Mode) error {
	switch {
	case m == RelayToRelay && len(f.clients)%2 != 0:
		return errOdd
	case m == Binding && len(f.clients) > maxBindingFlows:
		return fmt.Errorf("%d clients: with %s at most %d", len(f.clients), Binding, maxBindingFlows)
	case m == Binding:
		return nil
	case f.config.NoAllocations:
		return fmt.Errorf("%s needs allocations", m)
	}
	return f.each(ctx, func(ctx context.Context, w *udp.Writer, i int) error {
		c := f.clients[i]
		if err := c.refresh(ctx, w, lifetime); err != nil {
			return err
		}
		if m == RelayToRelay {
			return c.bind(ctx, w, pairChannel, f.pairOf(i).relayed)
		}
		return c.bind(ctx, w, peerChannel, f.peerOf(i).conn.LocalAddr())
	})
}
