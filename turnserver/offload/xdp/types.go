package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"hairpin/turnserver/limit"
)

// ErrUnsupported says that there is no program for this platform.
var ErrUnsupported = errors.New("xdp: not supported on this platform")

// ErrTaken says that another flow has the same packets, on one side or the other.
var ErrTaken = errors.New("xdp: the flow's packets are another's")

// ErrFull says that the maps hold as many flows, interfaces or addresses as they can.
var ErrFull = errors.New("xdp: the map is full")

// Config says how large the program's maps are.
type Config struct {
	// Flows is how many flows there can be at once, and the number of slots. It is at
	// least 1; each takes about half a kilobyte of the kernel's memory.
	Flows int

	// Sources is how many sources the rate limit of Binding requests tells apart, a
	// power of two; zero means [limit.DefaultSources].
	Sources int
}

// maxFlows keeps slots and sizes within what the kernel's maps can have.
const maxFlows = 1 << 22

func (c *Config) validate() error {
	if c.Sources == 0 {
		c.Sources = limit.DefaultSources
	}
	switch {
	case c.Flows < 1 || c.Flows > maxFlows:
		return fmt.Errorf("xdp: %d flows: not between 1 and %d", c.Flows, maxFlows)
	case c.Sources < 1 || c.Sources > maxFlows || c.Sources&(c.Sources-1) != 0:
		return fmt.Errorf("xdp: %d sources: not a power of two up to %d", c.Sources, maxFlows)
	}
	return nil
}

// Time is a point in time on CLOCK_MONOTONIC, in nanoseconds.
type Time uint64

// Flow is what a channel binding looks like in packets. Addresses are neither
// IPv4-mapped nor zoned.
type Flow struct {
	Client, Server netip.AddrPort // one family
	Relayed, Peer  netip.AddrPort // one family; both in local form
	Channel        uint16

	// Hairpin says that Peer is a relayed transport address of this server. Then the
	// flow's packets are relayed if the peer's allocation has bound Relayed in turn.
	Hairpin bool
}

// MAC is an Ethernet address.
type MAC [6]byte

// Hop is the next machine on the way to a client or a peer.
type Hop struct {
	Destination MAC // of the next machine
	Source      MAC // of the interface that leads there
	Interface   int // its index

	// Limit is the length in bytes of the longest IP packet that may go there; at most
	// 65,535. Zero means that the next hop is not known.
	Limit int
}

// Interface is what the program has to know of an interface it is attached to. Frames
// of interfaces it knows nothing of pass. One without a MAC is loopback.
type Interface struct {
	MAC   MAC
	Flags InterfaceFlags
}

// InterfaceFlags are the peculiarities of an interface.
type InterfaceFlags uint16

const (
	// Merges says that what several datagrams of a peer were may come as one frame
	// (generic mode on devices that take segmentation offload). Then nothing goes to
	// clients that came in here.
	Merges InterfaceFlags = 1 << iota

	// ChecksumsLater says that the device completes checksums at the place where a frame
	// had them when it came (generic mode on anything but loopback). Then frames whose
	// checksum was left to the device pass.
	ChecksumsLater

	// Symmetric says that the way back to a frame's source is through the machine that
	// sent it. Without it no Binding request that came in here is answered.
	Symmetric

	// oneFamily is loopback's: what its frames were routed by when they were sent stays
	// with them, and is of no use in a packet of the other IP version.
	oneFamily
)

// Direction tells the two ways through an allocation apart.
type Direction uint8

// The directions, named for where the packet goes.
const (
	ToPeer Direction = iota
	ToClient

	directions // their number
)

// Counts are packets and the bytes of their payloads, framing aside.
type Counts struct{ Packets, Bytes uint64 }

// Action is what becomes of a frame.
type Action uint32

// The actions, as the kernel numbers them.
const (
	Aborted Action = iota // dropped, by a mistake in the program
	Drop
	Pass     // to the network stack
	Transmit // out of the interface it came in by
	Redirect // out of another

	actions // their number
)

// String returns the action's name.
func (a Action) String() string {
	if a >= actions {
		return "unknown"
	}
	return [actions]string{"aborted", "drop", "pass", "transmit", "redirect"}[a]
}
