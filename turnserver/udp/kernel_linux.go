package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is the system calls of the data path, as a value so that tests can script
// and count them. None of them waits.
type kernel interface {
	// recvmmsg returns how many of the messages it filled.
	recvmmsg(fd int, messages []message) (int, unix.Errno)

	// sendmmsg returns how many of the messages it took, in order, and an error only
	// if it took none.
	sendmmsg(fd int, messages []message) (int, unix.Errno)

	sendmsg(fd int, m *unix.Msghdr) unix.Errno

	// peek succeeds if a read would have something to return.
	peek(fd int) unix.Errno

	setsockopt(fd, level, name, value int) unix.Errno
}

// message is the kernel's struct mmsghdr.
type message struct {
	unix.Msghdr
	length uint32 // bytes received or sent
}

// system is the kernel this program runs on.
type system struct{}

func (system) recvmmsg(fd int, messages []message) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (system) sendmmsg(fd int, messages []message) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (system) sendmsg(fd int, m *unix.Msghdr) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), 0)
	return errno
}

func (system) peek(fd int) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_PEEK, 0, 0)
	return errno
}

func (system) setsockopt(fd, level, name, value int) unix.Errno {
	if err := unix.SetsockoptInt(fd, level, name, value); err != nil {
		errno, _ := err.(unix.Errno)
		return errno
	}
	return 0
}
