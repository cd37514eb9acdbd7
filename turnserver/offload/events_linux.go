package offload

import (
	"errors"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// eventsBuffer is room for the largest message netlink sends, in bytes.
const eventsBuffer = 64 << 10

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

// hear reads changes until the socket is closed, and hands each batch over.
func hear(events *os.File, changes chan<- []change, done <-chan struct{}) {
	buf := make([]byte, eventsBuffer)
	for {
		n, err := events.Read(buf)
		batch := []change{{}} // what was missed may have been anything
		switch {
		case err == nil:
			batch = parseEvents(buf[:n])
		case !errors.Is(err, unix.ENOBUFS):
			return
		}
		if len(batch) == 0 {
			continue
		}
		select {
		case changes <- batch:
		case <-done:
			return
		}
	}
}

// parseEvents returns what a batch of netlink messages changes: either neighbours, or
// anything.
func parseEvents(batch []byte) []change {
	messages, err := syscall.ParseNetlinkMessage(batch)
	if err != nil {
		return []change{{}}
	}
	var changes []change
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
			c, ok := neighbourEvent(&m)
			if ok {
				changes = append(changes, c)
			}
		case unix.NLMSG_DONE, unix.NLMSG_NOOP:
		default:
			return []change{{}}
		}
	}
	return changes
}

func neighbourEvent(m *syscall.NetlinkMessage) (change, bool) {
	if len(m.Data) < unix.SizeofNdMsg || m.Data[0] != unix.AF_INET && m.Data[0] != unix.AF_INET6 {
		return change{}, false
	}
	entry, err := netlink.NeighDeserialize(m.Data)
	if err != nil {
		return change{}, false
	}
	if m.Header.Type == unix.RTM_DELNEIGH {
		entry.State = unix.NUD_NONE
	}
	return changeOf(entry)
}
