package control

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"hairpin/turnserver/relay"
	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// attr is an attribute of any type and value.
func attr(t stun.AttrType, value ...byte) stun.Setter {
	return stun.RawAttribute{Type: t, Value: value}
}

var requestUDP = attr(stun.AttrRequestedTransport, 17, 0, 0, 0)

func lifetime(seconds uint32) stun.Setter {
	return attr(stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)...)
}

func family(f byte) stun.Setter           { return attr(stun.AttrRequestedAddressFamily, f, 0, 0, 0) }
func additionalFamily(f byte) stun.Setter { return attr(0x8000, f, 0, 0, 0) }
func evenPort(flags byte) stun.Setter     { return attr(stun.AttrEvenPort, flags) }
func channel(n uint16) stun.Setter        { return attr(stun.AttrChannelNumber, byte(n>>8), byte(n), 0, 0) }

// peer is XOR-PEER-ADDRESS. An IPv4-mapped IPv6 address goes as IPv6, as it stands.
type peer netip.AddrPort

func peerAt(addr string) stun.Setter { return peer(netip.MustParseAddrPort(addr)) }

// AddTo implements [stun.Setter].
func (p peer) AddTo(m *stun.Message) error {
	m.Add(stun.AttrXORPeerAddress, p.encode(m))
	return nil
}

// encode writes the address as RFC 8489 §14.2 has it.
func (p peer) encode(m *stun.Message) []byte {
	at := netip.AddrPort(p)
	value := binary.BigEndian.AppendUint16([]byte{0, 1}, at.Port()^0x2112)
	if at.Addr().Is6() {
		value[1] = 2
	}
	mask := append([]byte{0x21, 0x12, 0xA4, 0x42}, m.TransactionID[:]...)
	for i, b := range at.Addr().AsSlice() {
		value = append(value, b^mask[i])
	}
	return value
}

// appendAttr appends an attribute to a message that is complete, as anyone on the way
// could.
func appendAttr(msg []byte, t stun.AttrType, value ...byte) []byte {
	out := binary.BigEndian.AppendUint16(bytes.Clone(msg), uint16(t))
	out = binary.BigEndian.AppendUint16(out, uint16(len(value)))
	out = append(append(out, value...), make([]byte, -len(value)&3)...)
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)-20))
	return out
}

// send hands a packet to the data plane, as if it had come from the client.
func (c *client) send(data []byte) relay.Verdict {
	p := packet(data, c.from.Client)
	verdict := c.worker.FromClient(c.instant(), &c.from.FiveTuple, &p)
	c.worker.Flush()
	return verdict
}

// sendTo sends a Send indication.
func (c *client) sendTo(to, data string, more ...stun.Setter) relay.Verdict {
	c.Helper()
	setters := append([]stun.Setter{
		stun.NewType(stun.MethodSend, stun.ClassIndication), stun.TransactionID,
		peerAt(to), attr(stun.AttrData, []byte(data)...),
	}, more...)
	m, err := stun.Build(setters...)
	if err != nil {
		c.Fatal(err)
	}
	return c.send(m.Raw)
}

// sendChannel sends ChannelData with some bytes of padding.
func (c *client) sendChannel(n uint16, data string, padding int) relay.Verdict {
	return c.send(channelData(n, data, padding))
}

func channelData(n uint16, data string, padding int) []byte {
	p := []byte{byte(n >> 8), byte(n), byte(len(data) >> 8), byte(len(data))}
	return append(append(p, data...), make([]byte, padding)...)
}

// wantDrop checks that something is dropped for a reason and reaches no peer.
func (c *client) wantDrop(why relay.Drop, what func() relay.Verdict) {
	c.Helper()
	before := c.dropped(why)
	if v := what(); v != relay.Dropped || c.dropped(why) != before+1 {
		c.Fatalf("verdict %v and %d drops for %v, want one", v, c.dropped(why)-before, why)
	}
}

// wantSilence checks that the client has been sent nothing.
func (c *client) wantSilence() {
	c.Helper()
	if got := c.listen.take(c.from.Client); len(got) > 0 {
		c.Fatalf("the client got %x", got[0].data)
	}
}

// wantAtPeer checks that a peer has got one datagram, from a relayed transport address.
func (r *rig) wantAtPeer(relayed netip.AddrPort, to, data string) sent {
	r.Helper()
	s := r.socketAt(relayed)
	if s == nil {
		r.Fatalf("%v has no socket", relayed)
	}
	got := s.take(netip.MustParseAddrPort(to))
	if len(got) != 1 || string(got[0].data) != data {
		r.Fatalf("%s got %v, want %q", to, got, data)
	}
	return got[0]
}

// fromPeer makes a datagram arrive at a relayed transport address.
func (r *rig) fromPeer(relayed netip.AddrPort, from, data string) {
	r.Helper()
	s := r.socketAt(relayed)
	if s == nil {
		r.Fatalf("%v has no socket", relayed)
	}
	s.receive(from, []byte(data))
}

// wantFrame checks that the client has got one packet, and that it is this one.
func (c *client) wantFrame(want []byte) {
	c.Helper()
	got := c.listen.take(c.from.Client)
	if len(got) != 1 || !bytes.Equal(got[0].data, want) {
		c.Fatalf("the client got %v, want %x", got, want)
	}
}

// wantIndication checks that the client has got one Data indication.
func (c *client) wantIndication(from, data string) {
	c.Helper()
	got := c.listen.take(c.from.Client)
	if len(got) != 1 {
		c.Fatalf("the client got %v", got)
	}
	c.checkIndication(got[0].data, from, data)
}

func (c *client) checkIndication(packet []byte, from, data string) {
	c.Helper()
	m := &reply{Message: new(stun.Message)}
	if err := stun.Decode(packet, m.Message); err != nil || !wire.WellFormed(packet) {
		c.Fatalf("%x does not decode: %v", packet, err)
	}
	if m.Type != stun.NewType(stun.MethodData, stun.ClassIndication) || string(m.value(stun.AttrData)) != data ||
		!m.has(stun.AttrData) || m.address(stun.AttrXORPeerAddress) != netip.MustParseAddrPort(from) {
		c.Fatalf("%v is no Data indication from %s with %q", m.Message, from, data)
	}
	c.checkPadding(packet)
}
