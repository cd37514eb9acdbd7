package labtest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
)

// End is where a link meets a host: the address and length of the network's prefix.
type End struct {
	Host    *Host
	Name    string // of the interface; "" for one that nothing else has
	Address netip.Prefix
	More    []netip.Prefix // more addresses
}

// links numbers the links of this process, for the names of interfaces.
var links atomic.Uint32

// Link joins two hosts by a pair of veth interfaces and returns their names. Both
// addresses are usable when it returns.
func (l *Lab) Link(a, b End) (interfaceA, interfaceB string) {
	l.t.Helper()
	n := links.Add(1)
	interfaceA = cmp.Or(a.Name, fmt.Sprintf("veth%da", n))
	interfaceB = cmp.Or(b.Name, fmt.Sprintf("veth%db", n))
	l.must(a.Host.Command("ip", "link", "add", interfaceA, "type", "veth",
		"peer", "name", interfaceB, "netns", path(b.Host.namespace)))
	a.configure(interfaceA)
	b.configure(interfaceB)
	return interfaceA, interfaceB
}

// configure gives the interface its addresses. What names no other source leaves from
// the first of its family: the kernel takes the oldest of IPv4 and the newest of IPv6.
func (e End) configure(name string) {
	e.Host.lab.t.Helper()
	var four, six []string
	for _, address := range append([]netip.Prefix{e.Address}, e.More...) {
		// An IPv6 address is usable at once only without duplicate address detection.
		line := fmt.Sprintf("address add %v dev %s nodad", address, name)
		if address.Addr().Is4() {
			four = append(four, line)
		} else {
			six = append([]string{line}, six...)
		}
	}
	e.Host.ip(slices.Concat(four, six, []string{fmt.Sprintf("link set %s up", name)})...)
}
