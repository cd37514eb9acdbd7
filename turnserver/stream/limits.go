package stream

import (
	"fmt"
	"time"
)

// Limits bound what clients may hold. A zero count or duration lifts that limit.
type Limits struct {
	// PerAddress is the number of connections one client address may have open; the
	// addresses of an IPv6 /64 count as one. Total is that of all clients, and is to
	// stay below the process's limit of file descriptors.
	PerAddress, Total int

	// FirstFrame is the time from accepting to the first whole frame, a handshake
	// below the stream included.
	FirstFrame time.Duration

	// Unauthenticated is the time from accepting, or from [Conn.Unauthenticated], to
	// [Conn.Authenticated].
	Unauthenticated time.Duration

	// Stall is the time from the first to the last byte of a frame. Bytes in
	// between do not extend it.
	Stall time.Duration

	// Idle is the time without a frame from the client.
	Idle time.Duration

	// WriteStall is the time in which the client takes nothing of what is queued
	// for it. It is looked at once in that time, so the end may come as late again.
	WriteStall time.Duration

	// QueueBytes is the length of an authenticated client's queue, at least
	// [MinQueueBytes].
	QueueBytes int
}

// MinQueueBytes is the least [Limits.QueueBytes]: room for the longest frame.
const MinQueueBytes = 64 << 10

// responseReserve is the part of the queue, in bytes, that only responses may use,
// and all there is of it unless the client is authenticated. A client does not
// retransmit over a stream (RFC 8489 §6.2.2), so a response lost behind a flood of
// data would be lost for good.
const responseReserve = 16 << 10

// DefaultLimits returns the limits that are safe on a public address.
func DefaultLimits() Limits {
	return Limits{
		PerAddress:      64,
		Total:           10_000,
		FirstFrame:      10 * time.Second,
		Unauthenticated: 30 * time.Second,
		Stall:           10 * time.Second,
		// Longer than the hour an allocation may go without a Refresh (RFC 8656
		// §7.2), so that only connections without one are ended by it.
		Idle:       70 * time.Minute,
		WriteStall: 10 * time.Second,
		// A second of 2 Mbit/s video: what waits longer is of no use to a call.
		QueueBytes: 256 << 10,
	}
}

// Validate reports the first limit that makes no sense.
func (l Limits) Validate() error {
	switch {
	case l.PerAddress < 0 || l.Total < 0:
		return fmt.Errorf("stream: connection caps %d per address and %d in total must not be negative; 0 lifts one",
			l.PerAddress, l.Total)
	case min(l.FirstFrame, l.Unauthenticated, l.Stall, l.Idle, l.WriteStall) < 0:
		return fmt.Errorf("stream: durations must not be negative; 0 lifts one")
	case l.QueueBytes < MinQueueBytes:
		return fmt.Errorf("stream: a queue of %d bytes cannot hold the longest frame; give it at least %d",
			l.QueueBytes, MinQueueBytes)
	}
	return nil
}
