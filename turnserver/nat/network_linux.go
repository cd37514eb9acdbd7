package nat

import (
	"net"
	"os"
	"syscall"
)

// setDontFragment sets the DF bit on all packets, whatever path MTU the kernel has
// heard of: that is what is to be measured.
func setDontFragment(conn *net.UDPConn, four bool) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option, value := syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_PROBE
	if four {
		level, option, value = syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_PROBE
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", failed)
}
