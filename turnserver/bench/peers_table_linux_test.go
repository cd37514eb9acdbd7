package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/bench"
)

// comparison is what a run of TestPeers found.
type comparison struct {
	rounds     int
	duration   time.Duration // of one load
	contenders []*contender
	rows       []*samples
	programs   []program
	empty      time.Duration // what the kernel counts for a program that does nothing
	machine    string
}

// What the kernel path is for: how many times less than coturn a packet costs the
// machine, how long its program may run for one, and how its delays compare.
const (
	timesLess      = 10
	timesLessRelay = 20 // from relay to relay
	maxRun         = 350 * time.Nanosecond
	maxDelayPart   = 0.5 // p50

	// maxOthers is how many processors may do something else, on a machine whose figure
	// is believed.
	maxOthers = 0.1
)

// spent returns what a packet costs: one delivered, less the generator's part, or that
// part itself.
func (s *samples) spent(part func(bench.Spent) time.Duration) time.Duration {
	return median(s.reports, func(r *bench.Report) time.Duration {
		if s.of == &nobody {
			return part(r.PerSent())
		}
		return part(r.PerPacket())
	})
}

func (s *samples) machine() time.Duration {
	return s.spent(func(s bench.Spent) time.Duration { return s.Machine })
}

func (s *samples) attributed() time.Duration {
	return s.spent(func(s bench.Spent) time.Duration { return s.Attributed })
}

func (s *samples) process() time.Duration { return median(s.reports, (*bench.Report).CPUPerPacket) }

func (s *samples) delay(q float64) time.Duration {
	return median(s.reports, func(r *bench.Report) time.Duration { return r.Delay.Quantile(q) })
}

// beside returns the row of the same cell of another contender, or nil.
func (c *comparison) beside(row *samples, key string) *samples {
	for _, other := range c.rows {
		if other.of.key == key && other.mode == row.mode && other.size == row.size && other.name == row.name {
			return other
		}
	}
	return nil
}

func (s *samples) loss() float64 { return median(s.reports, (*bench.Report).Loss) }

// told reports whether the cost of a packet can be told: where much is lost, what the
// generator takes for all that it sent is more than all the rest.
func (s *samples) told() bool { return s.loss() < 0.1 }

// times returns how many times as much another row's packet costs, by one of the two
// figures, and whether that can be told.
func (s *samples) times(other *samples, figure func(*samples) time.Duration) (float64, bool) {
	if other == nil || !s.told() || !other.told() || figure(s) <= 0 {
		return 0, false
	}
	return float64(figure(other)) / float64(figure(s)), true
}

// others returns how many processors did something else.
func (c *comparison) others() float64 {
	return median(c.rows, func(s *samples) float64 { return median(s.reports, (*bench.Report).Others) })
}

// judge fails the test where the kernel path does not keep what is promised of it. On a
// machine that did something else, it goes by the figure that is without that.
func (c *comparison) judge(t *testing.T) {
	figure := (*samples).machine
	if n := c.others(); n > maxOthers {
		t.Logf("something else kept %.2f processors busy: what is judged is what is attributed, not what the machine took", n)
		figure = (*samples).attributed
	}
	for _, row := range c.rows {
		theirs := c.beside(row, "coturn")
		if !row.of.kernel || theirs == nil {
			continue
		}
		name := fmt.Sprintf("%s, %d bytes, %s", row.mode, row.size, row.name)
		want := float64(timesLess)
		if row.mode == bench.RelayToRelay {
			want = timesLessRelay
		}
		if !row.paced() {
			continue // coturn then loses much, and delays are those of full buffers
		}
		switch n, ok := row.times(theirs, figure); {
		case !ok:
			t.Errorf("%s: how much more coturn takes cannot be told: measure for longer, on an idle machine", name)
		case n < want:
			t.Errorf("%s: coturn takes %.1f times as much, want %.0f", name, n, want)
		}
		if ours, limit := row.delay(0.5), time.Duration(maxDelayPart*float64(theirs.delay(0.5))); ours > limit {
			t.Errorf("%s: half of the packets take %v, want %v", name, ours, limit)
		}
		if ours, limit := row.delay(0.99), theirs.delay(0.99); ours > limit {
			t.Errorf("%s: one packet in a hundred takes %v, coturn's %v", name, ours, limit)
		}
	}
	for _, p := range c.programs {
		// Between the packets of a paced load the caches forget the program.
		if !p.paced() && p.run > maxRun {
			t.Errorf("%s, %d bytes, %s: the program runs for %v, want %v", p.mode, p.size, p.name, p.run, maxRun)
		}
	}
}

