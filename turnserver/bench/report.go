package bench

import (
	"errors"
	"time"
)

// Report is what became of a load. Counts are packets.
type Report struct {
	Load

	Sent      uint64 // what this machine's kernel took, or a connection's queue
	Refused   uint64 // and what not
	Refusal   error  // why not, the first time
	Delivered uint64 // what arrived where it should, duplicates aside
	Reordered uint64 // those of Delivered that others of their flow had overtaken
	Duplicate uint64
	Stray     uint64 // arrived where nothing, or something else, was sent to
	Drops     uint64 // what the generator's own sockets threw away

	Interrupted bool // the context ended before the load did

	Elapsed time.Duration // from the first packet sent to the last one received
	Delay   *Histogram    // from handing a packet to the kernel to reading it, one way

	CPU        time.Duration // processor time of Load.Process meanwhile
	Processors int           // that it may use

	// Generator is the processor time of this process, and Spent that of more, on a
	// machine of so many processors. They are zero where the system does not tell.
	Generator         time.Duration
	Spent             Spent
	MachineProcessors int
}

func newReport(l Load, s *sender, t *tally, began time.Duration, c cost) *Report {
	return &Report{
		Load: l,
		Sent: s.sent.Load(), Refused: s.refused, Refusal: s.refusal,
		Delivered: t.arrivals(), Reordered: t.reordered.Load(),
		Duplicate: t.duplicate.Load(), Stray: t.stray.Load(),
		Elapsed: max(time.Duration(t.last.Load())-began, 0), Delay: &t.delay,
		CPU: c.cpu, Processors: c.processors,
		Generator: c.own, Spent: c.spent(), MachineProcessors: c.machine.processors,
	}
}

// DeliveredRate returns packets delivered a second.
func (r *Report) DeliveredRate() float64 { return ratio(float64(r.Delivered), r.Elapsed.Seconds()) }

// Loss returns the fraction of what was sent that was not delivered.
func (r *Report) Loss() float64 {
	return max(ratio(float64(r.Sent)-float64(r.Delivered), float64(r.Sent)), 0)
}

// CPUPerPacket returns the server's processor time per delivered packet.
func (r *Report) CPUPerPacket() time.Duration {
	return time.Duration(ratio(float64(r.CPU), float64(r.Delivered)))
}

// PerSent returns the processor time spent per packet sent.
func (r *Report) PerSent() Spent { return r.Spent.over(r.Sent) }

// PerPacket returns the processor time spent per delivered packet, less what the
// generator takes for as many packets as it sent: what relaying costs, with what the
// kernel does for the server. It is zero without a Load.Baseline.
func (r *Report) PerPacket() Spent {
	if r.Baseline == (Spent{}) {
		return Spent{}
	}
	return r.Spent.less(r.Baseline.times(r.Sent)).over(r.Delivered)
}

// Others returns how many processors of this machine were busy with something else than
// this bench. What they did is in Spent.Machine.
func (r *Report) Others() float64 {
	return max(ratio((r.Spent.Machine-r.Spent.Attributed).Seconds(), r.Elapsed.Seconds()), 0)
}

// Limit says why no more was delivered.
type Limit string

// The limits.
const (
	LimitLoad      Limit = "load"      // there was no more to deliver
	LimitServer    Limit = "server"    // the server, or the network on its way
	LimitMachine   Limit = "machine"   // server and generator share processors that were all busy
	LimitGenerator Limit = "generator" // the generator sent or received too slowly: the server was not measured
)

// Where the limits begin, as fractions.
const (
	muchLoss   = 0.01 // of packets
	muchUnsent = 0.01 // of packets
	busy       = 0.95 // of processors
	ownPart    = 0.5  // of what was lost
)

// Limit returns what was the limit, as far as it shows: in what was lost and where, in
// what was not even sent and, where Load.Process is known, in how busy server and
// machine were.
func (r *Report) Limit() Limit {
	switch {
	case r.serverBusy():
		return LimitServer
	case r.Loss() > muchLoss && r.lostHere():
		return LimitGenerator
	case r.Process != 0 && r.machineBusy() && (r.Loss() > muchLoss || r.behind()):
		return LimitMachine
	case r.Loss() > muchLoss || errors.Is(r.Refusal, errBacklog):
		return LimitServer
	case r.Rate > 0 && !r.behind():
		return LimitLoad
	default:
		return LimitGenerator
	}
}

// behind reports whether less was sent than asked for.
func (r *Report) behind() bool {
	return r.Rate == 0 || float64(r.Sent) < r.Rate*r.Duration.Seconds()*(1-muchUnsent)
}

// lostHere reports whether the generator itself lost most of what was lost.
func (r *Report) lostHere() bool {
	return float64(r.Drops) > ownPart*(float64(r.Sent)-float64(r.Delivered))
}

func (r *Report) serverBusy() bool {
	return ratio(r.CPU.Seconds(), r.Elapsed.Seconds()*float64(r.Processors)) > busy
}

func (r *Report) machineBusy() bool {
	return ratio(r.Spent.Machine.Seconds(), r.Elapsed.Seconds()*float64(r.MachineProcessors)) > busy
}

// ratio returns a/b, and zero if b is.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
