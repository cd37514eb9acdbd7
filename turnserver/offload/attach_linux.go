//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"hairpin/turnserver/offload/xdp"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachment is the program on one interface. The kernel ends it with this process.
type attachment struct {
	Interface
	index int
	kind  kind
	link  link.Link
	told  *xdp.Interface // what the program knows of it; nil if nothing yet

	sent, lost uint64 // by the program, as the driver counts
}

// attach attaches the program to an interface that may have it.
func (k *kernel) attach(index int, i Interface, kind kind) (Why, error) {
	i.Mode = Native
	flags := link.XDPDriverMode
	if k.config.Mode == Generic {
		i.Mode, flags = Generic, link.XDPGenericMode
	}
	// Never pinned: with this process's last descriptor of it, the link is gone.
	l, err := link.AttachXDP(link.XDPOptions{Program: k.program.XDP(), Interface: index, Flags: flags})
	if err != nil {
		return whyNotAttached(err), err
	}
	k.attached[index] = &attachment{Interface: i, index: index, kind: kind, link: l}
	return WhyNone, nil
}

func whyNotAttached(err error) Why {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return WhyPermission
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return WhyBusy
	}
	return WhyDriver
}

// tell brings up to date what the program knows of interfaces and addresses.
func (k *kernel) tell() {
	for index, a := range k.attached {
		d, known := k.network.device(index)
		if _, exists := k.network.links[index]; !exists {
			k.drop(a, WhyGone, nil)
			continue
		}
		if !known { // it is down
			continue
		}
		if now := (xdp.Interface{MAC: d.mac, Flags: k.flags(a)}); a.told == nil || now != *a.told {
			if err := k.inform(a, now); err != nil {
				k.drop(a, WhyKernel, err)
			}
		}
	}
	k.tellBinding()
}

func (k *kernel) inform(a *attachment, now xdp.Interface) error {
	if err := k.program.SetInterface(a.index, now); err != nil {
		return err
	}
	first := a.told == nil
	a.told = &now
	if !first { // to add it again would disturb what is on its way there
		return nil
	}
	return k.program.SetEgress(a.index, takesRedirects(a.Mode, a.kind, a.Driver))
}

// flags returns the peculiarities of an interface.
func (k *kernel) flags(a *attachment) xdp.InterfaceFlags {
	var flags xdp.InterfaceFlags
	if a.Mode == Generic {
		if k.merges(a) {
			flags |= xdp.Merges
		}
		if a.kind != kindLoopback {
			flags |= xdp.ChecksumsLater
		}
	}
	// With one way out of this network, the machine that a request came from takes the
	// answer too, unless a balancer in front has it otherwise, which nothing here shows:
	// that is for an operator to know. Loopback has other bounds, which the program does
	// not know.
	if k.config.Mode != Auto && a.kind != kindLoopback && k.oneUplink(a.index) {
		flags |= xdp.Symmetric
	}
	return flags
}

// oneUplink reports whether all ways out of this machine's networks lead by an interface.
func (k *kernel) oneUplink(index int) bool {
	for _, u := range k.network.uplinks {
		if u.many || u.sole != (neighbour{}) && u.sole.index != index {
			return false
		}
	}
	return !k.network.doubtful
}

// merges reports whether the network stack may show several datagrams as one in generic
// mode. It may where no wire makes it part them: of loopback it is known, of the other
// end of a virtual interface not.
func (k *kernel) merges(a *attachment) bool {
	if a.kind == kindLoopback {
		on, known := k.ethtool.feature(a.Name, "tx-udp-segmentation")
		return on || !known
	}
	return a.kind == kindVeth || !slices.Contains(trusted(), a.Driver)
}

// tellBinding has the program answer Binding requests to the addresses that there are.
func (k *kernel) tellBinding() {
	wanted := make(map[netip.AddrPort]bool)
	for address, on := range k.network.addresses {
		if !slices.ContainsFunc(on, func(index int) bool { return k.attached[index] != nil }) {
			continue // its frames come tagged or bridged, if not to another machine
		}
		for _, socket := range k.config.Binding {
			at := netip.AddrPortFrom(address, socket.Port())
			if serves(socket.Addr(), address) && !slices.Contains(k.config.Except, at) {
				wanted[at] = true
			}
		}
	}
	for at := range k.answered {
		if !wanted[at] && k.program.SetBinding(at, false) == nil {
			delete(k.answered, at)
		}
	}
	for at := range wanted {
		if !k.answered[at] && k.program.SetBinding(at, true) == nil { // else user space answers
			k.answered[at] = true
		}
	}
}

// drop takes the program from an interface that cannot have it any more.
func (k *kernel) drop(a *attachment, why Why, err error) {
	_ = k.program.RemoveInterface(a.index) // the link goes at once anyhow
	_ = k.program.SetEgress(a.index, false)
	_ = a.link.Close()
	delete(k.attached, a.index)
	a.Mode, a.Why = Off, why
	k.engine.report(a.Interface, err)
}

// watchProgram leaves every driver if what the program does with their frames fails: of
// which it is, the counters do not tell.
func (k *kernel) watchProgram() {
	before := k.seen
	if k.seen = k.engine.totals(); before == nil || k.seen == nil {
		return
	}
	why := unfit(before, k.seen)
	if why == WhyNone {
		return
	}
	for _, a := range k.attached {
		k.drop(a, why, nil)
	}
}

// watch leaves veths whose other end takes nothing any more of what the program sends:
// its program is gone or, where that cannot be seen, all is lost of what was sent. That
// some is lost is the way of queues.
func (k *kernel) watch() {
	for _, a := range k.attached {
		l := k.network.links[a.index]
		if a.kind != kindVeth || a.Mode != Native || l == nil {
			continue
		}
		if k.network.vethPeer(l.Attrs()) == no {
			k.drop(a, WhyVethPeer, nil)
			continue
		}
		sent, _ := k.ethtool.counter(a.Name, "xdp_tx")
		lost, _ := k.ethtool.counter(a.Name, "xdp_tx_errors")
		if lost > a.lost && sent == a.sent {
			k.drop(a, WhyLost, fmt.Errorf("%d frames since the last second, and none sent", lost-a.lost))
			continue
		}
		a.sent, a.lost = sent, lost
	}
}
