package turnserver

import (
	"net/netip"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"
)

// Flows of the kernel's data plane: room for a few channels of every allocation there
// may be, within what a small and a large machine can spare. What does not fit is
// relayed in user space.
const (
	flowsPerAllocation = 4
	minFlows, maxFlows = 1 << 10, 1 << 16
)

// startOffload starts the kernel's data plane on the addresses that are bound. It must
// be called with the listening addresses known, and before there is a table, whose epoch
// is given. Its table of Binding responses is then the server's.
func (s *Server) startOffload(epoch time.Time) (err error) {
	s.offload, err = offload.Start(offload.Config{
		Mode:    s.config.Offload,
		Serving: s.serving(),
		Flows:   flows(s.config.Quota),
		Binding: s.Addrs().UDP,
		Except:  s.config.discoveryAddresses(), // their answers say more
		Limit:   bindingLimit(s.config.UnauthenticatedRate),
		Epoch:   epoch,
		Logger:  s.log,
	})
	return err
}

// serving returns the local addresses that clients and peers send to.
func (s *Server) serving() []netip.Addr {
	var all []netip.Addr
	for _, at := range s.Addrs().UDP {
		all = append(all, at.Addr())
	}
	for _, r := range s.config.Relays {
		all = append(all, r.Local)
	}
	return all
}

func flows(q control.Quota) int {
	if q.Allocations == 0 {
		return maxFlows
	}
	return max(minFlows, min(flowsPerAllocation*q.Allocations, maxFlows))
}

// tableOffload is the kernel's data plane as the table is to see it.
func (s *Server) tableOffload() relay.Offload {
	if !s.offload.Active() {
		return nil
	}
	return s.offload
}
