package xdp

// Reason is how the program came to its verdict on a frame. The codes are stable: logs,
// metrics and interfaces use them. reason.h has the same in C; a test compares them.
type Reason uint8

// The reasons.
const (
	// Frames that leave at once.

	RelayedToPeer   Reason = iota
	RelayedToClient        // from a peer
	RelayedHairpin         // from client to client
	Binding                // a Binding request was answered

	// Frames that are dropped.

	BindingLimited // a Binding request of a source, or in a moment, that had too many
	Broken         // what cannot be, after the frame had changed

	// Frames that pass, not being the program's business.

	Unconfigured // the interface is not known
	ForeignMAC   // not sent to the interface alone
	NotUDP       // neither IPv4 nor IPv6 untagged, or no UDP next to the IP header
	NoFlow       // no key for it

	// Frames that pass because of what they are.

	Options      // an IPv4 header with options
	Fragment     // part of a datagram
	Length       // lengths that disagree, padding after the packet included
	Checksum     // a wrong one, or none where one is needed
	ChecksumLeft // a checksum left to a device that would put it in the wrong place
	Merged       // it may have been several datagrams

	// Frames of flows that pass because of what is known of the flow.

	Stale       // the key's record is gone
	Expired     // the record's lifetime is over
	HairpinWire // from one of this server's relayed addresses, but off the wire
	HairpinMiss // to one, which has not bound the other
	NoHop       // the next hop is not known
	TooLong     // longer than the next hop takes
	NoEgress    // the next hop's interface takes no frames from here
	OtherFamily // of the other IP version than the next hop's, on loopback
	NoHeadroom  // no room before the frame for what is added

	reasons // their number
)

var reasonCodes = [reasons]string{
	"to-peer", "to-client", "hairpin", "binding",
	"binding-limited", "broken",
	"unconfigured", "foreign-mac", "not-udp", "no-flow",
	"options", "fragment", "length", "checksum", "checksum-left", "merged",
	"stale", "expired", "hairpin-wire", "hairpin-miss", "no-hop", "too-long", "no-egress", "other-family", "no-headroom",
}

// String returns the stable code.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonCodes[r]
}

// Reasons returns every reason there is.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
