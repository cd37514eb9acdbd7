package probe

import (
	"context"
	"fmt"
	"math"
	"time"
)

// sockets compares the buffers that listening sockets ask for with what they get.
func (s *self) sockets(context.Context) Step {
	got, err := s.receiveBuffer(s.ListenBuffer)
	switch {
	case err != nil:
		return unknown(ReasonNotTold, nil, "this system does not say how large socket buffers are: %v", err)
	case got < s.ListenBuffer:
		return warning("buffers-small", nil, "a listening socket asks for a buffer of %d kB and gets %d kB: bursts of packets will be lost", s.ListenBuffer>>10, got>>10).
			hint("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", s.ListenBuffer, s.ListenBuffer)
	}
	return okay(nil, "listening sockets get the %d kB they ask for", s.ListenBuffer>>10)
}

// files compares the limit of open files with the allocations there may be.
func (s *self) files(context.Context) Step {
	want := uint64(math.Ceil(float64(s.Allocations) * filesPerAllocation))
	switch {
	case s.OpenFiles == 0:
		return unknown(ReasonNotTold, nil, "this system does not say how many files may be open")
	case s.Allocations == 0:
		return okay(nil, "%d files may be open, and the number of allocations has no bound", s.OpenFiles)
	case s.OpenFiles < want:
		return warning("files-few", nil, "%d files may be open, so there will be %d allocations at most, and not %d", s.OpenFiles, int(float64(s.OpenFiles)/filesPerAllocation), s.Allocations).
			hint("LimitNOFILE=%d in the systemd unit, or ulimit -n %d", want, want)
	}
	return okay(nil, "%d files may be open, enough for %d allocations", s.OpenFiles, s.Allocations)
}

// conntracked looks at what keeps an entry for every peer of every relay port.
func (s *self) conntracked(context.Context) Step {
	count, most, on := s.conntrack()
	const full = 0.8 // of the table, from where it is soon full
	untracked := fmt.Sprintf("nft add table inet raw; nft add chain inet raw in '{ type filter hook prerouting priority raw; }'; nft add rule inet raw in udp dport %d-%d notrack; the same for sport in a chain at hook output", s.MinPort, s.MaxPort)
	switch {
	case !on:
		return okay(nil, "no connection tracking stands in front of the relay ports")
	case float64(count) > full*float64(most):
		return fault("conntrack-full", nil, "connection tracking holds %d entries of %d at most: new peers are dropped when it is full", count, most).
			hint("%s", untracked)
	case s.Allocations > 0 && most < 2*s.Allocations:
		return warning("conntrack-small", nil, "connection tracking holds %d entries at most, and %d allocations with a client and a peer each take %d", most, s.Allocations, 2*s.Allocations).
			hint("%s", untracked)
	}
	return okay(nil, "connection tracking has room for %d entries", most)
}

// clock compares this machine's clock with that of a server that was named, or else
// says what the kernel thinks of it: credentials are only good by the clock.
func (s *self) clock(ctx context.Context) Step {
	const mend = "timedatectl set-ntp true"
	if s.TimeURL != "" {
		theirs, ours, err := s.date(ctx, s.TimeURL)
		ahead := ours.Sub(theirs).Round(time.Second)
		switch {
		case err != nil:
			return unknown("no-date", nil, "the time could not be asked for: %v", err)
		case ahead > clockTolerance:
			return fault("clock-skew", nil, "this clock is %s ahead of %s: credentials end early", ahead, s.TimeURL).hint(mend)
		case ahead < -clockTolerance:
			return fault("clock-skew", nil, "this clock is %s behind %s: new credentials are refused elsewhere, and old ones taken here", -ahead, s.TimeURL).hint(mend)
		}
		return okay(nil, "this clock is within %s of %s", clockTolerance, s.TimeURL)
	}
	switch synchronised, known := s.synchronised(); {
	case !known:
		return unknown(ReasonNotAsked, nil, "whether the clock is right cannot be seen from here").hint("hairpin probe --self --time-url https://example.org")
	case !synchronised:
		return warning("clock-unsynchronised", nil, "the kernel says that nothing keeps this clock right: credentials are only good by it").hint(mend)
	}
	return okay(nil, "the kernel says that this clock is kept right")
}
