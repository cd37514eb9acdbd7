package offload

import (
	"net/netip"
	"slices"

	"hairpin/turnserver/offload/xdp"
)

// Why is why an interface is not used. The codes are stable: logs, metrics and
// interfaces use them.
type Why string

// Why interfaces are not used.
const (
	WhyNone       Why = ""
	WhyKind       Why = "kind"
	WhyPart       Why = "part"
	WhyLoopback   Why = "loopback"
	WhyUntested   Why = "untested"
	WhyVethPeer   Why = "veth-peer"
	WhyBusy       Why = "busy"
	WhyDriver     Why = "driver"
	WhyPermission Why = "permission"
	WhyKernel     Why = "kernel"
	WhySelfTest   Why = "self-test"
	WhyPlatform   Why = "platform"
	WhyNoneFound  Why = "no-interface"
	WhyLost       Why = "lost-frames"
	WhyNoHeadroom Why = "no-headroom"
	WhyGone       Why = "gone"
)

// explained is what the codes mean, and what an operator can do about it.
var explained = map[Why]struct{ text, hint string }{
	WhyKind:       {"a VLAN, bond, bridge or tunnel", "give addresses of a plain Ethernet interface or a veth"},
	WhyPart:       {"part of a bond, a bridge or the like", "give addresses of a plain Ethernet interface or a veth"},
	WhyLoopback:   {"loopback has no native mode", "try --offload generic"},
	WhyUntested:   {"a driver that auto does not trust", "try --offload native"},
	WhyVethPeer:   {"the other end of the veth is not known to take frames", "attach an XDP program that passes everything to the other end"},
	WhyBusy:       {"another XDP program is attached", "detach it, or leave the interface to it"},
	WhyDriver:     {"the driver refuses the program", "try --offload generic, which costs more"},
	WhyPermission: {"this process may not load programs", "give it CAP_BPF and CAP_NET_ADMIN, before Linux 5.18 CAP_PERFMON too"},
	WhyKernel:     {"the kernel refuses the program", "Linux 5.10 or later is needed"},
	WhySelfTest:   {"the program does not do here what it should", "report the kernel's version"},
	WhyPlatform:   {"there is no program for this platform", "Linux on amd64, arm64, loong64 or riscv64 is needed"},
	WhyNoneFound:  {"no interface has an address that is served", "give an address of an Ethernet interface"},
	WhyLost:       {"the driver loses what the program sends", "attach an XDP program to the other end of a veth"},
	WhyNoHeadroom: {"the driver leaves no room before frames for longer headers", "try --offload generic, which costs more"},
	WhyGone:       {"the interface is no more", ""},
}

// Text says what a code means, in words.
func (w Why) Text() string { return explained[w].text }

// Hint returns what an operator can do about it.
func (w Why) Hint() string { return explained[w].hint }

// kind is what an interface is.
type kind uint8

const (
	kindOther kind = iota
	kindEthernet
	kindVeth
	kindLoopback
)

// facts are what decides whether the program may be attached to an interface.
type facts struct {
	kind   kind
	driver string
	part   bool // of another interface
	busy   bool // with a program

	// vethPeer says whether the other end of a veth has a program of its own, without
	// which it does not wake up for what this end transmits.
	vethPeer known
}

// trusted returns the drivers whose native mode auto uses. Others are known to lose
// frames, to have no room before them, or to change what the device does with
// checksums when a program is attached, or have not been tried.
func trusted() []string {
	return []string{"bnxt_en", "i40e", "ice", "igb", "igc", "ixgbe", "mlx5_core", "sfc"}
}

// judge says whether to attach to an interface in a mode.
func judge(m Mode, f facts) Why {
	switch {
	case f.kind == kindOther:
		return WhyKind
	case f.part:
		return WhyPart
	case f.kind == kindLoopback && m != Generic:
		return WhyLoopback
	case f.busy:
		return WhyBusy
	case m == Generic:
		return WhyNone
	case f.kind == kindVeth && (f.vethPeer == no || f.vethPeer == unknown && m == Auto):
		return WhyVethPeer
	case f.kind == kindEthernet && m == Auto && !slices.Contains(trusted(), f.driver):
		return WhyUntested
	}
	return WhyNone
}

// unfit says why the program is to leave the drivers it is with, from what it counted up
// to a second ago and up to now: frames it lost half written, or more that had no room for
// new headers than those that had.
func unfit(before, now []xdp.Counts) Why {
	more := func(r xdp.Reason) uint64 { return now[r].Packets - before[r].Packets }
	sent := more(xdp.RelayedToPeer) + more(xdp.RelayedToClient) + more(xdp.RelayedHairpin) + more(xdp.Binding)
	switch {
	case more(xdp.Broken) > 0:
		return WhySelfTest
	case more(xdp.NoHeadroom) > sent:
		return WhyNoHeadroom
	}
	return WhyNone
}

// takesRedirects reports whether an interface transmits what came in by another. Native
// drivers that cannot drop it unseen, and so does the network stack what goes to loopback
// with a source of this machine.
func takesRedirects(m Mode, k kind, driver string) bool {
	switch k {
	case kindVeth:
		return true
	case kindEthernet:
		return m == Generic || slices.Contains(trusted(), driver)
	}
	return false
}

// known is what is known of something that may not be known.
type known uint8

const (
	unknown known = iota
	no
	yes
)

// serves reports whether what is sent to an address of this machine reaches a socket
// on another, which may be the unspecified one of its family, or of IPv6 for both.
func serves(socket, at netip.Addr) bool {
	if socket.IsUnspecified() {
		return socket.Is6() || at.Is4()
	}
	return socket == at
}
