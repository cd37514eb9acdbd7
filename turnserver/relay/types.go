package relay

import (
	"net/netip"
	"time"

	"hairpin/turnserver/udp"
)

// Transport is how a client reaches the server.
type Transport uint8

// The transports of RFC 8656 §3.1. Towards peers everything is UDP.
const (
	UDP Transport = iota
	TCP
	TLS
	DTLS

	transports // their number
)

// String returns the transport's name in lower case, as metrics and logs use it.
func (t Transport) String() string {
	if t >= transports {
		return "unknown"
	}
	return [transports]string{"udp", "tcp", "tls", "dtls"}[t]
}

// Directions returns both directions.
func Directions() []Direction { return []Direction{ToPeer, ToClient} }

// Transports returns all transports.
func Transports() []Transport { return []Transport{UDP, TCP, TLS, DTLS} }

// Stream reports whether the transport is a byte stream, on which ChannelData is
// padded to a multiple of four (RFC 8656 §12.5).
func (t Transport) Stream() bool { return t == TCP || t == TLS }

// FiveTuple is a client's transport address, the server's, and the transport between
// them (RFC 8656 §3.2). Neither address is an IPv4-mapped IPv6 address. It is comparable.
type FiveTuple struct {
	Client, Server netip.AddrPort
	Transport      Transport
}

// Flow is one channel binding, complete enough to relay by.
type Flow struct {
	FiveTuple
	Channel uint16
	Relayed netip.AddrPort
	Peer    netip.AddrPort
}

// Instant is a monotonic time in nanoseconds since the table's epoch.
type Instant int64

// Socket is a relay socket, bound to a relayed transport address. [udp.Conn] is one;
// tests have others.
type Socket interface {
	PacketWriter
	// LocalAddr is the bound address.
	LocalAddr() netip.AddrPort
	// Serve hands over what arrives until Close, borrowing memory only meanwhile.
	Serve(udp.Borrower) error
	// WriteDontFragment sends one packet that no router may fragment.
	WriteDontFragment(*udp.Writer, *udp.Packet) error
	// Close is idempotent and ends Serve.
	Close() error
}

// PacketWriter sends datagrams in order, never waiting: what the kernel does not take
// is dropped. It returns how many it took.
type PacketWriter interface {
	WriteBatch(*udp.Writer, []udp.Packet) (int, error)
}

// FrameWriter is a stream client's way back. Send copies the whole frames into a
// bounded queue, never waits, and returns false when it dropped them.
type FrameWriter interface {
	Send(frames ...[]byte) bool
}

// Path is the way back to a client; exactly one of its fields is set.
type Path struct {
	Packets PacketWriter // the listening socket the client's packets arrive on
	Frames  FrameWriter  // the client's connection
}

// Direction tells the two ways through an allocation apart.
type Direction uint8

// The directions, named for where the packet goes.
const (
	ToPeer Direction = iota
	ToClient

	directions // their number
)

// String returns the direction as metrics name it.
func (d Direction) String() string {
	if d == ToPeer {
		return "to-peer"
	}
	return "to-client"
}

// Counts are packets relayed and the bytes of their payloads, framing aside.
type Counts struct{ Packets, Bytes uint64 }

// instant converts a point in time; with a monotonic reading in both times, steps of
// the wall clock do not show.
func instant(epoch, t time.Time) Instant { return Instant(t.Sub(epoch)) }
