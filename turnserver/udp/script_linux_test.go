package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scripted is a kernel that answers sends from a script and keeps what it took.
type scripted struct {
	system
	script []answer
	forget bool // repeat the last answer for ever
	calls  []string
	took   []string // payloads, the packets of a run joined by "+"
	during func()   // called in every send
}

// answer is the result of one call: how many messages are taken at most, or an error.
type answer struct {
	taken int
	errno unix.Errno
}

func (k *scripted) next() answer {
	a := answer{taken: maxEntries}
	if len(k.script) > 0 {
		a = k.script[0]
		if !k.forget || len(k.script) > 1 {
			k.script = k.script[1:]
		}
	}
	if k.during != nil {
		k.during()
	}
	if len(k.calls) > 1000 {
		panic("no end of system calls")
	}
	return a
}

func (k *scripted) sendmmsg(_ int, messages []message) (int, unix.Errno) {
	k.calls = append(k.calls, fmt.Sprint(len(messages)))
	a := k.next()
	n := min(a.taken, len(messages))
	for i := range messages[:n] {
		k.take(&messages[i])
	}
	return n, a.errno
}

func (k *scripted) send(_ int, m *message) unix.Errno {
	k.calls = append(k.calls, "one")
	a := k.next()
	if a.errno == 0 && a.taken > 0 {
		k.take(m)
	}
	return a.errno
}

func (k *scripted) take(m *message) {
	var parts []string
	for _, v := range unsafe.Slice(m.Iov, m.Iovlen) {
		parts = append(parts, string(unsafe.Slice(v.Base, v.Len)))
	}
	k.took = append(k.took, strings.Join(parts, "+"))
}

func scriptedSocket(t *testing.T, k kernel, o Options) *linuxSocket {
	t.Helper()
	s := backends[0].open(t, "127.0.0.1:0", o).socket.(*linuxSocket)
	s.kernel = k
	return s
}

// packetsTo makes packets of words such as "a1", the letter naming the destination.
func packetsTo(words string) []Packet {
	var ps []Packet
	for _, word := range strings.Fields(words) {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(word[0]))
		ps = append(ps, packet(to, []byte(word)))
	}
	return ps
}

