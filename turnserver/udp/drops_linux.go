package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's SK_MEMINFO_DROPS and SK_MEMINFO_VARS: which of a socket's figures is the
// number of datagrams dropped, and how many figures there are (Linux 4.12).
const (
	meminfoDrops = 8
	meminfoVars  = 9
)

func (s *linuxSocket) drops() uint64 {
	if s.enterWrite() != nil {
		return 0
	}
	defer s.leaveWrite()
	var info [meminfoVars]uint32
	length := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[meminfoDrops])
}
