package bench

import (
	"fmt"
	"slices"
	"time"

	"hairpin/turnserver/udp"
	"hairpin/turnserver/wire"
)

// Mode says which way packets go.
type Mode string

// The modes. In RelayToRelay, clients in pairs are each other's peer: packets go in by
// one allocation of the server and out by another. In the others, clients send and
// receive ChannelData and peers are elsewhere.
const (
	ToPeer       Mode = "to-peer"
	ToClient     Mode = "to-client"
	Both         Mode = "both"
	RelayToRelay Mode = "relay-to-relay"

	// Allocate makes allocations and sends nothing through them: see [Measure].
	Allocate Mode = "allocate"

	// Binding sends Binding requests and counts the answers: delays are there and back.
	Binding Mode = "binding"
)

// Modes are all modes, in the order of their names in help.
func Modes() []Mode { return []Mode{ToPeer, ToClient, Both, RelayToRelay, Allocate, Binding} }

// Load says what to send.
type Load struct {
	Mode     Mode          // ToPeer by default
	Payload  int           // bytes of application data, 160 by default; from MinPayload
	Rate     float64       // packets a second of all flows together; 0 is as fast as it goes
	Burst    int           // packets of one flow sent back to back; 1 by default
	Duration time.Duration // of sending; 5 s by default, at most MaxDuration

	// Process is the server's, if it runs on this machine and its cost is wanted;
	// zero if not.
	Process Process

	// Baseline is what sending and receiving a packet without a server takes:
	// [Report.PerSent] of a [Fleet.Baseline].
	Baseline Spent
}

// MaxDuration is how long a run may take: permissions, renewed when it begins, last
// five minutes (RFC 8656 §9).
const MaxDuration = 4 * time.Minute

// MaxPayload is the longest payload, in bytes. It leaves room for framing in a UDP datagram.
const MaxPayload = udp.MaxPayload - wire.ChannelDataHeaderLen - 20

func (l Load) withDefaults() (Load, error) {
	if l.Mode == "" {
		l.Mode = ToPeer
	}
	if l.Duration == 0 {
		l.Duration = 5 * time.Second
	}
	l.Payload, l.Burst = orDefault(l.Payload, 160), orDefault(l.Burst, 1)
	switch {
	case !slices.Contains(Modes(), l.Mode):
		return l, fmt.Errorf("there is no mode %q; try one of %v", l.Mode, Modes())
	case l.Mode == Allocate:
		return l, fmt.Errorf("%s is no load", Allocate)
	case l.Payload < MinPayload || l.Payload > MaxPayload:
		return l, fmt.Errorf("a payload of %d bytes: it is to be from %d to %d", l.Payload, MinPayload, MaxPayload)
	case !(l.Rate >= 0 && l.Rate <= MaxRate):
		return l, fmt.Errorf("a rate of %v packets a second: it is to be from 0 to %v", l.Rate, MaxRate)
	case l.Burst < 0:
		return l, fmt.Errorf("a burst of %d packets", l.Burst)
	case l.Duration < 0 || l.Duration > MaxDuration:
		return l, fmt.Errorf("a duration of %v: it is to be at most %v", l.Duration, MaxDuration)
	}
	return l, nil
}

// MaxRate is the highest rate, in packets a second: more than any generator reaches, so that counting in it cannot overflow.
const MaxRate = 1e9