func TestScriptedWrites(t *testing.T) {
	const all = maxEntries
	tests := []struct {
		name    string
		packets string
		script  []answer
		forget  bool
		calls   string
		took    string
		sent    int
		err     error
		noGSO   bool
	}{
		{name: "a packet alone", packets: "a1", calls: "one", took: "a1", sent: 1},
		{name: "several entries", packets: "a1 b1 c1", calls: "3", took: "a1 b1 c1", sent: 3},
		{name: "a run", packets: "a1 a2 a3", calls: "one", took: "a1+a2+a3", sent: 3},
		{name: "runs, the last packet shorter", packets: "a10 a20 a3 a4 b1", calls: "3", took: "a10+a20+a3 a4 b1", sent: 5},
		{name: "a longer packet begins a run", packets: "a1 a20 a30", calls: "2", took: "a1 a20+a30", sent: 3},
		{
			name: "partial", packets: "a1 b1 c1 d1", script: []answer{{taken: 1}, {taken: 2}},
			calls: "4 3 one", took: "a1 b1 c1 d1", sent: 4,
		},
		{
			name: "first refused", packets: "a1 b1 c1", script: []answer{{errno: unix.EPERM}},
			calls: "3 2", took: "b1 c1", sent: 2, err: unix.EPERM,
		},
		{
			name: "middle refused", packets: "a1 b1 c1", script: []answer{{taken: 1}, {errno: unix.ENETUNREACH}},
			calls: "3 2 one", took: "a1 c1", sent: 2, err: unix.ENETUNREACH,
		},
		{
			name: "all refused", packets: "a1 b1 c1", script: []answer{{errno: unix.ECONNREFUSED}, {errno: unix.EMSGSIZE}}, forget: true,
			calls: "3 2 one", err: unix.ECONNREFUSED,
		},
		{
			name: "no memory for one", packets: "a1 b1", script: []answer{{errno: unix.ENOBUFS}},
			calls: "2 one", took: "b1", sent: 1, err: unix.ENOBUFS,
		},
		{
			name: "buffer full", packets: "a1 b1 c1", script: []answer{{taken: 1}, {errno: unix.EAGAIN}},
			calls: "3 2", took: "a1", sent: 1, err: unix.EAGAIN,
		},
		{
			name: "interrupted", packets: "a1 b1", script: []answer{{errno: unix.EINTR}, {errno: unix.EINTR}},
			calls: "2 2 2", took: "a1 b1", sent: 2,
		},
		{
			name: "interrupted for ever", packets: "a1 b1", script: []answer{{errno: unix.EINTR}}, forget: true,
			calls: strings.Repeat("2 ", maxInterrupts+1) + strings.TrimSpace(strings.Repeat("one ", maxInterrupts+1)), err: unix.EINTR,
		},
		{
			name: "no progress", packets: "a1 b1 c1", script: []answer{{}, {}, {taken: 1}},
			calls: "3 2 one", took: "c1", sent: 1, err: unix.EIO,
		},
		{
			name: "device without GSO", packets: "a1 a2 a3 b1", script: []answer{{errno: unix.EIO}},
			calls: "2 one one one one", took: "a1 a2 a3 b1", sent: 4, noGSO: true,
		},
		{
			name: "path too narrow for a run", packets: "a1 a2 b1", script: []answer{{errno: unix.EINVAL}},
			calls: "2 one one one", took: "a1 a2 b1", sent: 3,
		},
		{
			name: "path too narrow for a packet", packets: "a1 a2 b1", script: []answer{{errno: unix.EMSGSIZE}, {errno: unix.EMSGSIZE}},
			calls: "2 one one one", took: "a2 b1", sent: 2, err: unix.EMSGSIZE,
		},
		{
			name: "buffer full after GSO failed", packets: "a1 a2 b1", script: []answer{{errno: unix.EIO}, {taken: all}, {errno: unix.EAGAIN}},
			calls: "2 one one", took: "a1", sent: 1, err: unix.EAGAIN, noGSO: true,
		},
		{
			name: "run refused for another reason", packets: "a1 a2 b1", script: []answer{{errno: unix.EPERM}},
			calls: "2 one", took: "b1", sent: 1, err: unix.EPERM,
		},
		{
			name: "EIO of a packet alone", packets: "a1 b1", script: []answer{{errno: unix.EIO}},
			calls: "2 one", took: "b1", sent: 1, err: unix.EIO,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := &scripted{script: test.script, forget: test.forget}
			s := scriptedSocket(t, k, Options{})
			s.noGSO.Store(false)
			sent, err := s.writeBatch(NewWriter(), packetsTo(test.packets))
			if sent != test.sent || err != test.err {
				t.Errorf("sent %d, %v; want %d, %v", sent, err, test.sent, test.err)
			}
			if got := strings.Join(k.calls, " "); got != test.calls {
				t.Errorf("calls: %s\n want: %s", got, test.calls)
			}
			if got := strings.Join(k.took, " "); got != test.took {
				t.Errorf("the kernel took: %s\nwant: %s", got, test.took)
			}
			if gso := s.capabilities().GSO; gso == test.noGSO {
				t.Errorf("GSO afterwards: %v", gso)
			}
		})
	}
}

func TestNoRunsOnceGSOFailed(t *testing.T) {
	k := &scripted{script: []answer{{errno: unix.EIO}}}
	s := scriptedSocket(t, k, Options{})
	s.noGSO.Store(false)
	w := NewWriter()
	for range 2 {
		if sent, err := s.writeBatch(w, packetsTo("a1 a2")); sent != 2 || err != nil {
			t.Fatal(sent, err)
		}
	}
	if got, want := strings.Join(k.calls, " "), "one one one 2"; got != want {
		t.Fatalf("calls: %s, want %s", got, want)
	}
}

