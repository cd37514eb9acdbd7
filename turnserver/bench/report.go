package bench

import "time"

// Report is what became of a load. Counts are packets.
type Report struct {
	Load

	Sent      uint64 // what this machine's kernel took
	Refused   uint64 // and what not
	Refusal   error  // why not, the first time
	Delivered uint64 // what arrived where it should, duplicates aside
	Reordered uint64 // those of Delivered that others of their flow had overtaken
	Duplicate uint64
	Stray     uint64 // arrived where nothing, or something else, was sent to

	Elapsed time.Duration // from the first packet sent to the last one received
	Delay   *Histogram    // from handing a packet to the kernel to reading it, one way

	CPU        time.Duration // processor time of Load.Process meanwhile
	Processors int           // that it may use
}

func newReport(l Load, s *sender, t *tally, began time.Duration, c cost) *Report {
	return &Report{
		Load: l,
		Sent: s.sent, Refused: s.refused, Refusal: s.refusal,
		Delivered: t.delivered.Load(), Reordered: t.reordered.Load(),
		Duplicate: t.duplicate.Load(), Stray: t.stray.Load(),
		Elapsed: max(time.Duration(t.last.Load())-began, 0), Delay: &t.delay,
		CPU: c.cpu, Processors: c.processors,
	}
}

// DeliveredRate returns packets delivered a second.
func (r *Report) DeliveredRate() float64 { return ratio(float64(r.Delivered), r.Elapsed.Seconds()) }

// Loss returns the fraction of what was sent that was not delivered.
func (r *Report) Loss() float64 { return ratio(float64(r.Sent)-float64(r.Delivered), float64(r.Sent)) }

// CPUPerPacket returns the server's processor time per delivered packet.
func (r *Report) CPUPerPacket() time.Duration {
	return time.Duration(ratio(float64(r.CPU), float64(r.Delivered)))
}

// Limit says why no more was delivered.
type Limit string

// The limits.
const (
	LimitLoad      Limit = "load"      // there was no more to deliver
	LimitServer    Limit = "server"    // the server, or the network on its way
	LimitGenerator Limit = "generator" // this machine could not send more: the server was not measured
)

// Where the limits begin, as fractions.
const (
	muchLoss   = 0.01 // of packets
	muchUnsent = 0.01 // of packets
	busy       = 0.95 // of the server's processors
)

// Limit returns what was the limit, as far as it shows: in what was lost, in what was
// not even sent and, where Load.Process is known, in how busy the server was.
func (r *Report) Limit() Limit {
	asked := r.Rate * r.Duration.Seconds()
	switch {
	case r.Loss() > muchLoss || ratio(r.CPU.Seconds(), r.Elapsed.Seconds()*float64(r.Processors)) > busy:
		return LimitServer
	case r.Rate > 0 && float64(r.Sent) >= asked*(1-muchUnsent):
		return LimitLoad
	default:
		return LimitGenerator
	}
}

// ratio returns a/b, and zero if b is.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
