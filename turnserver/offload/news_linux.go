package offload

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// news is what has been heard of the network and not been taken in yet, each thing once,
// so that routes may come and go faster than ways can be asked for. One goroutine adds,
// another takes.
type news struct {
	waiting chan struct{} // holds a token if there is any

	mu sync.Mutex
	heard
}

// heard is what news are about.
type heard struct {
	all        bool // anything may have changed
	routes     map[netip.Prefix]bool
	neighbours map[neighbour]change
	links      map[int]netlink.Link // nil for one that is gone
	addresses  map[holding]bool     // whether they are there
	uplinks    map[uplink]bool      // whether they are there
}

// holding is an address on an interface.
type holding struct {
	address netip.Addr
	index   int
}

// maxNews bounds what waits: beyond it, anything may have changed.
const maxNews = 1 << 14

// routeNextHop is RTA_NH_ID of linux/rtnetlink.h, a next hop that is an object of its own.
const routeNextHop = 30

func newNews() *news { return &news{waiting: make(chan struct{}, 1), heard: newHeard()} }

func newHeard() heard {
	return heard{
		routes: make(map[netip.Prefix]bool), neighbours: make(map[neighbour]change),
		links: make(map[int]netlink.Link), addresses: make(map[holding]bool), uplinks: make(map[uplink]bool),
	}
}

// take returns what has been heard since it was last called.
func (n *news) take() heard {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.heard
	n.heard = newHeard()
	return taken
}

// anything says that something was missed, which may have been anything.
func (n *news) anything() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.missLocked()
	n.tellLocked()
}

func (n *news) missLocked() {
	n.heard = newHeard()
	n.all = true
}

func (n *news) tellLocked() {
	select {
	case n.waiting <- struct{}{}:
	default:
	}
}

// add notes a batch of netlink messages.
func (n *news) add(batch []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	messages, err := syscall.ParseNetlinkMessage(batch)
	if err != nil {
		n.missLocked()
	}
	for i := range messages {
		n.note(&messages[i])
	}
	if len(n.routes)+len(n.neighbours)+len(n.links)+len(n.addresses)+len(n.uplinks) > maxNews {
		n.missLocked()
	}
	if !n.empty() {
		n.tellLocked()
	}
}

func (h *heard) empty() bool {
	return !h.all && len(h.routes)+len(h.neighbours)+len(h.links)+len(h.addresses)+len(h.uplinks) == 0
}

func (h *heard) note(m *syscall.NetlinkMessage) {
	switch m.Header.Type {
	case unix.NLMSG_DONE, unix.NLMSG_NOOP:
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if c, ok := neighbourEvent(m); ok {
			h.neighbours[c.neighbour] = c
		}
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		h.noteLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		h.noteAddress(m)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		h.noteRoute(m)
	default:
		h.all = true
	}
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

// noteLink leaves out what a bridge says of its ports, and what is said by messages that
// have not all of an interface.
func (h *heard) noteLink(m *syscall.NetlinkMessage) {
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
		return
	}
	// What it returns refers to the message.
	l, err := netlink.LinkDeserialize(&unix.NlMsghdr{Type: m.Header.Type}, slices.Clone(m.Data))
	switch {
	case err != nil:
		h.all = true
	case m.Header.Type == unix.RTM_DELLINK:
		h.links[l.Attrs().Index] = nil
	case l.Attrs().MTU > 0:
		h.links[l.Attrs().Index] = l
	}
}

func (h *heard) noteAddress(m *syscall.NetlinkMessage) {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		h.all = true
		return
	}
	at := holding{index: int(binary.NativeEndian.Uint32(m.Data[4:]))}
	for _, a := range attributes {
		// An address that has a local form is the other end's.
		if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && !at.address.IsValid() {
			at.address, _ = addrOf(net.IP(a.Value))
		}
	}
	if at.address.IsValid() {
		h.addresses[at] = m.Header.Type == unix.RTM_NEWADDR
	}
}

// noteRoute notes where a route leads to, and by which machine.
func (h *heard) noteRoute(m *syscall.NetlinkMessage) {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		h.all = true
		return
	}
	const family, length, protocol, kind, flags = 0, 1, 5, 7, 8 // in struct rtmsg
	to := netip.PrefixFrom(netip.IPv4Unspecified(), int(m.Data[length]))
	if m.Data[family] == unix.AF_INET6 {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), int(m.Data[length]))
	}
	if f := m.Data[family]; f != unix.AF_INET && f != unix.AF_INET6 || binary.NativeEndian.Uint32(m.Data[flags:])&unix.RTM_F_CLONED != 0 {
		return // to many, or a sending's own
	}
	u := uplink{six: to.Addr().Is6()}
	through := false
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.RTA_DST:
			if ip, ok := netip.AddrFromSlice(a.Value); ok {
				to = netip.PrefixFrom(ip, to.Bits())
			}
		case unix.RTA_OIF:
			u.index = int(binary.NativeEndian.Uint32(a.Value))
		case unix.RTA_GATEWAY:
			u.ip, through = mustAddr(a.Value), true
		case unix.RTA_VIA, unix.RTA_MULTIPATH, routeNextHop:
			u.ip, through = netip.Addr{}, true // which one takes a look at the routes
		}
	}
	h.routes[to.Masked()] = true
	if m.Data[kind] == unix.RTN_UNICAST && (through || leadsOut(to.Bits(), int(m.Data[protocol]))) {
		u.main = to.Bits() == 0
		h.uplinks[u] = m.Header.Type == unix.RTM_NEWROUTE
	}
}

func mustAddr(b []byte) netip.Addr {
	ip, _ := netip.AddrFromSlice(b)
	return ip.Unmap()
}
