package nat

import (
	"errors"
	"net"
	"net/netip"
)

// Network is where discovery's sockets come from.
type Network interface {
	// Route returns the local address that packets to a destination leave from.
	Route(to netip.AddrPort) (netip.Addr, error)

	// Listen opens a UDP socket on a free port of a local address. With dontFragment
	// its packets are never fragmented, here or on the way; the error wraps
	// errors.ErrUnsupported where that cannot be had.
	Listen(local netip.Addr, dontFragment bool) (Socket, error)
}

// Socket is a UDP socket. Its methods are safe for concurrent use. ReadFrom blocks until
// there is a packet, or the socket is closed or broken.
type Socket interface {
	LocalAddr() netip.AddrPort
	ReadFrom(p []byte) (n int, from netip.AddrPort, err error)
	WriteTo(p []byte, to netip.AddrPort) error
	Close() error
}

// System is the network of this host.
type System struct{}

// Route returns the local address that packets to a destination leave from. Nothing is
// sent.
func (System) Route(to netip.AddrPort) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// Listen opens a UDP socket.
func (System) Listen(local netip.Addr, dontFragment bool) (Socket, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, err
	}
	if dontFragment {
		if err := setDontFragment(conn, local.Is4()); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return systemSocket{conn}, nil
}

// systemSocket is a socket of this host.
type systemSocket struct{ conn *net.UDPConn }

func (s systemSocket) LocalAddr() netip.AddrPort {
	at := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// readErrors is how many errors in a row a socket may report before it is broken. A
// kernel reports so what became of packets sent before.
const readErrors = 64

func (s systemSocket) ReadFrom(p []byte) (n int, from netip.AddrPort, err error) {
	for range readErrors {
		n, from, err = s.conn.ReadFromUDPAddrPort(p)
		if err == nil || errors.Is(err, net.ErrClosed) {
			break
		}
	}
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

func (s systemSocket) WriteTo(p []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(p, to)
	return err
}

func (s systemSocket) Close() error { return s.conn.Close() }
