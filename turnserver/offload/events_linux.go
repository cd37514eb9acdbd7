package offload

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// eventsBuffer is room for the largest message netlink sends, in bytes.
const eventsBuffer = 64 << 10

// eventsQueue is how many bytes of them may wait in the kernel.
const eventsQueue = 4 << 20

// openEvents returns a socket that hears of changes of this network namespace's
// interfaces, addresses, routes, rules, next hop objects and neighbours.
func openEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	// While routes come and go by the thousand; a kernel that gives less makes them be
	// read anew.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsQueue)
	for _, group := range []int{
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_NEXTHOP,
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil && group != unix.RTNLGRP_NEXTHOP {
			_ = unix.Close(fd)
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// hear reads what changes, until the socket is closed.
func hear(events *os.File, n *news) {
	buf := make([]byte, eventsBuffer)
	for {
		got, err := events.Read(buf)
		switch {
		case err == nil:
			n.add(buf[:got])
		case errors.Is(err, unix.ENOBUFS):
			n.anything()
		default:
			return
		}
	}
}