func TestRunLimits(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:9")
	repeat := func(n, size int) (ps []Packet) {
		for range n {
			ps = append(ps, packet(to, make([]byte, size)))
		}
		return ps
	}
	otherSource := repeat(3, 10)
	otherSource[2].Local = netip.MustParseAddr("127.0.0.2")
	tests := []struct {
		name    string
		packets []Packet
		want    int
	}{
		{"alone", repeat(1, 10), 1},
		{"empty packets make no run", repeat(3, 0), 1},
		{"an empty packet ends a run", append(repeat(3, 10), repeat(1, 0)...), 3},
		{"a shorter packet ends a run", append(append(repeat(3, 10), repeat(1, 5)...), repeat(1, 5)...), 4},
		{"a longer packet is not in it", append(repeat(3, 10), repeat(1, 11)...), 3},
		{"another source", otherSource, 2},
		{"as long as a datagram", repeat(64, 1200), 54},
		{"exactly a datagram", append(repeat(1, 32754), repeat(1, 32753)...), 2},
		{"a byte more", repeat(2, 32754), 1},
	}
	for _, test := range tests {
		if got := runLength(test.packets); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestLongBatchIsCut(t *testing.T) {
	k := &scripted{}
	s := scriptedSocket(t, k, Options{})
	s.noGSO.Store(false)
	var words []string
	for i := range 130 { // every other packet for another destination
		words = append(words, fmt.Sprintf("%c%d", 'a'+i%2, i))
	}
	sent, err := s.writeBatch(NewWriter(), packetsTo(strings.Join(words, " ")))
	if sent != len(words) || err != nil {
		t.Fatal(sent, err)
	}
	if got, want := strings.Join(k.calls, " "), "64 64 2"; got != want {
		t.Fatalf("calls: %s, want %s", got, want)
	}
	if !slices.Equal(k.took, words) {
		t.Fatal("the order changed")
	}
}

// TestClosedDuringWrite closes a shared socket, which has no lock against it, between
// the check and the system call.
func TestClosedDuringWrite(t *testing.T) {
	k := &scripted{script: []answer{{errno: unix.EINVAL}}, forget: true}
	s := scriptedSocket(t, k, Options{Shared: true})
	k.during = func() { s.close() }
	if sent, err := s.writeBatch(NewWriter(), packetsTo("a1 b1")); sent != 0 || err != net.ErrClosed {
		t.Fatal(sent, err)
	}
}

func TestDontFragmentIsSwitchedBack(t *testing.T) {
	for _, errno := range []unix.Errno{0, unix.EMSGSIZE} {
		k := &scripted{script: []answer{{taken: 1, errno: errno}}}
		s := scriptedSocket(t, k, Options{})
		mode := func() int {
			n, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		during := -1
		k.during = func() { during = mode() }
		p := packetsTo("a1")[0]
		err := s.writeDontFragment(NewWriter(), &p)
		if (errno == 0) != (err == nil) || errno != 0 && err != errno {
			t.Errorf("errno %v: %v", errno, err)
		}
		if during != unix.IP_PMTUDISC_PROBE || mode() != unix.IP_PMTUDISC_DONT {
			t.Errorf("errno %v: IP_MTU_DISCOVER was %d during and %d after", errno, during, mode())
		}
	}
}

func TestDontFragmentUnsupported(t *testing.T) {
	p := packetsTo("a1")[0]
	shared := scriptedSocket(t, &scripted{}, Options{Shared: true})
	if err := shared.writeDontFragment(NewWriter(), &p); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("shared: %v", err)
	}
	if shared.capabilities().DontFragment {
		t.Error("a shared socket claims to do it")
	}
	p.Remote = netip.MustParseAddrPort("[::1]:9")
	if err := scriptedSocket(t, &scripted{}, Options{}).writeDontFragment(NewWriter(), &p); err != unix.EAFNOSUPPORT {
		t.Errorf("other family: %v", err)
	}
}

// TestWritesHoldTheLock looks from inside the system call: Close cannot happen under a
// writer, nor an ordinary write while the socket is switched to set DF.
func TestWritesHoldTheLock(t *testing.T) {
	k := &scripted{}
	s := scriptedSocket(t, k, Options{})
	p := packetsTo("a1")
	k.during = func() {
		if s.mu.TryLock() {
			s.mu.Unlock()
			t.Error("WriteBatch lets Close in")
		}
		if !s.mu.TryRLock() {
			t.Error("WriteBatch keeps other writers out")
			return
		}
		s.mu.RUnlock()
	}
	if _, err := s.writeBatch(NewWriter(), p); err != nil {
		t.Fatal(err)
	}
	k.during = func() {
		if s.mu.TryRLock() {
			s.mu.RUnlock()
			t.Error("WriteDontFragment lets ordinary writers in")
		}
	}
	if err := s.writeDontFragment(NewWriter(), &p[0]); err != nil {
		t.Fatal(err)
	}
}

// faulty is the system's kernel, except that its first reads fail; it counts them all.
type faulty struct {
	system
	errno  unix.Errno
	faults atomic.Int64 // reads still to fail
	reads  atomic.Int64
	peeks  atomic.Int64
	failed chan struct{} // closed when none is left
}

func (k *faulty) recvmmsg(fd int, messages []message) (int, unix.Errno) {
	k.reads.Add(1)
	if left := k.faults.Add(-1); left >= 0 {
		if left == 0 {
			close(k.failed)
		}
		return 0, k.errno
	}
	return k.system.recvmmsg(fd, messages)
}

func (k *faulty) peek(fd int) unix.Errno {
	k.peeks.Add(1)
	return k.system.peek(fd)
}

func newFaulty(faults int64, errno unix.Errno) *faulty {
	k := &faulty{errno: errno, failed: make(chan struct{})}
	k.faults.Store(faults)
	return k
}

// TestReadErrors has datagrams' errors come before datagrams.
func TestReadErrors(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ECONNREFUSED, unix.EINTR, unix.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			client := backends[0].open(t, "127.0.0.1:0", Options{})
			s := scriptedSocket(t, newFaulty(readAttempts-1, errno), Options{})
			send(t, client, packet(s.local, []byte("x")))
			if got := read(t, &Conn{s}, NewBatch(2), 1)[0]; string(got.Data()) != "x" {
				t.Fatalf("got %q", got.Data())
			}
		})
	}
}

