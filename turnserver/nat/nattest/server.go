package nattest

import (
	"net/netip"
	"sync"

	"hairpin/turnserver/nat"
)

// Server is a STUN server on a host. Its sockets are read until Close.
type Server struct {
	sockets map[netip.AddrPort]*Socket
	readers sync.WaitGroup
}

// Answer decides what a server sends for a packet: nothing, or any number of packets.
// Those whose Source is not one of the server's sockets are not sent.
type Answer func(request []byte, source, local netip.AddrPort) []Packet

// Serve runs a server on some transport addresses of a host.
func Serve(h *Host, answer Answer, at ...netip.AddrPort) (*Server, error) {
	s := &Server{sockets: make(map[netip.AddrPort]*Socket)}
	for _, local := range at {
		socket, err := h.Open(local)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.sockets[local] = socket
	}
	for _, socket := range s.sockets {
		s.readers.Go(func() { s.serve(socket, answer) })
	}
	return s, nil
}

func (s *Server) serve(socket *Socket, answer Answer) {
	buf := make([]byte, 65536)
	for {
		n, source, err := socket.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, p := range answer(buf[:n], source, socket.local) {
			if from := s.sockets[p.Source]; from != nil {
				_ = from.send(p) // only fails once it is closed
			}
		}
	}
}

// Close stops the server.
func (s *Server) Close() {
	for _, socket := range s.sockets {
		_ = socket.Close()
	}
	s.readers.Wait()
}

// Respond returns the Answer of a responder.
func Respond(r *nat.Responder) Answer {
	return func(request []byte, source, local netip.AddrPort) []Packet {
		response, ok := r.Respond(nil, request, source, local)
		if !ok {
			return nil
		}
		return []Packet{{Source: response.From, Destination: response.To, Data: response.Data}}
	}
}
