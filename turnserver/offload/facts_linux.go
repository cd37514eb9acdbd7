package offload

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// factsOf says what decides about an interface.
func factsOf(l netlink.Link, n *network, e ethtool) facts {
	a := l.Attrs()
	f := facts{
		kind: kindOf(l), driver: e.driver(a.Name), part: a.MasterIndex != 0,
		busy: a.Xdp != nil && a.Xdp.Attached,
	}
	if f.kind == kindVeth {
		f.vethPeer = n.vethPeer(a)
	}
	return f
}

func kindOf(l netlink.Link) kind {
	a := l.Attrs()
	switch {
	case a.Flags&net.FlagLoopback != 0:
		return kindLoopback
	case l.Type() == "veth":
		return kindVeth
	case l.Type() == "device" && a.EncapType == "ether" && a.RawFlags&unix.IFF_NOARP == 0:
		return kindEthernet
	}
	return kindOther
}

// vethPeer says whether the other end of a veth has an XDP program. The end may be in
// another network namespace, which this process may have no right to look into.
func (n *network) vethPeer(a *netlink.LinkAttrs) known {
	peer := n.links[a.ParentIndex]
	if a.NetNsID >= 0 {
		peer = n.linkIn(a.NetNsID, a.ParentIndex)
	}
	switch {
	case peer == nil:
		return unknown
	case peer.Attrs().Xdp != nil && peer.Attrs().Xdp.Attached:
		return yes
	}
	return no
}

// linkIn returns an interface of another network namespace, or nil.
func (n *network) linkIn(namespace, index int) netlink.Link {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.Sockets = n.elsewhere
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(namespace))))
	answers, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil || len(answers) != 1 {
		return nil
	}
	l, err := netlink.LinkDeserialize(nil, answers[0])
	if err != nil {
		return nil
	}
	return l
}

// served returns the interfaces that hold an address which is served, by name. An
// unspecified address stands for all addresses of its family, IPv6 for both.
func served(n *network, serving []netip.Addr) []netlink.Link {
	var found []netlink.Link
	for index, l := range n.links {
		if l.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		here := func(s netip.Addr) bool { return n.holds(index, s) }
		if slices.ContainsFunc(serving, here) {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b netlink.Link) int { return a.Attrs().Index - b.Attrs().Index })
	return found
}

// holds reports whether an interface has an address that a socket on another serves.
// Nobody serves by a link-local address who does not name it: every interface has one.
func (n *network) holds(index int, socket netip.Addr) bool {
	for a, at := range n.addresses {
		if !slices.Contains(at, index) || a.IsLinkLocalUnicast() && socket.IsUnspecified() {
			continue
		}
		if serves(socket, a) || socket.IsLoopback() && a.IsLoopback() {
			return true
		}
	}
	return false
}