// TestErrorsDoNotSpin has reads fail more often than a wake-up may try: Serve waits,
// and the next datagram brings both.
func TestErrorsDoNotSpin(t *testing.T) {
	client := backends[0].open(t, "127.0.0.1:0", Options{})
	k := newFaulty(readAttempts, unix.ECONNREFUSED)
	s := scriptedSocket(t, k, Options{})
	server := &Conn{s}
	send(t, client, packet(s.local, []byte("1")))
	got := make(chan string, 2)
	ended := serve(server, func(b *Batch) {
		for i := range b.Packets {
			got <- string(b.Packets[i].Data())
		}
	})
	await(t, "the failures", k.failed)
	send(t, client, packet(s.local, []byte("2")))
	for _, want := range []string{"1", "2"} {
		if p := await(t, "a packet", got); p != want {
			t.Fatalf("got %q, want %q", p, want)
		}
	}
	if n := k.reads.Load(); n > 2*readAttempts {
		t.Fatalf("%d reads", n)
	}
	server.Close()
	await(t, "the end of Serve", ended)
}

// TestServeReadsOncePerWakeUp counts the reads of packets that come one by one: a read
// that comes back short is not followed by one that finds nothing.
func TestServeReadsOncePerWakeUp(t *testing.T) {
	const n = 200
	client := backends[0].open(t, "127.0.0.1:0", Options{})
	k := newFaulty(0, 0)
	s := scriptedSocket(t, k, Options{})
	server := &Conn{s}
	got := make(chan struct{})
	ended := serve(server, func(*Batch) { got <- struct{}{} })
	for range n {
		send(t, client, packet(s.local, []byte("x")))
		await(t, "a packet", got)
	}
	server.Close()
	await(t, "the end of Serve", ended)
	// The poller may report an arrival twice, so a few more are no fault.
	if reads := k.reads.Load(); reads > n+n/4 {
		t.Errorf("%d reads for %d packets", reads, n)
	}
	if peeks := k.peeks.Load(); peeks != 1 {
		t.Errorf("%d peeks", peeks)
	}
}

// TestIdleServeBorrowsNothing waits until Serve has looked at an empty socket.
func TestIdleServeBorrowsNothing(t *testing.T) {
	k := &lookout{looked: make(chan struct{})}
	s := scriptedSocket(t, k, Options{})
	c := &Conn{s}
	h := &handler{batch: NewBatch(1)}
	h.handle = func(*Batch) { t.Error("handled nothing") }
	borrowed := &borrows{Borrower: h}
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(borrowed) }()
	await(t, "the look", k.looked)
	c.Close()
	await(t, "the end of Serve", ended)
	if borrowed.n != 0 {
		t.Fatalf("borrowed %d times", borrowed.n)
	}
}

// lookout tells when the socket has been looked at.
type lookout struct {
	system
	looked chan struct{}
}

func (k *lookout) peek(fd int) unix.Errno {
	defer close(k.looked)
	return k.system.peek(fd)
}

// borrows counts.
type borrows struct {
	Borrower
	n int
}

func (b *borrows) Borrow() *Batch {
	b.n++
	return b.Borrower.Borrow()
}
