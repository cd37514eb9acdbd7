//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"hairpin/turnserver/offload/xdp"
)

// selfTestSlots are the slots that the self-test uses, from 0.
const selfTestSlots = 3

// selfTest shows the program canned frames of every way through it, on this kernel and
// an interface that has no traffic for it yet, and compares what comes out byte by byte.
// Nothing is sent. The addresses are those for documentation.
func selfTest(p *xdp.Program, index int) error {
	t := trial{program: p, index: index, own: xdp.MAC{2, 0, 0, 0, 0, 1}, next: xdp.MAC{2, 0, 0, 0, 0, 2}}
	if err := p.SetInterface(index, xdp.Interface{MAC: t.own}); err != nil {
		return err
	}
	err := t.run()
	for slot := range uint32(selfTestSlots) {
		_ = p.Clear(slot) // one that was never set has nothing to clear
	}
	if removed := p.RemoveInterface(index); err == nil {
		err = removed
	}
	return err
}

// trial is one run of the self-test.
type trial struct {
	program   *xdp.Program
	index     int
	own, next xdp.MAC
}

func (t *trial) run() error {
	at, channel := netip.MustParseAddrPort, uint16(0x4123)
	caller := xdp.Flow{
		Client: at("192.0.2.1:1025"), Server: at("192.0.2.2:3478"),
		Relayed: at("198.51.100.1:50001"), Peer: at("198.51.100.2:9001"), Channel: channel,
	}
	mixed := xdp.Flow{
		Client: at("192.0.2.3:1026"), Server: at("192.0.2.2:3478"),
		Relayed: at("[2001:db8::1]:50003"), Peer: at("[2001:db8::2]:9002"), Channel: channel + 1,
	}
	for slot, f := range []xdp.Flow{caller, mixed} {
		if err := t.flow(uint32(slot), f); err != nil {
			return err
		}
	}
	return t.hairpin(at("192.0.2.4:1027"), at("192.0.2.2:3478"), at("198.51.100.1:50004"))
}

// flow tries a flow both ways, and that nothing is relayed once it has ended.
func (t *trial) flow(slot uint32, f xdp.Flow) error {
	if err := t.set(slot, f); err != nil {
		return err
	}
	payload := []byte("self-test")
	framed := channelData(f.Channel, payload)
	toPeer := datagram{t.own, t.next, f.Client, f.Server, framed}
	toClient := datagram{t.own, t.next, f.Peer, f.Relayed, payload}
	if err := t.relayed(toPeer, datagram{t.next, t.own, f.Relayed, f.Peer, payload}); err != nil {
		return fmt.Errorf("to the peer: %w", err)
	}
	if err := t.relayed(toClient, datagram{t.next, t.own, f.Server, f.Client, framed}); err != nil {
		return fmt.Errorf("to the client: %w", err)
	}
	t.program.Renew(slot, 0)
	for _, d := range []datagram{toPeer, toClient} {
		if action, out, err := t.program.Run(t.index, d.frame()); err != nil || action != xdp.Pass || !bytes.Equal(out, d.frame()) {
			return fmt.Errorf("after the end of a flow: %v, %w", action, err)
		}
	}
	return nil
}

// hairpin tries the turn of an allocation that is its own peer.
func (t *trial) hairpin(client, server, relayed netip.AddrPort) error {
	f := xdp.Flow{Client: client, Server: server, Relayed: relayed, Peer: relayed, Channel: 0x4000, Hairpin: true}
	if err := t.set(selfTestSlots-1, f); err != nil {
		return err
	}
	framed := channelData(f.Channel, []byte("self-test"))
	if err := t.relayed(datagram{t.own, t.next, client, server, framed}, datagram{t.next, t.own, server, client, framed}); err != nil {
		return fmt.Errorf("the hairpin turn: %w", err)
	}
	return nil
}

func (t *trial) set(slot uint32, f xdp.Flow) error {
	now, err := t.program.Clock()
	if err != nil {
		return err
	}
	const minute = 60_000_000_000 // nanoseconds
	if err := t.program.Set(slot, f, now+minute); err != nil {
		return err
	}
	hop := xdp.Hop{Destination: t.next, Source: t.own, Interface: t.index, Limit: 1280}
	t.program.SetHop(slot, xdp.ToClient, hop)
	t.program.SetHop(slot, xdp.ToPeer, hop)
	return nil
}

// relayed makes sure that one datagram comes out as another.
func (t *trial) relayed(in, out datagram) error {
	action, got, err := t.program.Run(t.index, in.frame())
	if err != nil {
		return err
	}
	want := out.frame()
	if action != xdp.Transmit || !bytes.Equal(unidentified(got), want) {
		return fmt.Errorf("%v % x, want % x", action, got, want)
	}
	return nil
}

// unidentified returns a frame whose IPv4 identification is zero.
func unidentified(frame []byte) []byte {
	const ethernet, identification = 14, 4
	if len(frame) < ethernet+ipv4Length || binary.BigEndian.Uint16(frame[12:]) != etherTypeIPv4 {
		return frame
	}
	header := frame[ethernet:]
	checksum := ^binary.BigEndian.Uint16(header[ipv4Checksum:])
	checksum = sum(checksum, []byte{^header[identification], ^header[identification+1]})
	binary.BigEndian.PutUint16(header[ipv4Checksum:], ^checksum)
	binary.BigEndian.PutUint16(header[identification:], 0)
	return frame
}

// channelData returns a ChannelData message (RFC 8656 §12.4).
func channelData(channel uint16, payload []byte) []byte {
	message := binary.BigEndian.AppendUint16(nil, channel)
	message = binary.BigEndian.AppendUint16(message, uint16(len(payload)))
	return append(message, payload...)
}
