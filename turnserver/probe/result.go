package probe

import (
	"fmt"
	"strings"
	"time"
)

// Status is how a step ended.
type Status string

// The statuses.
const (
	OK      Status = "ok"      // it is as it should be
	Warning Status = "warning" // it will do, and the words say what could be better; of Self alone
	Fault   Status = "fault"   // it is not, and the words say why
	Unknown Status = "unknown" // it could not be told, and the words say why
	Skipped Status = "skipped" // it was not tried, and the words say why
)

// Step is one thing that was tried.
type Step struct {
	Name    string        `json:"name"`
	Status  Status        `json:"status"`
	Reason  string        `json:"reason,omitempty"`  // a stable code, where the status is not ok
	Words   string        `json:"words"`             // for people
	Hint    string        `json:"hint,omitempty"`    // what mends it
	Details any           `json:"details,omitempty"` // of the type that the package comment names
	Took    time.Duration `json:"-"`
	TookMS  float64       `json:"tookMs"` // milliseconds
}

// Verdict is what the steps come to.
type Verdict string

// The verdicts, from the best to the worst.
const (
	Healthy     Verdict = "healthy"     // no fault found
	Incomplete  Verdict = "incomplete"  // interrupted, or out of time, before a fault was found
	Faulty      Verdict = "fault"       // a fault found
	Unreachable Verdict = "unreachable" // nothing answered
)

// Result is what a probe of one server found.
type Result struct {
	URI      string  `json:"uri"`
	Verdict  Verdict `json:"verdict"`
	Words    string  `json:"words"`              // the verdict for people
	Server   string  `json:"server,omitempty"`   // the address that was probed, of those the name has
	Software string  `json:"software,omitempty"` // what the server calls itself
	Steps    []Step  `json:"steps"`
	TookMS   float64 `json:"tookMs"` // milliseconds
}

// Step returns the step of a name.
func (r Result) Step(name string) (Step, bool) {
	for _, s := range r.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

func okay(details any, format string, a ...any) Step {
	return Step{Status: OK, Words: fmt.Sprintf(format, a...), Details: details}
}

func fault(reason string, details any, format string, a ...any) Step {
	return Step{Status: Fault, Reason: reason, Words: fmt.Sprintf(format, a...), Details: details}
}

func warning(reason string, details any, format string, a ...any) Step {
	return Step{Status: Warning, Reason: reason, Words: fmt.Sprintf(format, a...), Details: details}
}

func unknown(reason string, details any, format string, a ...any) Step {
	return Step{Status: Unknown, Reason: reason, Words: fmt.Sprintf(format, a...), Details: details}
}

func skipped(reason, format string, a ...any) Step {
	return Step{Status: Skipped, Reason: reason, Words: fmt.Sprintf(format, a...)}
}

func (s Step) hint(format string, a ...any) Step {
	s.Hint = fmt.Sprintf(format, a...)
	return s
}

// conclude fills in the verdict.
func (r *Result) conclude(reached bool) {
	var faults, open []string
	interrupted := false
	for _, s := range r.Steps {
		switch {
		case s.Status == Fault:
			faults = append(faults, s.Name)
		case s.Status != OK && s.Reason != ReasonNeeds:
			open = append(open, s.Name)
		}
		interrupted = interrupted || s.Reason == ReasonInterrupted
	}
	switch {
	case !reached && !interrupted:
		r.Verdict, r.Words = Unreachable, "could not be reached"
	case len(faults) > 0:
		r.Verdict, r.Words = Faulty, counted(len(faults), "fault")+": "+strings.Join(faults, ", ")
	case interrupted:
		r.Verdict, r.Words = Incomplete, "ended before all was tried"
	default:
		r.Verdict, r.Words = Healthy, "no fault found"
	}
	if len(open) > 0 && r.Verdict != Unreachable {
		r.Words += "; not known: " + strings.Join(open, ", ")
	}
}

// counted writes a number and what it counts.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ms returns a duration in milliseconds, to the hundredth.
func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
