package udp

import (
	"fmt"
	"net/netip"
)

// Conn is a bound UDP socket. One goroutine at a time reads from it, with ReadBatch
// or Serve; any number write and close.
type Conn struct {
	socket socket
}

// socket is what a platform makes of a Conn.
type socket interface {
	localAddr() netip.AddrPort
	capabilities() Capabilities
	drops() uint64
	readBatch(*Batch) error
	serve(Borrower) error
	writeBatch(*Writer, []Packet) (int, error)
	writeDontFragment(*Writer, *Packet) error
	close() error
}

// Listen binds a socket to addr; port 0 is any free port. On an IPv6 wildcard address
// the socket takes IPv4 as well, and takes only IPv4 on a machine without IPv6.
// [PortBusy] tells whether another socket has the port.
func Listen(addr netip.AddrPort, o Options) (*Conn, error) {
	if !addr.IsValid() {
		return nil, fmt.Errorf("listen on UDP: the address is missing")
	}
	s, err := listen(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), o)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %v: %w", addr, err)
	}
	return &Conn{socket: s}, nil
}

// LocalAddr returns the address the socket is bound to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.socket.localAddr() }

// Capabilities returns what the socket can do now; GSO may turn out not to work and
// be gone later.
func (c *Conn) Capabilities() Capabilities { return c.socket.capabilities() }

// Drops returns how many datagrams the kernel has thrown away because the socket's
// buffer was full or their checksum wrong, as far as the system tells: zero where it
// does not, and once the Conn is closed. It counts modulo 2^32.
func (c *Conn) Drops() uint64 { return c.socket.drops() }

// ReadBatch waits for at least one packet and sets b.Packets to those that are there,
// oldest first. It returns [net.ErrClosed] once the Conn is closed, at once if it was
// waiting.
func (c *Conn) ReadBatch(b *Batch) error { return c.socket.readBatch(b) }

// Serve hands what arrives to m until the Conn is closed, and returns [net.ErrClosed]
// then. While nothing arrives it holds no batch, on the platforms that can wait so.
func (c *Conn) Serve(m Borrower) error { return c.socket.serve(m) }

// WriteBatch sends ps in order, without waiting, and returns how many the kernel took.
// A packet it refuses, for instance as too long or without a route, is left out and
// the rest still go; when its buffer is full, the rest are dropped. The error is the
// reason of the first packet left out, or [net.ErrClosed].
func (c *Conn) WriteBatch(w *Writer, ps []Packet) (sent int, err error) {
	return c.socket.writeBatch(w, ps)
}

// WriteDontFragment sends one packet that no router may fragment: with the DF bit set
// over IPv4, unfragmented by this machine over IPv6, where routers never do
// (RFC 8656, section 18.9). The error is the reason why the packet was not sent;
// [errors.ErrUnsupported] where Capabilities lacks DontFragment.
func (c *Conn) WriteDontFragment(w *Writer, p *Packet) error {
	return c.socket.writeDontFragment(w, p)
}

// Close frees the address and ends ReadBatch and Serve, but does not wait for them.
// Writes fail with [net.ErrClosed] from then on. Closing again does nothing.
func (c *Conn) Close() error { return c.socket.close() }

// Writer is the scratch memory of one goroutine's sends, for any number of Conns.
type Writer struct {
	sys writerSys
}

// NewWriter returns a Writer.
func NewWriter() *Writer {
	w := new(Writer)
	w.sys.init()
	return w
}
