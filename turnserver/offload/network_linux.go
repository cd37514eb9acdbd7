package offload

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"hairpin/turnserver/offload/xdp"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// network is this machine's network as netlink tells it. It implements host. It stays in
// the network namespace that it was opened in; one goroutine uses it.
type network struct {
	handle     *netlink.Handle
	elsewhere  map[int]*nl.SocketHandle // asks for what is in other namespaces
	links      map[int]netlink.Link     // by index
	addresses  map[netip.Addr][]int     // this machine's own, and the interfaces each is on
	neighbours map[neighbour]xdp.MAC
	uplinks    [2]uplinks // of IPv4 and IPv6

	looked    atomic.Int64 // how often all was read
	doubtful  bool         // routes have changed, so that these may be others
	lookAgain time.Time    // not before then
}

func openNetwork() (*network, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		handle.Close()
		return nil, err
	}
	n := &network{handle: handle, elsewhere: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}}
	if err := errors.Join(n.refresh(), n.findUplinks()); err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *network) close() {
	n.handle.Close()
	n.elsewhere[unix.NETLINK_ROUTE].Close()
}

// refresh reads everything anew but routes, which are asked for one by one, and rarely
// read whole. What cannot
// be read is empty afterwards, so that no way leads through it.
func (n *network) refresh() error {
	n.links, n.addresses = make(map[int]netlink.Link), make(map[netip.Addr][]int)
	n.neighbours = make(map[neighbour]xdp.MAC)
	n.doubtful = true
	n.looked.Add(1)
	links, linksErr := n.handle.LinkList()
	for _, l := range links {
		n.links[l.Attrs().Index] = l
	}
	addresses, addressesErr := n.handle.AddrList(nil, netlink.FAMILY_ALL)
	for _, a := range addresses {
		if ip, ok := addrOf(a.IP); ok {
			n.addresses[ip] = append(n.addresses[ip], a.LinkIndex)
		}
	}
	neighbours, neighboursErr := n.handle.NeighList(0, netlink.FAMILY_ALL)
	for i := range neighbours {
		if c, ok := changeOf(&neighbours[i]); ok {
			n.note(c)
		}
	}
	return errors.Join(linksErr, addressesErr, neighboursErr)
}

// setLink keeps what has been heard of an interface, nil if it is gone, and reports
// whether ways by it may be others now.
func (n *network) setLink(index int, l netlink.Link) bool {
	known := n.links[index]
	if l == nil {
		delete(n.links, index)
		return known != nil
	}
	n.links[index] = l
	if known == nil {
		return false // nothing leads there before its addresses and routes come
	}
	was, is := known.Attrs(), l.Attrs()
	return was.RawFlags != is.RawFlags || was.MTU != is.MTU || was.MasterIndex != is.MasterIndex ||
		!slices.Equal(was.HardwareAddr, is.HardwareAddr)
}

// setAddress keeps what has been heard of an address, and reports whether it is news.
func (n *network) setAddress(at holding, there bool) bool {
	on := n.addresses[at.address]
	if slices.Contains(on, at.index) == there {
		return false
	}
	if there {
		n.addresses[at.address] = append(on, at.index)
		return true
	}
	on = slices.DeleteFunc(on, func(index int) bool { return index == at.index })
	if n.addresses[at.address] = on; len(on) == 0 {
		delete(n.addresses, at.address)
	}
	return true
}

// numbered reports whether an interface has an address that routes may lead by.
func (n *network) numbered(index int) bool {
	for a, on := range n.addresses {
		if !a.IsLinkLocalUnicast() && slices.Contains(on, index) {
			return true
		}
	}
	return false
}

// note keeps what has been heard of a neighbour.
func (n *network) note(c change) {
	if c.usable {
		n.neighbours[c.neighbour] = c.mac
	} else {
		delete(n.neighbours, c.neighbour)
	}
}

// changeOf says what a neighbour's entry means to the ways through it.
func changeOf(entry *netlink.Neigh) (change, bool) {
	ip, ok := addrOf(entry.IP)
	if !ok || entry.Flags&unix.NTF_PROXY != 0 {
		return change{}, false
	}
	const usable = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	c := change{neighbour: neighbour{entry.LinkIndex, ip}}
	if entry.State&usable != 0 && len(entry.HardwareAddr) == len(c.mac) {
		c.mac, c.usable = xdp.MAC(entry.HardwareAddr), true
	}
	return c, true
}

func addrOf(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

func (n *network) local(a netip.Addr) bool {
	_, ok := n.addresses[a]
	return ok || a.Is4() && a.IsLoopback() // all of 127.0.0.0/8 is
}

func (n *network) resolved(at neighbour) (xdp.MAC, bool) {
	mac, ok := n.neighbours[at]
	return mac, ok
}

func (n *network) device(index int) (device, bool) {
	l, ok := n.links[index]
	if !ok {
		return device{}, false
	}
	a := l.Attrs()
	d := device{
		mtu: a.MTU, loopback: a.Flags&net.FlagLoopback != 0,
		ethernet: a.EncapType == "ether" && a.RawFlags&unix.IFF_NOARP == 0,
	}
	copy(d.mac[:], a.HardwareAddr)
	return d, a.Flags&net.FlagUp != 0
}

func (n *network) route(from, to netip.Addr) (route, error) {
	found, err := n.handle.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{SrcAddr: from.AsSlice()})
	if err != nil {
		return route{}, err
	}
	if len(found) != 1 {
		return route{}, errors.New("no route")
	}
	return routeOf(&found[0]), nil
}

func routeOf(r *netlink.Route) route {
	out := route{index: r.LinkIndex, mtu: r.MTU}
	switch {
	case r.Encap != nil || r.MPLSDst != nil || r.NewDst != nil:
		return out
	case r.Type == unix.RTN_LOCAL:
		out.kind = routeLocal
	case r.Type == unix.RTN_UNICAST:
		out.kind = routeUnicast
	}
	gateway := r.Gw
	if via, ok := r.Via.(*netlink.Via); ok {
		gateway = via.Addr
	}
	if ip, ok := addrOf(gateway); ok {
		out.gateway = ip
	}
	return out
}

func (n *network) use(at neighbour) {
	// Should the kernel not want to know, the neighbour goes stale, and its way with it.
	_ = n.handle.NeighSet(&netlink.Neigh{LinkIndex: at.index, IP: at.ip.AsSlice(), Flags: unix.NTF_USE})
}
