package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// maxSendWait bounds how long a portable WriteBatch waits for room in the
	// kernel's buffer: package net offers no send that does not wait. It is long
	// enough not to pass between the start of a send and its system call.
	maxSendWait = 10 * time.Millisecond

	// maxReadErrors is the number of failed reads in a row after which a portable
	// socket is taken for broken. Single failures are other datagrams' ICMP errors.
	maxReadErrors = 128
)

// portable is a socket in terms of package net, one packet at a time. It has no
// capabilities, and its Serve needs memory while it waits.
type portable struct {
	conn  *net.UDPConn
	local netip.AddrPort
}

// listenPortable binds a portable socket. A buffer size that the system does not grant
// is no error.
func listenPortable(addr netip.AddrPort, o Options) (socket, error) {
	network := "udp4"
	switch {
	case addr.Addr() == netip.IPv6Unspecified():
		network = "udp" // both families
	case addr.Addr().Is6():
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	if o.ReceiveBuffer > 0 {
		_ = conn.SetReadBuffer(o.ReceiveBuffer)
	}
	if o.SendBuffer > 0 {
		_ = conn.SetWriteBuffer(o.SendBuffer)
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &portable{conn: conn, local: unmap(local)}, nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (s *portable) localAddr() netip.AddrPort  { return s.local }
func (s *portable) capabilities() Capabilities { return Capabilities{} }
func (s *portable) drops() uint64              { return 0 }

func (s *portable) readBatch(b *Batch) error {
	for failures := 0; ; {
		n, remote, err := s.conn.ReadFromUDPAddrPort(b.payload(0))
		if err == nil {
			b.fill(0, n, unmap(remote), netip.Addr{})
			b.Packets = b.packets[:1]
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return net.ErrClosed
		}
		if failures++; failures == maxReadErrors {
			return err
		}
	}
}

// serve holds a batch all the time: package net waits only with memory in hand.
func (s *portable) serve(m Borrower) error {
	b := m.Borrow()
	defer m.Return(b)
	for {
		if err := s.readBatch(b); err != nil {
			return err
		}
		m.Handle(b)
	}
}

func (s *portable) writeBatch(_ *Writer, ps []Packet) (sent int, err error) {
	for i := range ps {
		e := s.write(&ps[i])
		if e == nil {
			sent++
			continue
		}
		if err == nil {
			err = e
		}
		if e == net.ErrClosed {
			return sent, e
		}
		if errors.Is(e, os.ErrDeadlineExceeded) {
			break // no room for the rest either
		}
	}
	return sent, err
}

func (s *portable) write(p *Packet) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(maxSendWait))
	if err == nil {
		_, err = s.conn.WriteToUDPAddrPort(p.Data(), p.Remote)
	}
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

func (s *portable) writeDontFragment(*Writer, *Packet) error { return errors.ErrUnsupported }

func (s *portable) close() error {
	if err := s.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
