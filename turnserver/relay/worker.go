package relay

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

// Worker is one goroutine's share of the data plane: the scratch memory of its sends
// and its counters. It is not safe for concurrent use.
type Worker struct {
	table  *Table
	shard  *shard
	writer *udp.Writer
	txids  *rand.ChaCha8

	groups  []group // what Flush will send, in use up to used
	used    int
	relayed [transports][directions]Counts // since the last Flush
}

// group is packets that leave by one socket, or frames that leave by one connection,
// in order.
type group struct {
	path    Path
	packets []udp.Packet
	frames  [][]byte
}

// Borrow returns a worker for the time until Return.
func (t *Table) Borrow() *Worker { return t.workers.Get().(*Worker) }

// Return takes back a flushed worker.
func (t *Table) Return(w *Worker) { t.workers.Put(w) }

func (t *Table) newWorker() *Worker {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	return &Worker{
		table:  t,
		shard:  &t.shards[t.nextWorker.Add(1)%shards],
		writer: udp.NewWriter(),
		txids:  rand.NewChaCha8(seed),
	}
}

// FromClient relays a packet that came from a client, or says why not: Punt leaves it
// untouched for the control plane, anything else has consumed it. The packet's memory
// must stay as it is until Flush.
func (w *Worker) FromClient(now Instant, ft *FiveTuple, p *udp.Packet) Verdict {
	data := p.Data()
	switch wire.Classify(data) {
	case wire.ChannelData:
		return w.channelData(now, ft, p)
	case wire.STUN:
		if wire.IsSendIndication(data) {
			return w.sendIndication(now, ft, p)
		}
		return Punt
	default:
		return w.drop(DropMalformed)
	}
}

// channelData relays a ChannelData message to the peer its channel is bound to (RFC
// 8656 §12.6).
func (w *Worker) channelData(now Instant, ft *FiveTuple, p *udp.Packet) Verdict {
	channel, data, ok := wire.ParseChannelData(p.Data())
	if !ok {
		return w.drop(DropMalformed)
	}
	a := w.table.Lookup(*ft)
	if a == nil {
		return w.drop(DropNoAllocation)
	}
	b := a.peers.Load().channels[channel]
	switch {
	case !a.live(now):
		return w.drop(DropExpired)
	case !b.live(now):
		return w.drop(DropNoChannel)
	case !b.permission.live(now):
		return w.drop(DropNoPermission)
	}
	p.Start += wire.ChannelDataHeaderLen
	p.End = p.Start + len(data)
	return w.toPeer(now, a, b.peer, p, false)
}

// sendIndication relays what a Send indication carries (RFC 8656 §11.2).
func (w *Worker) sendIndication(now Instant, ft *FiveTuple, p *udp.Packet) Verdict {
	s, ok := wire.ParseSendIndication(p.Data())
	if !ok {
		return w.drop(DropMalformed)
	}
	a := w.table.Lookup(*ft)
	switch {
	case a == nil:
		return w.drop(DropNoAllocation)
	case !a.live(now):
		return w.drop(DropExpired)
	case !a.peers.Load().permissions[s.Peer.Addr()].live(now):
		return w.drop(DropNoPermission)
	}
	p.Start += s.DataOffset
	p.End = p.Start + s.DataLen
	return w.toPeer(now, a, s.Peer, p, s.DontFragment)
}

// toPeer sends a payload from an allocation's relayed transport address. The peer's
// address has been permitted; its port, and whether it is this server, are checked here.
func (w *Worker) toPeer(now Instant, a *Allocation, peer netip.AddrPort, p *udp.Packet, dontFragment bool) Verdict {
	if peer.Port() == 0 || peer.Addr().Is4() != a.local.Addr().Is4() {
		return w.drop(DropPeerDenied)
	}
	if w.table.Own(peer.Addr()) {
		if to := w.table.relayed(peer); to != nil {
			return w.hairpin(now, a, to, p)
		}
		if !w.table.ownPeer(peer) {
			return w.drop(DropPeerDenied)
		}
	}
	p.Remote, p.Local = peer, netip.Addr{}
	if dontFragment {
		if err := a.socket.WriteDontFragment(w.writer, p); err != nil {
			return w.drop(DropDontFragment)
		}
	} else {
		g := w.groupToPeers(a)
		g.packets = append(g.packets, *p)
	}
	return w.count(a, ToPeer, p.End-p.Start)
}

// hairpin delivers a payload from one allocation to another of this server, as if it
// had gone out of the one's relay socket and into the other's.
func (w *Worker) hairpin(now Instant, from, to *Allocation, p *udp.Packet) Verdict {
	w.count(from, ToPeer, p.End-p.Start)
	return w.toClient(now, to, from.Relayed, p)
}

// fromPeer relays a datagram that arrived at an allocation's relay socket.
func (w *Worker) fromPeer(now Instant, a *Allocation, p *udp.Packet) Verdict {
	if w.table.Own(p.Remote.Addr()) && !w.table.ownPeer(p.Remote) {
		return w.drop(DropPeerDenied) // other relayed addresses send by the hairpin turn
	}
	return w.toClient(now, a, p.Remote, p)
}

