package labtest

import (
	"fmt"
	"net/netip"
	"sync/atomic"
)

// End is where a link meets a host: the address and length of the network's prefix.
type End struct {
	Host    *Host
	Address netip.Prefix
}

// links numbers the links of this process, since an interface's name is taken in both
// namespaces for the moment between making and moving it.
var links atomic.Uint32

// Link joins two hosts by a pair of veth interfaces and returns their names. Both
// addresses are usable when it returns.
func (l *Lab) Link(a, b End) (interfaceA, interfaceB string) {
	l.t.Helper()
	n := links.Add(1)
	interfaceA, interfaceB = fmt.Sprintf("veth%da", n), fmt.Sprintf("veth%db", n)
	l.must(a.Host.Command("ip", "link", "add", interfaceA, "type", "veth",
		"peer", "name", interfaceB, "netns", path(b.Host.namespace)))
	a.configure(interfaceA)
	b.configure(interfaceB)
	return interfaceA, interfaceB
}

func (e End) configure(name string) {
	e.Host.lab.t.Helper()
	// An IPv6 address is usable at once only without duplicate address detection.
	e.Host.lab.must(e.Host.Command("ip", "address", "add", e.Address.String(), "dev", name, "nodad"))
	e.Host.lab.must(e.Host.Command("ip", "link", "set", name, "up"))
}
