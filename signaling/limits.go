package signaling

import (
	"errors"
	"fmt"
	"time"
)

// Limits bounds what clients may ask for. [DefaultLimits] suits a public server; every number but
// Grace must be positive.
type Limits struct {
	// One message.
	MessageBytes   int // longest WebSocket message
	Depth          int // JSON nesting; the message itself is 1
	RoomIDBytes    int
	NameRunes      int
	TokenBytes     int
	SDPBytes       int // an offer of audio and video is about 7 KiB
	CandidateBytes int // the whole candidate object

	// One socket.
	JoinTimeout    time.Duration // from the upgrade until the room is joined
	PingInterval   time.Duration
	PongTimeout    time.Duration // at most PingInterval
	WriteTimeout   time.Duration // for one message to leave
	MessageRate    float64       // messages a second, over time
	MessageBurst   int           // messages at once: the newcomer's offers and candidates to a full room
	ByteRate       float64       // bytes of messages a second, over time
	ByteBurst      int           // bytes of messages at once, at least MessageBytes
	OutboxMessages int           // of one sender waiting for one member, who gets no more of that sender then; of all, four times that
	OutboxBytes    int           // the same in bytes
	HeldMessages   int           // kept for a member that may have to resume, the newest
	HeldBytes      int           // the same in bytes

	// One client address: an IPv4 address, or an IPv6 /64 network, which is what one subscriber gets.
	SocketsPerAddress int
	JoinRate          float64 // joins a second, over time
	JoinBurst         int     // joins at once: all of an office, when the server is back

	// One member.
	Grace      time.Duration // for a lost socket to be resumed; 0 lets nobody resume
	RemovedFor time.Duration // how long a removed user is kept out of the room

	// The whole server.
	Sockets int
	Rooms   int
	Members int // in one room, where each sends to each
}

// DefaultLimits are the limits of a server that nobody configured.
func DefaultLimits() Limits {
	return Limits{
		MessageBytes:   64 << 10,
		Depth:          8,
		RoomIDBytes:    128,
		NameRunes:      64,
		TokenBytes:     8 << 10,
		SDPBytes:       48 << 10,
		CandidateBytes: 2 << 10,

		JoinTimeout:    5 * time.Second,
		PingInterval:   20 * time.Second,
		PongTimeout:    10 * time.Second,
		WriteTimeout:   10 * time.Second,
		MessageRate:    30,
		MessageBurst:   200,
		ByteRate:       256 << 10,
		ByteBurst:      256 << 10,
		OutboxMessages: 64,
		OutboxBytes:    256 << 10,
		HeldMessages:   256,
		HeldBytes:      256 << 10,

		SocketsPerAddress: 50,
		JoinRate:          5,
		JoinBurst:         50,

		Grace:      20 * time.Second,
		RemovedFor: 10 * time.Minute,

		Sockets: 20_000,
		Rooms:   1000,
		Members: 6,
	}
}

// Validate reports every limit that cannot work, in one error.
func (l Limits) Validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"MessageBytes", float64(l.MessageBytes)},
		{"Depth", float64(l.Depth)},
		{"RoomIDBytes", float64(l.RoomIDBytes)},
		{"NameRunes", float64(l.NameRunes)},
		{"TokenBytes", float64(l.TokenBytes)},
		{"SDPBytes", float64(l.SDPBytes)},
		{"CandidateBytes", float64(l.CandidateBytes)},
		{"JoinTimeout", float64(l.JoinTimeout)},
		{"PingInterval", float64(l.PingInterval)},
		{"PongTimeout", float64(l.PongTimeout)},
		{"WriteTimeout", float64(l.WriteTimeout)},
		{"MessageRate", l.MessageRate},
		{"MessageBurst", float64(l.MessageBurst)},
		{"ByteRate", l.ByteRate},
		{"ByteBurst", float64(l.ByteBurst)},
		{"OutboxMessages", float64(l.OutboxMessages)},
		{"OutboxBytes", float64(l.OutboxBytes)},
		{"HeldMessages", float64(l.HeldMessages)},
		{"HeldBytes", float64(l.HeldBytes)},
		{"RemovedFor", float64(l.RemovedFor)},
		{"SocketsPerAddress", float64(l.SocketsPerAddress)},
		{"JoinRate", l.JoinRate},
		{"JoinBurst", float64(l.JoinBurst)},
		{"Sockets", float64(l.Sockets)},
		{"Rooms", float64(l.Rooms)},
		{"Members", float64(l.Members)},
	} {
		if !(n.value > 0) { // so written, NaN is refused too
			errs = append(errs, fmt.Errorf("limit %s must be positive", n.name))
		}
	}
	if l.ByteBurst < l.MessageBytes {
		errs = append(errs, errors.New("limit ByteBurst is below MessageBytes: the longest message could never be sent"))
	}
	if l.PongTimeout > l.PingInterval {
		errs = append(errs, errors.New("limit PongTimeout is above PingInterval: pings would overlap"))
	}
	if l.Grace < 0 {
		errs = append(errs, errors.New("limit Grace must not be negative"))
	}
	return errors.Join(errs...)
}
