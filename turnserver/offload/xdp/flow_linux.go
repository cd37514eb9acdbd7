//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
)

// The flags of a record, as in maps.h.
const (
	clientIsSix = 1 << iota
	peerIsSix
	peerIsClient
	hasKeys = 1 << 15 // there may be keys in the map
)

// Set puts a flow into a slot that has none, with no hops and no counts, and makes it
// valid until expires: record first, then the peer's key, then the client's. On ErrFull
// or ErrTaken the slot stays without one, and is to be left alone as after
// [Program.Clear].
func (p *Program) Set(slot uint32, f Flow, expires Time) error {
	r := &p.records[slot]
	client, peer := f.keys()
	r.Generation++
	r.describe(f)
	atomic.StoreUint64(&r.ClientHop, 0)
	atomic.StoreUint64(&r.PeerHop, 0)
	for d := range directions {
		c := &p.line(slot, d).Counts
		atomic.StoreUint64(&c.Packets, 0)
		atomic.StoreUint64(&c.Bytes, 0)
	}
	p.Renew(slot, expires)

	place := uint64(slot) | uint64(r.Generation)<<32
	if err := p.putKey(&peer, place); err != nil {
		atomic.StoreUint64(&r.Expires, 0)
		r.Flags &^= hasKeys
		return err
	}
	if err := p.putKey(&client, place); err != nil {
		atomic.StoreUint64(&r.Expires, 0)
		r.Flags &^= hasKeys
		return errors.Join(err, p.removeKey(&peer))
	}
	return nil
}

// describe sets what of a record is the flow's own.
func (r *kernelRecord) describe(f Flow) {
	r.Channel = network16(f.Channel)
	r.Client, r.ClientPort = words(f.Client.Addr()), network16(f.Client.Port())
	r.Server, r.ServerPort = words(f.Server.Addr()), network16(f.Server.Port())
	r.Relayed, r.RelayedPort = words(f.Relayed.Addr()), network16(f.Relayed.Port())
	r.Peer, r.PeerPort = words(f.Peer.Addr()), network16(f.Peer.Port())
	r.Flags = hasKeys
	if f.Client.Addr().Is6() {
		r.Flags |= clientIsSix
	}
	if f.Peer.Addr().Is6() {
		r.Flags |= peerIsSix
	}
	if f.Hairpin {
		r.Flags |= peerIsClient
	}
}

// keys returns what packets of a flow look like when they come in.
func (f *Flow) keys() (client, peer kernelKey) {
	client = kernelKey{
		Remote: words(f.Client.Addr()), RemotePort: network16(f.Client.Port()),
		Local: words(f.Server.Addr()), LocalPort: network16(f.Server.Port()),
		Channel: network16(f.Channel), Six: isSix(f.Client.Addr()),
	}
	peer = kernelKey{
		Remote: words(f.Peer.Addr()), RemotePort: network16(f.Peer.Port()),
		Local: words(f.Relayed.Addr()), LocalPort: network16(f.Relayed.Port()),
		Six: isSix(f.Peer.Addr()),
	}
	return client, peer
}

// keys returns those of the flow a record describes.
func (r *kernelRecord) keys() (client, peer kernelKey) {
	client = kernelKey{
		Remote: r.Client, RemotePort: r.ClientPort, Local: r.Server, LocalPort: r.ServerPort,
		Channel: r.Channel, Six: r.Flags & clientIsSix / clientIsSix,
	}
	peer = kernelKey{
		Remote: r.Peer, RemotePort: r.PeerPort, Local: r.Relayed, LocalPort: r.RelayedPort,
		Six: r.Flags & peerIsSix / peerIsSix,
	}
	return client, peer
}

func (p *Program) putKey(k *kernelKey, place uint64) error {
	err := p.objects.Flows.Update(k, place, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return ErrTaken
	}
	return whenFull("add a key", err)
}

func (p *Program) removeKey(k *kernelKey) error {
	return whenGone("remove a key", p.objects.Flows.Delete(k))
}

// Renew gives a slot's flow a new lifetime, which ends up to 10 ms early and never late;
// zero ends it at once. It is one store.
func (p *Program) Renew(slot uint32, expires Time) {
	if expires != 0 {
		expires = max(expires, tick+1) - tick
	}
	atomic.StoreUint64(&p.records[slot].Expires, uint64(expires))
}

// tick is how much later than the clock the program's view of it may be: the longest
// time between ticks that kernels are built with, 100 a second.
const tick = Time(10 * time.Millisecond)

// SetHop says how packets of a slot's flow go on; a hop with Limit zero withdraws it.
// The flow of another client that they turn to by [Flow.Hairpin] has its own.
func (p *Program) SetHop(slot uint32, d Direction, h Hop) {
	r := &p.records[slot]
	next, source, index := &r.PeerHop, &r.PeerSource, &r.PeerInterface
	if d == ToClient {
		next, source, index = &r.ClientHop, &r.ClientSource, &r.ClientInterface
	}
	atomic.StoreUint64(next, 0)
	if h.Limit <= 0 {
		return
	}
	atomic.StoreUint64(source, h.Source.word())
	atomic.StoreUint32(index, uint32(h.Interface))
	atomic.StoreUint64(next, h.Destination.word()|uint64(min(h.Limit, maxPacket))<<macBits)
}

// maxPacket is the length of the longest IP packet there is.
const maxPacket = 1<<16 - 1

// Clear ends the flow in a slot and removes its keys. The slot may be set again after a
// second; its counts stay until then, and may grow by the packets of that moment. Of a
// slot without a flow it does nothing.
func (p *Program) Clear(slot uint32) error {
	r := &p.records[slot]
	atomic.StoreUint64(&r.Expires, 0)
	if r.Flags&hasKeys == 0 {
		return nil
	}
	r.Flags &^= hasKeys
	client, peer := r.keys()
	if err := errors.Join(p.removeKey(&client), p.removeKey(&peer)); err != nil {
		return fmt.Errorf("clear a flow: %w", err)
	}
	return nil
}

// Counts returns what a slot's flow has relayed in one direction.
func (p *Program) Counts(slot uint32, d Direction) Counts {
	c := &p.line(slot, d).Counts
	return Counts{Packets: atomic.LoadUint64(&c.Packets), Bytes: atomic.LoadUint64(&c.Bytes)}
}

func (p *Program) line(slot uint32, d Direction) *kernelLine {
	return &p.lines[int(slot)*int(directions)+int(d)]
}
