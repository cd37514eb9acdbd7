package stream

import "errors"

// Reason says why a connection ended. It is an error, so that [Session.Closed] and
// [ReasonOf] need no other type.
type Reason uint8

// The reasons, in the order of [Counters.Closed].
const (
	Closed          Reason = iota // by this side: Conn.Close, Listener.Close, or no session for it
	EOF                           // by the client, in good order
	Broken                        // by the network or the transport below: a reset, a failed handshake
	Garbage                       // neither STUN nor ChannelData
	Oversized                     // a frame longer than is allowed was announced
	FirstFrame                    // Limits.FirstFrame passed
	Unauthenticated               // Limits.Unauthenticated passed
	Stall                         // Limits.Stall passed
	Idle                          // Limits.Idle passed
	SlowReader                    // Limits.WriteStall passed
	reasons
)

var reasonCodes = [reasons]string{
	"closed", "eof", "broken", "garbage", "oversized",
	"first-frame", "unauthenticated", "stall", "idle", "slow-reader",
}

// String returns the stable code of r, for logs and metrics.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonCodes[r]
}

// Error is String with the package's name before it.
func (r Reason) Error() string { return "stream: " + r.String() }

// ReasonOf returns the reason within an error given to [Session.Closed]; for any
// other error it is Broken.
func ReasonOf(err error) Reason {
	if r, ok := errors.AsType[Reason](err); ok {
		return r
	}
	return Broken
}

// Counters are a listener's totals since it was made.
type Counters struct {
	// Open is the number of connections now.
	Open int

	// Accepted counts connections that were given to the handler.
	Accepted uint64

	// RefusedAddress and RefusedTotal count connections closed at once because of
	// Limits.PerAddress and Limits.Total.
	RefusedAddress, RefusedTotal uint64

	// AcceptErrors counts failures to accept, such as no file descriptor being left.
	AcceptErrors uint64

	// Dropped counts calls of Conn.Send whose frames were dropped.
	Dropped uint64

	// Closed counts ended connections by Reason, its index.
	Closed [reasons]uint64
}
