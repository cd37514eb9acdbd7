package bench

import (
	"fmt"
	"time"
)

// Result is what a bench found, for people and programs.
type Result struct {
	Server    string    `json:"server"` // its transport address
	Transport Transport `json:"transport"`
	Mode      Mode      `json:"mode"`
	Clients   int       `json:"clients"`
	Peers     int       `json:"peers"`

	Complete bool     `json:"complete"` // it was not interrupted
	Limit    Limit    `json:"limit,omitempty"`
	Words    string   `json:"words"`
	Notes    []string `json:"notes,omitempty"` // on what the figures lack

	Allocations *Allocations   `json:"allocations,omitempty"`
	Packets     *Packets       `json:"packets,omitempty"`
	Process     *ProcessCost   `json:"process,omitempty"`
	Machine     *MachineCost   `json:"machine,omitempty"`
	Generator   *GeneratorCost `json:"generator,omitempty"`
}

// Allocations is what making the allocations took, connections and handshakes included.
type Allocations struct {
	Count     int     `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
	Delay     *Delay  `json:"delay,omitempty"`
	Repeated  uint64  `json:"repeated"` // requests that had to be sent again

	// BytesEach is by how much the server's resident memory grew for each, and
	// MicrosecondsEach its processor time, where its process is known. Memory that the
	// server had before and used again is not in it, so few allocations tell little.
	BytesEach        int64   `json:"bytesEach,omitempty"`
	MicrosecondsEach float64 `json:"microsecondsEach,omitempty"`
}

// Packets is what became of the load. Delays are one way; with [Binding] there and back.
type Packets struct {
	Size     int     `json:"size"`               // bytes of application data
	Rate     float64 `json:"rate"`               // a second, as asked for; 0 is as fast as it goes
	Burst    int     `json:"burst"`              // packets of one flow back to back
	Duration float64 `json:"durationSeconds"`    // as asked for
	Seconds  float64 `json:"seconds"`            // from the first packet sent to the last received
	SentRate float64 `json:"sentPerSecond"`      // what the generator brought about
	Given    float64 `json:"deliveredPerSecond"` // what arrived
	Bits     float64 `json:"deliveredBitsPerSecond"`

	Sent        uint64  `json:"sent"`
	Delivered   uint64  `json:"delivered"`
	LossPercent float64 `json:"lossPercent"`
	Reordered   uint64  `json:"reordered"`
	Duplicate   uint64  `json:"duplicate"`
	Stray       uint64  `json:"stray"`
	Refused     uint64  `json:"refused"` // by this machine's kernel, or a connection that was full
	Refusal     string  `json:"refusal,omitempty"`
	Delay       *Delay  `json:"delay,omitempty"`
}

// Delay is quantiles of a delay, in microseconds.
type Delay struct {
	Count uint64  `json:"count"` // how many it is taken from
	P50   float64 `json:"p50Us"`
	P90   float64 `json:"p90Us"`
	P99   float64 `json:"p99Us"`
	P999  float64 `json:"p999Us"`
	Max   float64 `json:"maxUs"`
}

// newDelay returns nil if there is none.
func newDelay(h *Histogram) *Delay {
	n := h.Count()
	if n == 0 {
		return nil
	}
	at := func(q float64) float64 { return microseconds(h.Quantile(q)) }
	return &Delay{Count: n, P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: at(1)}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ProcessCost is what the server's process spent during the load.
type ProcessCost struct {
	PID                   int     `json:"pid"`
	CPUSeconds            float64 `json:"cpuSeconds"`
	Processors            int     `json:"processors"` // that it may use
	MicrosecondsPerPacket float64 `json:"microsecondsPerPacket"`
}

// MachineCost is what all processors of this machine spent during the load, the kernel's
// work for the server included, and the generator's part, measured without the server.
type MachineCost struct {
	BusySeconds           float64 `json:"busySeconds"`
	Processors            int     `json:"processors"`
	OthersBusy            float64 `json:"othersBusy"` // processors that something else kept busy
	GeneratorMicroseconds float64 `json:"generatorMicrosecondsPerPacket"`
	MicrosecondsPerPacket float64 `json:"microsecondsPerPacket"` // less the generator's

	// AttributedMicroseconds is the same of the server, the generator and the kernel's
	// threads for packets alone, and so without what else the machine did.
	AttributedMicroseconds float64 `json:"attributedMicrosecondsPerPacket"`
}

// muchElse is how many processors may be busy with something else before the whole
// machine's figure says little.
const muchElse = 0.1

// GeneratorCost is what the generator itself spent, and lost.
type GeneratorCost struct {
	CPUSeconds float64 `json:"cpuSeconds"`
	Drops      uint64  `json:"drops"` // thrown away at its own sockets
}

func newResult(f *Fleet, m Mode) *Result {
	return &Result{
		Server: f.config.Server.String(), Transport: f.config.Transport, Mode: m,
		Clients: f.config.Clients, Peers: f.config.Peers,
	}
}

// take takes in what became of a load.
func (r *Result) take(report *Report) {
	r.Complete, r.Limit, r.Words = !report.Interrupted, report.Limit(), report.Words()
	if report.Interrupted {
		r.Limit, r.Words = "", "ended before the load did"
	}
	r.Packets = report.packets()
	if report.Mode == Binding && report.Loss() > muchLoss {
		r.Notes = append(r.Notes, "servers bound how many Bindings a second they answer one address")
	}
	r.Generator = &GeneratorCost{CPUSeconds: report.Generator.Seconds(), Drops: report.Drops}
	if report.Process == 0 {
		return
	}
	r.Process = &ProcessCost{
		PID: int(report.Process), CPUSeconds: report.CPU.Seconds(), Processors: report.Processors,
		MicrosecondsPerPacket: microseconds(report.CPUPerPacket()),
	}
	if report.Baseline == (Spent{}) {
		return
	}
	if report.Spent == (Spent{}) {
		r.Notes = append(r.Notes, noteTooShort)
		return
	}
	relaying := report.PerPacket()
	r.Machine = &MachineCost{
		BusySeconds: report.Spent.Machine.Seconds(), Processors: report.MachineProcessors, OthersBusy: report.Others(),
		GeneratorMicroseconds:  microseconds(report.Baseline.Machine),
		MicrosecondsPerPacket:  microseconds(relaying.Machine),
		AttributedMicroseconds: microseconds(relaying.Attributed),
	}
	if n := r.Machine.OthersBusy; n > muchElse {
		r.Notes = append(r.Notes, fmt.Sprintf("something else kept %.1f processors busy: the figure of the whole machine says little", n))
	}
}

func (r *Report) packets() *Packets {
	const bitsPerByte = 8
	p := &Packets{
		Size: r.Payload, Rate: r.Rate, Burst: r.Burst, Duration: r.Duration.Seconds(),
		Seconds: r.Elapsed.Seconds(), SentRate: ratio(float64(r.Sent), r.Elapsed.Seconds()),
		Given: r.DeliveredRate(), Bits: r.DeliveredRate() * float64(r.Payload) * bitsPerByte,
		Sent: r.Sent, Delivered: r.Delivered, LossPercent: 100 * r.Loss(),
		Reordered: r.Reordered, Duplicate: r.Duplicate, Stray: r.Stray, Refused: r.Refused, Delay: newDelay(r.Delay),
	}
	if r.Mode == Binding {
		p.Size, p.Bits = 0, 0
	}
	if r.Refusal != nil {
		p.Refusal = r.Refusal.Error()
	}
	return p
}

// Words says in a sentence what the limit was, and above all when it was not the server.
func (r *Report) Words() string {
	percent := 100 * r.Loss()
	if r.Delivered == 0 {
		return fmt.Sprintf("nothing arrived of %d packets sent", r.Sent)
	}
	switch r.Limit() {
	case LimitLoad:
		return "the load was the limit: what was sent arrived"
	case LimitMachine:
		return "this machine was the limit, not the server alone: both share its processors, and all were busy"
	case LimitServer:
		switch {
		case r.serverBusy():
			return fmt.Sprintf("the server was the limit: its processors were busy, and %.1f %% was lost", percent)
		case r.Loss() > muchLoss:
			return fmt.Sprintf("the server, or the network on the way, was the limit: it lost %.1f %%", percent)
		}
		return "the server was the limit: it read its connections too slowly"
	}
	switch {
	case r.Loss() > muchLoss:
		return fmt.Sprintf("the generator was the limit, not the server: its own sockets threw away %d of %d packets lost", r.Drops, r.Sent-r.Delivered)
	case r.Rate > 0:
		return fmt.Sprintf("the generator was the limit, not the server: it sent %.0f of %.0f packets asked for", float64(r.Sent), r.Rate*r.Duration.Seconds())
	}
	return "the generator was the limit, not the server: all that it could send arrived"
}
