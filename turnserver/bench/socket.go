package bench

import (
	"net"
	"net/netip"

	"hairpin/turnserver/udp"
)

// socket is what a client or a peer sends and receives through. Any number of
// goroutines write; one serves.
type socket interface {
	// WriteBatch sends packets in order without waiting for the network, and returns
	// how many were taken; the error is the reason of the first that was not.
	WriteBatch(w *udp.Writer, ps []udp.Packet) (sent int, err error)

	LocalAddr() netip.AddrPort

	// Drops returns how much of what arrived was thrown away before it was read.
	Drops() uint64

	// serve hands what arrives to r until the socket is closed.
	serve(r *receiver) error

	Close() error
}

// datagrams is a UDP socket.
type datagrams struct{ *udp.Conn }

func (d datagrams) serve(r *receiver) error { return d.Serve(r) }

// closed is the socket of a client that has none yet.
type closed struct{}

func (closed) WriteBatch(*udp.Writer, []udp.Packet) (int, error) { return 0, net.ErrClosed }
func (closed) LocalAddr() netip.AddrPort                         { return netip.AddrPort{} }
func (closed) Drops() uint64                                     { return 0 }
func (closed) serve(*receiver) error                             { return net.ErrClosed }
func (closed) Close() error                                      { return nil }
