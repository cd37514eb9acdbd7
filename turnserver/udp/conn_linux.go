package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// linuxSocket is a socket in terms of Linux's system calls.
type linuxSocket struct {
	kernel kernel
	fd     int
	file   *os.File        // owns fd
	poller syscall.RawConn // waits for fd

	local      netip.AddrPort
	family     uint16 // AF_INET or AF_INET6; the latter carries IPv4 as IPv4-mapped
	packetInfo bool
	shared     bool

	// noGSO is set for good once a device turns out unable.
	noGSO atomic.Bool

	// closed is set under mu and read without it.
	closed atomic.Bool

	// mu is held shared by the writers of a socket that is not, and alone by what
	// changes the descriptor under them. It guards serving.
	mu      sync.RWMutex
	serving int // calls of serve that still use the descriptor
}

// listen binds a socket of Linux's own.
func listen(addr netip.AddrPort, o Options) (socket, error) {
	s, err := open(unix.Socket, addr, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open creates, configures and binds a descriptor and registers it with the runtime's
// poller. create is unix.Socket.
func open(create func(domain, kind, protocol int) (int, error), addr netip.AddrPort, o Options) (*linuxSocket, error) {
	s := &linuxSocket{
		kernel: system{}, local: addr, family: unix.AF_INET,
		packetInfo: o.PacketInfo, shared: o.Shared,
	}
	if addr.Addr().Is6() {
		s.family = unix.AF_INET6
	}
	fd, err := create(int(s.family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified():
		// On a machine without IPv6, IPv4 is all there is to listen on.
		return open(create, netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), o)
	case err != nil:
		return nil, os.NewSyscallError("socket", err)
	}
	s.fd = fd
	if err := s.bind(o); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := s.register(); err != nil {
		return nil, err
	}
	return s, nil
}

// bind sets the options, binds, and learns what the kernel made of it.
func (s *linuxSocket) bind(o Options) error {
	if err := s.configure(o); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	name, err := toSockaddr(s.local)
	if err != nil {
		return err
	}
	if err := unix.Bind(s.fd, name); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if name, err = unix.Getsockname(s.fd); err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.local = netip.AddrPortFrom(s.local.Addr(), port(name))
	// A kernel before 4.18 does not know UDP_SEGMENT and would send one long datagram.
	_, err = unix.GetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	s.noGSO.Store(err != nil)
	return nil
}

// configure sets the options. Only buffer sizes are wishes, the others must hold.
func (s *linuxSocket) configure(o Options) error {
	set := func(level, name, value int) error { return unix.SetsockoptInt(s.fd, level, name, value) }
	err := set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	if s.family == unix.AF_INET6 {
		only6 := 1
		if s.local.Addr() == netip.IPv6Unspecified() {
			only6 = 0
		}
		err = errors.Join(err, set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only6),
			set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT))
	}
	if o.ReusePort {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	switch {
	case o.PacketInfo && s.family == unix.AF_INET6: // tells of IPv4 packets as well
		err = errors.Join(err, set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
	case o.PacketInfo:
		err = errors.Join(err, set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
	}
	// The forcing options pass the system's limits, for those who may.
	if n := o.ReceiveBuffer; n > 0 && set(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
		_ = set(unix.SOL_SOCKET, unix.SO_RCVBUF, n)
	}
	if n := o.SendBuffer; n > 0 && set(unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, n) != nil {
		_ = set(unix.SOL_SOCKET, unix.SO_SNDBUF, n)
	}
	return err
}

// register gives the descriptor to the runtime's poller, or closes it.
func (s *linuxSocket) register() error {
	s.file = os.NewFile(uintptr(s.fd), "udp")
	// Only a descriptor that the poller has taken can have a deadline.
	err := s.file.SetReadDeadline(time.Time{})
	if err == nil {
		s.poller, err = s.file.SyscallConn()
	}
	if err != nil {
		_ = s.file.Close()
		return fmt.Errorf("register with the poller: %w", err)
	}
	return nil
}

func toSockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	scope, ok := zoneIndex(a.Addr().Zone())
	if !ok {
		return nil, fmt.Errorf("no interface is named %q", a.Addr().Zone())
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), ZoneId: scope, Addr: a.Addr().As16()}, nil
}

func port(name unix.Sockaddr) uint16 {
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return uint16(name.Port)
	case *unix.SockaddrInet6:
		return uint16(name.Port)
	}
	return 0
}

func (s *linuxSocket) localAddr() netip.AddrPort { return s.local }

func (s *linuxSocket) capabilities() Capabilities {
	return Capabilities{
		Batch: true, GSO: !s.noGSO.Load(), ReusePort: true, PacketInfo: true, DontFragment: !s.shared,
	}
}

// enterWrite begins the use of the descriptor by a writer; leaveWrite ends it.
func (s *linuxSocket) enterWrite() error {
	if !s.shared {
		s.mu.RLock()
	}
	if s.closed.Load() {
		s.leaveWrite()
		return net.ErrClosed
	}
	return nil
}

func (s *linuxSocket) leaveWrite() {
	if !s.shared {
		s.mu.RUnlock()
	}
	// A shared socket's descriptor is closed by the collector.
	runtime.KeepAlive(s.file)
}

// enterServe keeps the descriptor's number from being closed until leaveServe.
func (s *linuxSocket) enterServe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return net.ErrClosed
	}
	s.serving++
	return nil
}

func (s *linuxSocket) leaveServe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
	if s.closed.Load() && s.serving == 0 && !s.shared {
		_ = s.file.Close()
	}
}

// close closes the descriptor if nobody can be using it. Otherwise it may not wait for
// those who do (one of them may be the caller, in Handle): it buries the socket, and
// the number goes to the last user, or to the collector if nobody counts the users.
func (s *linuxSocket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Swap(true) {
		return nil
	}
	if s.serving == 0 && !s.shared {
		return s.file.Close()
	}
	return errors.Join(s.bury(), s.file.SetReadDeadline(time.Unix(1, 0)))
}

// bury puts a socket without an address in the place of this one, which frees the
// address, and makes late calls fail instead of meeting somebody else's descriptor.
func (s *linuxSocket) bury() error {
	dead, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(dead)
	return os.NewSyscallError("dup3", unix.Dup3(dead, s.fd, unix.O_CLOEXEC))
}
