package offload

import (
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// uplink is a way out of this machine's networks: a gateway, or an interface without one.
type uplink struct {
	neighbour
	six  bool
	main bool // the default route's
}

// uplinks are the ways out that routes of one family know of.
type uplinks struct {
	sole neighbour
	many bool // and so none is the sole one
}

func (u *uplinks) add(n neighbour) {
	switch {
	case u.sole == neighbour{}:
		u.sole = n
	case u.sole != n:
		u.many = true
	}
}

// leadsOut reports whether a route without a gateway leads to more than a network of
// this machine's, as those into tunnels do.
func leadsOut(bits, protocol int) bool {
	return bits < 8 && protocol != unix.RTPROT_KERNEL && protocol != unix.RTPROT_RA
}

// findUplinks reads the routes, which may be very many.
func (n *network) findUplinks() error {
	begun := time.Now()
	n.uplinks = [2]uplinks{}
	err := n.handle.RouteListFilteredIter(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		n.addUplink(&r)
		return true
	})
	n.doubtful = err != nil
	n.lookAgain = time.Now().Add(max(time.Second, 50*time.Since(begun)))
	return err
}

func (n *network) addUplink(r *netlink.Route) {
	if r.Type != unix.RTN_UNICAST {
		return
	}
	family := &n.uplinks[familyOf(r.Family == netlink.FAMILY_V6)]
	bits := 0
	if r.Dst != nil {
		bits, _ = r.Dst.Mask.Size()
	}
	if gateway := routeOf(r).gateway; gateway.IsValid() || r.Encap != nil || leadsOut(bits, int(r.Protocol)) && len(r.MultiPath) == 0 {
		family.add(neighbour{r.LinkIndex, gateway})
	}
	for _, hop := range r.MultiPath {
		gateway, _ := addrOf(hop.Gw)
		family.add(neighbour{hop.LinkIndex, gateway})
	}
}

// noteUplink makes a change of routes a reason to look at them again, unless it is of no
// consequence.
func (n *network) noteUplink(u uplink, there bool) {
	known := n.uplinks[familyOf(u.six)]
	if same := u.neighbour == known.sole && !known.many; same && (there || !u.main) {
		return
	}
	n.doubtful = true
}

func familyOf(six bool) int {
	if six {
		return 1
	}
	return 0
}