// note writes down what the figures were measured on.
func (c *comparison) note(t *testing.T) {
	cpu, _ := exec.Command("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1").Output()
	kernel, _ := exec.Command("uname", "-sr").Output()
	versions := []string{strings.TrimSpace(string(kernel)), runtime.Version()}
	for _, of := range c.contenders {
		if version := of.version(t); !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	c.machine = fmt.Sprintf("%s: %d × %s; %s.", time.Now().Format(time.DateOnly), runtime.NumCPU(),
		strings.TrimSpace(string(cpu)), strings.Join(versions, "; "))
}

// write writes the comparison as Markdown.
func (c *comparison) write(t *testing.T, to io.Writer) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\nCommand: `make bench-peers`, medians of %d interleaved rounds of %v a load. Something else than the bench kept %.2f processors busy.\n\n",
		c.machine, c.rounds, c.duration, c.others())
	fmt.Fprintln(&out, "| direction | bytes | load | server | machine, µs a packet | coturn × | attributed, µs | coturn × | process, µs | delivered/s | loss | delay p50 | p99 | limit |")
	fmt.Fprintln(&out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, row := range c.rows {
		machine, attributed := "–", "–"
		if row.told() {
			machine, attributed = fmt.Sprintf("%.2f", inMicroseconds(row.machine())), fmt.Sprintf("%.2f", inMicroseconds(row.attributed()))
		}
		fmt.Fprintf(&out, "| %s | %d | %s | %s | %s | %s | %s | %s | %.2f | %.0f | %.1f %% | %v | %v | %s |\n",
			row.mode, row.size, row.name, row.of.name, machine, c.times(row, (*samples).machine), attributed, c.times(row, (*samples).attributed), inMicroseconds(row.process()),
			median(row.reports, (*bench.Report).DeliveredRate), 100*row.loss(),
			row.delay(0.5).Round(time.Microsecond), row.delay(0.99).Round(time.Microsecond), median(row.reports, (*bench.Report).Limit))
	}
	if len(c.programs) > 0 {
		fmt.Fprintf(&out, "\nThe kernel's own statistics of the program (BPF_ENABLE_STATS), by which one that does nothing takes %d ns:\n", c.empty.Nanoseconds())
		fmt.Fprintln(&out, "\n| direction | bytes | load | ns a run | runs | packets delivered |\n|---|---|---|---|---|---|")
	}
	for _, p := range c.programs {
		fmt.Fprintf(&out, "| %s | %d | %s | %d | %d | %d |\n", p.mode, p.size, p.name, p.run.Nanoseconds(), p.runs, p.delivered)
	}
	if _, err := to.Write(out.Bytes()); err != nil {
		t.Error(err)
	}
}

// times tells how many times as much coturn takes, where that can be told.
func (c *comparison) times(row *samples, figure func(*samples) time.Duration) string {
	n, ok := row.times(c.beside(row, "coturn"), figure)
	if !ok || row.of.key == "coturn" || row.of == &nobody {
		return ""
	}
	return fmt.Sprintf("%.1f", n)
}

func inMicroseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// The table in a document stands between these lines.
const (
	tableBegin = "<!-- begin: make bench-peers -->\n"
	tableEnd   = "<!-- end: make bench-peers -->\n"
)

// replaceTable puts the comparison in the place of the one that a document has.
func replaceTable(t *testing.T, file string, c comparison) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the line %q or %q", file, tableBegin, tableEnd)
	}
	var table bytes.Buffer
	c.write(t, &table)
	if err := os.WriteFile(file, []byte(before+tableBegin+table.String()+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
