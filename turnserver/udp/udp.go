package udp

import (
	"net/netip"
)

const (
	// Headroom is the number of free bytes before a received payload: enough for
	// the header of a Data indication to an IPv6 peer (48 bytes), the largest thing
	// the relay puts in front of a payload.
	Headroom = 64

	// Tailroom is the number of free bytes after the longest payload, for padding
	// to a multiple of four.
	Tailroom = 4

	// MaxPayload is the longest payload an IPv4 or IPv6 UDP datagram carries, jumbo
	// datagrams aside, in bytes.
	MaxPayload = 65535 - 8

	// maxBatch is the largest number of messages Linux looks at in one call
	// (UIO_MAXIOV). It bounds every batch, so that a read that comes back short always
	// means that there was no more to read.
	maxBatch = 1024
)

// Packet is one datagram: Buf[Start:End] is its payload, what surrounds it is room
// to grow into.
type Packet struct {
	Buf        []byte
	Start, End int

	// Remote is the source of a packet that was read, the destination of one to
	// send. It is never an IPv4-mapped IPv6 address. Link-local addresses have a
	// zone.
	Remote netip.AddrPort

	// Local is, on a socket with PacketInfo, the address the packet was sent to, or
	// is to be sent from; where the kernel shall choose, it is zero. Other sockets
	// leave it zero and ignore it. It has no zone.
	Local netip.Addr
}

// Data returns the payload, its capacity capped.
func (p *Packet) Data() []byte { return p.Buf[p.Start:p.End:p.End] }

// Batch holds the packets of one read and the memory behind them. It belongs to one
// goroutine at a time.
type Batch struct {
	// Packets are those of the last read. They may be changed freely; the next read
	// sets them anew.
	Packets []Packet

	packets []Packet // the memory behind Packets, one for each slot
	slots   [][]byte // Headroom + MaxPayload + Tailroom bytes each
	sys     batchSys
}

// NewBatch returns a batch of n slots, at least 1 and at most 1024. Memory fresh from
// the system is only made resident as datagrams fill it; memory the program has used
// before is resident, so a batch is worth keeping.
func NewBatch(n int) *Batch {
	const slot = (Headroom + MaxPayload + Tailroom + 7) &^ 7
	n = min(max(n, 1), maxBatch)
	memory := make([]byte, n*slot)
	b := &Batch{packets: make([]Packet, n), slots: make([][]byte, n)}
	for i := range b.slots {
		b.slots[i] = memory[i*slot : (i+1)*slot : (i+1)*slot]
	}
	b.Packets = b.packets[:0]
	b.sys.init(b)
	return b
}

// payload returns the part of slot i that a datagram is read into.
func (b *Batch) payload(i int) []byte { return b.slots[i][Headroom : Headroom+MaxPayload] }

// fill makes packet i what was read into slot i.
func (b *Batch) fill(i, length int, remote netip.AddrPort, local netip.Addr) {
	b.packets[i] = Packet{
		Buf: b.slots[i], Start: Headroom, End: Headroom + length,
		Remote: remote, Local: local,
	}
}

// Options say what a socket is for. The zero value is a relay socket's.
type Options struct {
	// ReusePort lets several sockets share an address, the kernel spreading clients
	// over them (SO_REUSEPORT). Ignored where Capabilities lacks it.
	ReusePort bool

	// PacketInfo reports and sets Packet.Local, for sockets on a wildcard address.
	// Ignored where Capabilities lacks it.
	PacketInfo bool

	// Shared says that many goroutines write at once; writes then share no lock and
	// no counter. In exchange the number of the descriptor, though not its address,
	// stays taken after Close until the Conn is collected as garbage, and there is no
	// WriteDontFragment.
	Shared bool

	// ReceiveBuffer and SendBuffer are the kernel's buffer sizes in bytes; zero
	// leaves the system's own. The system may grant less.
	ReceiveBuffer, SendBuffer int
}

// Capabilities say what a socket on this machine can do.
type Capabilities struct {
	Batch        bool // several packets per system call
	GSO          bool // runs handed over as one piece (UDP_SEGMENT)
	ReusePort    bool
	PacketInfo   bool
	DontFragment bool // WriteDontFragment works
}

// Borrower is what [Conn.Serve] asks for memory.
type Borrower interface {
	// Borrow returns a batch to read into. Serve calls it only once woken by
	// something to read (which may turn out to be a datagram that the kernel rejects
	// after all), and gives the batch back before it waits again.
	Borrow() *Batch

	// Handle takes what was read; the batch is valid until it returns. It may write
	// to and close the Conn that is served.
	Handle(*Batch)

	// Return gives back what Borrow lent.
	Return(*Batch)
}
