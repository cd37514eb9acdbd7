package udp

import (
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxEntries is the number of packets gathered for one system call: as many as
	// the kernel takes in one run (UDP_MAX_SEGMENTS of the first kernels with GSO).
	maxEntries = 64

	// maxRun is the longest run in bytes: what an IPv4 datagram can hold, since the
	// kernel builds one before it cuts it.
	maxRun = 65535 - 20 - 8

	// maxInterrupts bounds how often in a row an interrupted send is tried again.
	maxInterrupts = 8
)

// writerSys is what a Writer hands to the kernel: entries, the messages, over the
// packets, the vectors.
type writerSys struct {
	messages [maxEntries]message
	vectors  [maxEntries]unix.Iovec
	names    [maxEntries]sockaddr
	controls [maxEntries]control
}

func (w *writerSys) init() {
	for i := range w.messages {
		w.messages[i].Name = &w.names[i][0]
	}
}

// outcome counts the packets of a send; err is the reason of the first refusal.
type outcome struct {
	sent int
	err  error
}

func (o *outcome) refuse(errno unix.Errno) {
	if errno == 0 {
		errno = unix.EIO // it took nothing and does not say why
	}
	if o.err == nil {
		o.err = errno
	}
}

func (s *linuxSocket) writeBatch(w *Writer, ps []Packet) (int, error) {
	if err := s.enterWrite(); err != nil {
		return 0, err
	}
	defer s.leaveWrite()
	var o outcome
	for len(ps) > 0 {
		entries, packets := s.load(&w.sys, ps)
		if entries == 0 { // the first packet cannot be addressed
			o.refuse(unix.EAFNOSUPPORT)
			packets = 1
		}
		ps = ps[packets:]
		if !s.flush(&w.sys, entries, &o) {
			o.refuse(unix.EAGAIN)
			break
		}
	}
	if o.err != nil && s.closed.Load() {
		return o.sent, net.ErrClosed
	}
	return o.sent, o.err
}

// load makes entries of the first of ps, as many as there is room for and up to the
// first packet that cannot be addressed. It returns the numbers of both.
func (s *linuxSocket) load(w *writerSys, ps []Packet) (entries, packets int) {
	ps = ps[:min(len(ps), maxEntries)]
	for packets < len(ps) {
		n := 1
		if !s.noGSO.Load() {
			n = runLength(ps[packets:])
		}
		if !s.loadEntry(w, entries, packets, ps[packets:packets+n]) {
			break
		}
		entries++
		packets += n
	}
	return entries, packets
}

// runLength returns how many packets from the first on form a run.
func runLength(ps []Packet) int {
	first := &ps[0]
	size := first.End - first.Start
	total := size
	for i := 1; i < len(ps); i++ {
		p := &ps[i]
		n := p.End - p.Start
		total += n
		if n == 0 || n > size || total > maxRun || p.Remote != first.Remote || p.Local != first.Local {
			return i
		}
		if n < size {
			return i + 1 // only the last may be shorter
		}
	}
	return len(ps)
}

// loadEntry makes entry i of a run whose first packet is in vector v, and reports
// whether a socket of this family can send it.
func (s *linuxSocket) loadEntry(w *writerSys, i, v int, run []Packet) bool {
	first := &run[0]
	m := &w.messages[i]
	if m.Namelen = w.names[i].put(s.family, first.Remote); m.Namelen == 0 {
		return false
	}
	m.Iov = &w.vectors[v]
	m.SetIovlen(len(run))
	for j := range run {
		data := run[j].Data()
		w.vectors[v+j].Base = unsafe.SliceData(data)
		w.vectors[v+j].SetLen(len(data))
	}
	used := 0
	if first.Local.IsValid() && s.packetInfo {
		if s.family == unix.AF_INET && !first.Local.Is4() {
			return false
		}
		used = w.controls[i].putSource(used, s.family, first.Local)
	}
	if len(run) > 1 {
		used = w.controls[i].putSegmentSize(used, len(first.Data()))
	}
	m.setControl(&w.controls[i], used)
	return true
}

// setControl makes the first n bytes of c the message's control messages.
func (m *message) setControl(c *control, n int) {
	m.Control = nil
	if n > 0 {
		m.Control = &c[0]
	}
	m.SetControllen(n)
}

