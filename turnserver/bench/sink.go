package bench

// sampleEvery is how many packets of a flow there are to one that a sink passes on to
// be timed. A power of two, at most 256.
const sampleEvery = 16

// Sink counts and drops the payloads of a run where they enter this machine, in the
// kernel, so that receiving costs next to nothing and a server is not measured by what
// its clients can take. One packet in sixteen it passes on, for the delay. What it
// drops is counted without a look at checksums, order or duplicates.
//
// Only Linux has one: see [NewSink]. A nil Sink does nothing.
type Sink struct {
	sinkSys
}

// begin makes the sink take the payloads of a run.
func (s *Sink) begin(run uint32) {
	if s != nil {
		s.match(run)
	}
}

// end makes it take nothing.
func (s *Sink) end() {
	if s != nil {
		s.match(0)
	}
}

// dropped returns how many payloads it has dropped since begin.
func (s *Sink) dropped() uint64 {
	if s == nil {
		return 0
	}
	return s.count()
}

// Close detaches the sink.
func (s *Sink) Close() error {
	if s == nil {
		return nil
	}
	return s.close()
}
