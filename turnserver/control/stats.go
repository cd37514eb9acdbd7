package control

import "hairpin/turnserver/relay"

// Stats are the control plane's figures of the moment.
type Stats struct {
	Allocations map[relay.Transport]int
	Bindings    uint64            // Binding requests answered
	Refused     map[Reason]uint64 // by every reason there is
}

// Stats returns the figures. It may be called at any time.
func (s *Server) Stats() Stats {
	stats := Stats{
		Allocations: make(map[relay.Transport]int),
		Bindings:    s.bindings.Load(),
		Refused:     make(map[Reason]uint64),
	}
	for _, reason := range Reasons() {
		stats.Refused[reason] = s.refused[reason].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for ft := range s.allocations {
		stats.Allocations[ft.Transport]++
	}
	return stats
}