// toClient frames a peer's payload in place and sends it to the client, as ChannelData
// where the peer is bound to a channel and as a Data indication otherwise (RFC 8656
// §11.3, §12.7).
func (w *Worker) toClient(now Instant, a *Allocation, peer netip.AddrPort, p *udp.Packet) Verdict {
	if !a.live(now) {
		return w.drop(DropExpired)
	}
	who := a.peers.Load()
	b := who.bindings[peer]
	permission := (*permission)(nil)
	if b != nil {
		permission = b.permission
	} else {
		permission = who.permissions[peer.Addr()]
	}
	if !permission.live(now) {
		return w.drop(DropNoPermission)
	}
	size := p.End - p.Start
	if b.live(now) {
		w.frame(a, b.channel, p)
	} else if !w.dataIndication(peer, p) {
		return w.drop(DropTooLarge)
	}
	if !a.Transport.Stream() && p.End-p.Start > udp.MaxPayload {
		return w.drop(DropTooLarge)
	}
	w.send(a, p)
	return w.count(a, ToClient, size)
}

// frame wraps a payload into a ChannelData message in place.
func (w *Worker) frame(a *Allocation, channel uint16, p *udp.Packet) {
	size := p.End - p.Start
	p.Start -= wire.ChannelDataHeaderLen
	wire.PutChannelDataHeader(p.Buf[p.Start:], channel, size)
	if a.Transport.Stream() {
		p.End = wire.Pad(p.Buf, p.End, size)
	}
}

// dataIndication wraps a payload into a Data indication in place.
func (w *Worker) dataIndication(peer netip.AddrPort, p *udp.Packet) bool {
	var txid wire.TransactionID
	binary.BigEndian.PutUint64(txid[:8], w.txids.Uint64())
	binary.BigEndian.PutUint32(txid[8:], uint32(w.txids.Uint64()))
	start, end, ok := wire.PutDataIndication(p.Buf, p.Start, p.End, txid, peer)
	if ok {
		p.Start, p.End = start, end
	}
	return ok
}

// send adds a framed packet to what goes to an allocation's client.
func (w *Worker) send(a *Allocation, p *udp.Packet) {
	g := w.groupOf(a.path)
	if a.path.Frames != nil {
		g.frames = append(g.frames, p.Data())
		return
	}
	p.Remote, p.Local = a.Client, a.Server.Addr()
	g.packets = append(g.packets, *p)
}

// groupOf returns the group of what goes back to a client by a path. There are few:
// most clients share the listening sockets.
func (w *Worker) groupOf(path Path) *group {
	for i := range w.groups[:w.used] {
		if w.groups[i].path == path {
			return &w.groups[i]
		}
	}
	return w.newGroup(path)
}

// groupToPeers returns the group of what leaves by an allocation's relay socket. A
// batch may be from as many clients as it has packets, so that the allocation keeps a
// hint where its group is. Should another worker have changed the hint, there will be
// another group, which is sent later: packets stay in order.
func (w *Worker) groupToPeers(a *Allocation) *group {
	path := Path{Packets: a.socket}
	if i := int(a.group.Load()); i < w.used && w.groups[i].path == path {
		return &w.groups[i]
	}
	a.group.Store(uint32(w.used))
	return w.newGroup(path)
}

func (w *Worker) newGroup(path Path) *group {
	if w.used == len(w.groups) {
		w.groups = append(w.groups, group{})
	}
	g := &w.groups[w.used]
	w.used++
	g.path, g.packets, g.frames = path, g.packets[:0], g.frames[:0]
	return g
}

// Flush sends what has been relayed since the last Flush, and publishes the counts.
// What a socket or a connection does not take is dropped.
func (w *Worker) Flush() {
	for i := range w.groups[:w.used] {
		g := &w.groups[i]
		switch {
		case g.path.Frames != nil:
			if !g.path.Frames.Send(g.frames...) {
				w.shard.dropped[DropClientSlow].Add(uint64(len(g.frames)))
			}
		default:
			sent, _ := g.path.Packets.WriteBatch(w.writer, g.packets)
			if lost := len(g.packets) - sent; lost > 0 {
				w.shard.dropped[DropSocket].Add(uint64(lost))
			}
		}
		g.path = Path{} // do not keep what may be closed
		clear(g.packets)
		clear(g.frames)
	}
	w.used = 0
	w.publish()
}

// publish adds the counts since the last Flush to the shard.
func (w *Worker) publish() {
	for transport := range w.relayed {
		for d := range w.relayed[transport] {
			if c := &w.relayed[transport][d]; c.Packets > 0 {
				w.shard.relayed[transport][d].packets.Add(c.Packets)
				w.shard.relayed[transport][d].bytes.Add(c.Bytes)
				*c = Counts{}
			}
		}
	}
}

// count records a payload that an allocation hands on; framing is not counted.
func (w *Worker) count(a *Allocation, d Direction, size int) Verdict {
	a.counts[d].add(size)
	c := &w.relayed[a.Transport][d]
	c.Packets++
	c.Bytes += uint64(size)
	return Relayed
}

func (w *Worker) drop(why Drop) Verdict {
	w.shard.dropped[why].Add(1)
	return Dropped
}
