package signaling

import (
	"math"
	"slices"
	"strconv"
)

// Quality is what one member reports of its connection to another. Numbers are nil where the member
// did not say.
type Quality struct {
	RoundTripMs     *float64 `json:"roundTripMs,omitempty"`
	LossPercent     *float64 `json:"lossPercent,omitempty"`
	JitterMs        *float64 `json:"jitterMs,omitempty"`
	BitrateKbps     *float64 `json:"bitrateKbps,omitempty"` // of video
	PairType        string   `json:"pairType,omitempty"`    // one of PairTypes, or empty
	Transport       string   `json:"transport,omitempty"`   // one of Transports, or empty
	Restarts        *float64 `json:"restarts,omitempty"`    // ICE restarts so far
	TimeToConnectMs *float64 `json:"timeToConnectMs,omitempty"`
}

// PairTypes lists the kinds of selected candidate pairs, by the more indirect of the two candidates.
func PairTypes() []string { return []string{"direct", "nat", "relay"} }

// Transports lists how packets leave the reporting client.
func Transports() []string { return []string{"udp", "tcp", "tls"} }

// qualityNumber is one number of a report.
type qualityNumber struct {
	name  string
	most  float64
	whole bool
	at    **float64
}

func (q *Quality) numbers() []qualityNumber {
	return []qualityNumber{
		{"roundTripMs", 60_000, false, &q.RoundTripMs},
		{"lossPercent", 100, false, &q.LossPercent},
		{"jitterMs", 60_000, false, &q.JitterMs},
		{"bitrateKbps", 1_000_000, false, &q.BitrateKbps},
		{"restarts", 1000, true, &q.Restarts},
		{"timeToConnectMs", 600_000, false, &q.TimeToConnectMs},
	}
}

func parseQuality(o object) (Quality, *Refusal) {
	var q Quality
	said := false
	for _, n := range q.numbers() {
		raw, present := o[n.name]
		if !present || string(raw) == "null" {
			continue
		}
		value, err := strconv.ParseFloat(string(raw), 64) // a text, in quotes, is none
		if err != nil || value < 0 || value > n.most || n.whole && value != math.Trunc(value) {
			return Quality{}, refuse(ReasonBadQuality, "A number of the report is none, or is not possible; PROTOCOL.md has the bounds.")
		}
		value += 0 // makes -0 a 0
		*n.at, said = &value, true
	}
	pair, _, pairOK := o.text("pairType")
	transport, _, transportOK := o.text("transport")
	switch {
	case !pairOK || pair != "" && !slices.Contains(PairTypes(), pair):
		return Quality{}, refuse(ReasonBadQuality, `"pairType" must be direct, nat or relay.`)
	case !transportOK || transport != "" && !slices.Contains(Transports(), transport):
		return Quality{}, refuse(ReasonBadQuality, `"transport" must be udp, tcp or tls.`)
	case !said:
		return Quality{}, refuse(ReasonBadQuality, "The report has no number.")
	}
	q.PairType, q.Transport = pair, transport
	return q, nil
}

// Verdict is how good a connection is.
type Verdict string

// The verdicts, from the best to the worst. Nothing is said of a connection that told nothing of what
// is judged.
const (
	VerdictUnknown  Verdict = "unknown"
	VerdictGood     Verdict = "good"
	VerdictWarning  Verdict = "warning"
	VerdictCritical Verdict = "critical"
)

// Verdicts lists every [Verdict], from the best to the worst.
func Verdicts() []Verdict {
	return []Verdict{VerdictUnknown, VerdictGood, VerdictWarning, VerdictCritical}
}

// Worse returns the worse of two verdicts.
func (v Verdict) Worse(other Verdict) Verdict {
	if slices.Index(Verdicts(), other) > slices.Index(Verdicts(), v) {
		return other
	}
	return v
}

// Verdict judges by the worst of round trip, loss, jitter and bitrate.
func (q Quality) Verdict() Verdict {
	worst := 0
	note := func(v *float64, good, warning func(float64) bool) {
		switch {
		case v == nil:
		case good(*v):
			worst = max(worst, 1)
		case warning(*v):
			worst = max(worst, 2)
		default:
			worst = max(worst, 3)
		}
	}
	below := func(n float64) func(float64) bool { return func(v float64) bool { return v < n } }
	upTo := func(n float64) func(float64) bool { return func(v float64) bool { return v <= n } }
	above := func(n float64) func(float64) bool { return func(v float64) bool { return v > n } }
	from := func(n float64) func(float64) bool { return func(v float64) bool { return v >= n } }
	note(q.RoundTripMs, below(150), upTo(300))
	note(q.LossPercent, below(1), upTo(5))
	note(q.JitterMs, below(30), upTo(50))
	note(q.BitrateKbps, above(1000), from(500))
	return Verdicts()[worst]
}

// Report is a [Quality] as it goes into statistics.
type Report struct {
	Quality
	Verdict Verdict

	// NewRestarts are the ICE restarts since the connection's last report. FirstConnect is the time
	// to connect in the one report of each connection that first has it, and else nil.
	NewRestarts  float64
	FirstConnect *float64 // milliseconds
}

// reportSince makes statistics of a report, given the one before it of the same connection.
func (q Quality) reportSince(before Quality) Report {
	r := Report{Quality: q, Verdict: q.Verdict()}
	if q.Restarts != nil {
		r.NewRestarts = *q.Restarts
		if before.Restarts != nil {
			r.NewRestarts = max(0, *q.Restarts-*before.Restarts)
		}
	}
	if before.TimeToConnectMs == nil {
		r.FirstConnect = q.TimeToConnectMs
	}
	return r
}

// keep fills what a later report leaves out of what is said once, so that it still counts once.
func (q Quality) keep(before Quality) Quality {
	if q.TimeToConnectMs == nil {
		q.TimeToConnectMs = before.TimeToConnectMs
	}
	if q.Restarts == nil {
		q.Restarts = before.Restarts
	}
	return q
}

// Reports of one socket: two a second in the long run, for rooms of up to twenty that report every ten
// seconds, and all of a room's connections at once.
const (
	reportRate  = 2
	reportBurst = 32
)
