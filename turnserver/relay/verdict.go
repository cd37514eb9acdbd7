package relay

// Verdict is what the data plane did with a packet.
type Verdict uint8

const (
	// Punt hands the packet, untouched, to the control plane.
	Punt Verdict = iota
	// Relayed means that the packet is on its way, or will be with the next Flush.
	Relayed
	// Dropped means that it was dropped and counted under a Drop.
	Dropped
)

// Drop is why a packet was not relayed. The codes are stable: logs, metrics and
// interfaces use them.
type Drop uint8

// Why packets are dropped.
const (
	DropNoAllocation Drop = iota // nobody holds this five-tuple
	DropMalformed                // lengths or attributes that cannot be
	DropNoChannel                // channel not bound, or its binding lapsed
	DropNoPermission             // the peer is not permitted, or no longer
	DropPeerDenied               // an address of this server that is no live relayed address, or port 0
	DropTooLarge                 // longer than the framing can carry
	DropDontFragment             // the DF bit was asked for and cannot be had
	DropClientSlow               // the client does not read its stream fast enough
	DropSocket                   // the kernel did not take it
	DropExpired                  // the allocation's lifetime is over

	drops // their number
)

// String returns the stable code.
func (d Drop) String() string {
	if d >= drops {
		return "unknown"
	}
	return [drops]string{
		"no-allocation", "malformed", "no-channel", "no-permission", "peer-denied",
		"too-large", "dont-fragment", "client-slow", "socket", "expired",
	}[d]
}

// Drops returns every reason there is.
func Drops() []Drop {
	all := make([]Drop, drops)
	for i := range all {
		all[i] = Drop(i)
	}
	return all
}
