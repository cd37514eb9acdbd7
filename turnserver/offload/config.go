package offload

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"hairpin/turnserver/limit"
)

// Config says what an Engine is for.
type Config struct {
	Mode Mode

	// Serving are the local addresses that clients and peers send to. An unspecified one
	// stands for all of its family, the IPv6 one for all of both.
	Serving []netip.Addr

	// Flows is how many flows there can be at once; zero means 65,536.
	Flows int

	// Binding are the listening addresses whose Binding requests may be answered, by
	// the same rule, and Except the local addresses whose may not.
	Binding, Except []netip.AddrPort

	// Limit bounds the answers to Binding requests. Its Slots and Offset are filled in:
	// the table that [Engine.Limit] returns shares its slots with the program. It counts
	// time from Epoch.
	Limit limit.Config
	Epoch time.Time

	// Logger is told which interfaces are used, and why others are not.
	Logger *slog.Logger
}

const defaultFlows = 1 << 16

// Error says why the kernel's data plane, which was asked for, cannot be had.
type Error struct {
	Interface string // empty if it is not for one
	Why       Why
	Err       error // of the kernel; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	text := "no kernel data plane"
	if e.Interface != "" {
		text += " on " + e.Interface
	}
	text += fmt.Sprintf(" (%s): %s", e.Why, e.Why.Text())
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the kernel's error.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what an operator can do about it, or nothing.
func (e *Error) Hint() string { return e.Why.Hint() }

// Interface is what became of an interface.
type Interface struct {
	Name   string
	Driver string
	Mode   Mode // Off if it is not used
	Why    Why  // it is not used; WhyNone if it is
}
