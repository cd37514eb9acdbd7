package udp

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// readAttempts bounds the reads of one wake-up that fail. Each takes an error off the
// socket's queue, so the next may succeed; if the queue never ends, the socket waits
// for the next datagram instead of spinning.
const readAttempts = 16

// batchSys is the kernel's view of a Batch: one message for each slot.
type batchSys struct {
	messages []message
	vectors  []unix.Iovec
	names    []sockaddr
	controls []control
	used     int // messages the last read wrote to

	// poll reads from reading, and reports whether there was something. It is made
	// once, here, since a function value made for each read would be an allocation.
	poll    func(uintptr) bool
	reading *linuxSocket
}

func (r *batchSys) init(b *Batch) {
	n := len(b.slots)
	r.messages, r.vectors = make([]message, n), make([]unix.Iovec, n)
	r.names, r.controls = make([]sockaddr, n), make([]control, n)
	for i := range r.messages {
		r.vectors[i].Base = &b.payload(i)[0]
		r.vectors[i].SetLen(MaxPayload)
		m := &r.messages[i]
		m.Name = &r.names[i][0]
		m.Iov = &r.vectors[i]
		m.SetIovlen(1)
		m.Control = &r.controls[i][0]
	}
	r.used = n
	r.poll = func(uintptr) bool { return r.reading.receive(b) > 0 }
}

// rearm makes the messages of the last read, whose lengths the kernel has overwritten,
// fit for the next.
func (r *batchSys) rearm() {
	for i := range r.messages[:r.used] {
		m := &r.messages[i]
		m.Namelen = uint32(len(r.names[i]))
		m.SetControllen(len(r.controls[i]))
	}
	r.used = 0
}

// receive sets b.Packets to what is queued, without waiting, and returns their number.
// Fewer than b has slots means that the queue was empty.
func (s *linuxSocket) receive(b *Batch) int {
	n := s.receiveMessages(&b.sys)
	for i := range n {
		m := &b.sys.messages[i]
		var local netip.Addr
		if s.packetInfo {
			local = b.sys.controls[i].destination(int(m.Controllen))
		}
		b.fill(i, int(m.length), b.sys.names[i].get(), local)
	}
	b.Packets = b.packets[:n]
	return n
}

func (s *linuxSocket) receiveMessages(r *batchSys) int {
	r.rearm()
	for range readAttempts {
		n, errno := s.kernel.recvmmsg(s.fd, r.messages)
		if errno == 0 || errno == unix.EAGAIN {
			r.used = n
			return n
		}
	}
	return 0
}

func (s *linuxSocket) readBatch(b *Batch) error {
	b.sys.reading = s
	err := s.poller.Read(b.sys.poll)
	b.sys.reading = nil
	if s.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// serve stays inside one call of the poller's Read for the socket's life. The poller is
// edge-triggered: it remembers an arrival that no wait has consumed yet, but forgets it
// when Read begins. So inside one Read, a read that returned fewer packets than asked
// for proves the queue empty, and it is safe to wait without first being told "nothing
// there" by another system call: whatever arrives after that proof is a new edge.
func (s *linuxSocket) serve(m Borrower) error {
	if err := s.enterServe(); err != nil {
		return err
	}
	defer s.leaveServe()
	v := &server{socket: s, borrower: m}
	err := s.poller.Read(v.ready)
	if s.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// server is the state of one serve.
type server struct {
	socket   *linuxSocket
	borrower Borrower
	begun    bool
}

// ready is called by the poller's Read first of all and then after each wake-up, and
// reports whether to end.
func (v *server) ready(uintptr) bool {
	if !v.begun {
		// Nobody has been woken yet. What arrived before Read began has lost its
		// edge, so it must be looked for; to look takes no memory.
		v.begun = true
		if v.socket.kernel.peek(v.socket.fd) == unix.EAGAIN {
			return false
		}
	}
	b := v.borrower.Borrow()
	defer v.borrower.Return(b)
	for !v.socket.closed.Load() {
		n := v.socket.receive(b)
		if n > 0 {
			v.borrower.Handle(b)
		}
		if n < len(b.slots) {
			break
		}
	}
	return v.socket.closed.Load()
}