// flush sends the first n entries, and reports false if the kernel's buffer is full.
// Every call of the kernel either takes an entry or has it left out, except that an
// interrupted one is made again a bounded number of times: so flush ends.
func (s *linuxSocket) flush(w *writerSys, n int, o *outcome) (room bool) {
	interrupts := 0
	for i := 0; i < n; {
		taken, errno := s.sendSome(w.messages[i:n])
		switch {
		case taken > 0:
			interrupts = 0
			for j := i; j < i+taken; j++ {
				o.sent += int(w.messages[j].Iovlen)
			}
			i += taken
		case errno == unix.EAGAIN:
			return false
		case errno == unix.EINTR && interrupts < maxInterrupts:
			interrupts++
		case !s.refused(&w.messages[i], errno, o):
			return false
		default:
			interrupts = 0
			i++
		}
	}
	return true
}

// sendSome has the kernel take at least the first of the messages, or say why not.
func (s *linuxSocket) sendSome(messages []message) (taken int, errno unix.Errno) {
	if len(messages) > 1 {
		return s.kernel.sendmmsg(s.fd, messages)
	}
	if errno := s.kernel.send(s.fd, &messages[0]); errno != 0 {
		return 0, errno
	}
	return 1, 0
}

// refused deals with an entry the kernel did not take. A run is sent again packet by
// packet if GSO may be the reason. A device that cannot do it at all (EIO) ends its
// use; that a run's packets are longer than the path takes whole (EINVAL, EMSGSIZE)
// does not, or one peer far away could end it for all. It reports false if the kernel's
// buffer is full.
func (s *linuxSocket) refused(m *message, errno unix.Errno, o *outcome) (room bool) {
	run := m.Iovlen > 1
	switch {
	case run && errno == unix.EIO:
		s.noGSO.Store(true)
		return s.sendSingly(m, o)
	case run && (errno == unix.EINVAL || errno == unix.EMSGSIZE):
		return s.sendSingly(m, o)
	default:
		o.refuse(errno)
		return true
	}
}

// sendSingly sends the packets of a run one by one, and reports false if the kernel's
// buffer is full.
func (s *linuxSocket) sendSingly(m *message, o *outcome) (room bool) {
	packets := unsafe.Slice(m.Iov, m.Iovlen)
	m.SetIovlen(1)
	m.SetControllen(int(m.Controllen) - unix.CmsgSpace(segmentSizeLength)) // it is the last
	for i := range packets {
		m.Iov = &packets[i]
		switch errno := s.send(m); errno {
		case 0:
			o.sent++
		case unix.EAGAIN:
			return false
		default:
			o.refuse(errno)
		}
	}
	return true
}

// send sends one message that is not a run.
func (s *linuxSocket) send(m *message) unix.Errno {
	errno := unix.EINTR
	for i := 0; errno == unix.EINTR && i < maxInterrupts; i++ {
		errno = s.kernel.send(s.fd, m)
	}
	return errno
}

func (s *linuxSocket) writeDontFragment(w *Writer, p *Packet) error {
	if s.shared {
		return errors.ErrUnsupported
	}
	if p.Remote.Addr().Is4() {
		return s.sendSwitched(&w.sys, p)
	}
	return s.sendWhole(&w.sys, p)
}

func asError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// sendSwitched sends an IPv4 packet while the whole socket is switched to set DF: IPv4
// has no control message for it. PROBE, unlike DO, lets the packet try even where an
// ICMP message, which anybody can forge, has claimed that the path is narrow.
func (s *linuxSocket) sendSwitched(w *writerSys, p *Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return net.ErrClosed
	}
	if !s.loadEntry(w, 0, 0, unsafe.Slice(p, 1)) {
		return unix.EAFNOSUPPORT
	}
	errno := s.kernel.setsockopt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	if errno != 0 {
		return errno
	}
	errno = s.send(&w.messages[0])
	back := s.kernel.setsockopt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	if errno == 0 {
		errno = back
	}
	return asError(errno)
}

// sendWhole sends an IPv6 packet that this machine may not fragment.
func (s *linuxSocket) sendWhole(w *writerSys, p *Packet) error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.leaveWrite()
	if !s.loadEntry(w, 0, 0, unsafe.Slice(p, 1)) {
		return unix.EAFNOSUPPORT
	}
	m := &w.messages[0]
	m.setControl(&w.controls[0], w.controls[0].putDontFragment(int(m.Controllen)))
	return asError(s.send(m))
}
