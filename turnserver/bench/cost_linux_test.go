package bench_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/labtest"
)

// The server has one processor and the generator the others, so that one does not slow
// the other down by more than the memory they share.
const serverCPU = "0"

// loads are what the servers are measured with, at 100 allocations and 160 bytes.
var loads = []struct {
	name string
	bench.Load
}{
	{"50 000/s", bench.Load{Rate: 50_000}},
	{"flood", bench.Load{}},
	{"flood, bursts of 4", bench.Load{Burst: 4}},
}

// What must hold beside Debian's coturn, and by itself.
const (
	maxBytesPerAllocation = 8000
	minAllocationRate     = 10_000 // a second
	idleAllocations       = 10_000

	// noise is what two rounds of one server differ by on a machine that does other
	// things as well, as a factor.
	noise = 1.05
)

// TestCost compares what relaying costs with what it costs coturn, in one run: rounds
// alternate between the servers, and medians are compared. It takes some ten minutes;
// HAIRPIN_BENCH_ROUNDS and HAIRPIN_BENCH_SECONDS (a load) shorten it.
func TestCost(t *testing.T) {
	if os.Getenv("HAIRPIN_BENCH") == "" {
		t.Skip("takes minutes of an otherwise idle machine; set HAIRPIN_BENCH=1")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs a processor for the server and one for the generator")
	}
	labtest.New(t) // or skip
	// By default coturn starts a relay thread for every processor of the machine, though
	// it may use one; the third server shows what that costs it.
	servers := []server{
		hairpin(t, "hairpin", hairpinProgram(t), "--offload", "off"),
		coturn(t, "coturn", "--no-tls"), coturn(t, "coturn, 1 thread", "--no-tls", "--relay-threads", "1"),
	}
	useOtherProcessors(t)
	rounds := int(setting(t, "HAIRPIN_BENCH_ROUNDS", 5))
	duration := time.Duration(setting(t, "HAIRPIN_BENCH_SECONDS", 5) * float64(time.Second))

	memory := compareMemory(t, servers[:2], min(rounds, 3))
	relaying := compareRelaying(t, servers, rounds, duration)
	printMachine(t, servers, rounds, duration)
	printMemory(t, memory)
	printRelaying(t, relaying, len(servers))
	judge(t, memory, relaying, len(servers))
}

func setting(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%s is not a positive number", name, value)
	}
	return n
}

// useOtherProcessors keeps this process off the server's processor until the test ends.
func useOtherProcessors(t *testing.T) {
	t.Helper()
	all := fmt.Sprintf("0-%d", runtime.NumCPU()-1)
	others := fmt.Sprintf("1-%d", runtime.NumCPU()-1)
	pin := func(cpus string) {
		if out, err := exec.Command("taskset", "-acp", cpus, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
			t.Errorf("taskset: %v: %s", err, out)
		}
	}
	pin(others)
	// One more than two processors have left: the sender sleeps in the kernel, holding
	// what the receivers need to run.
	before := runtime.GOMAXPROCS(max(2, runtime.NumCPU()-1))
	t.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		pin(all)
	})
}

// footprint is what allocations cost one server; one value a round.
type footprint struct {
	name  string
	bytes []float64 // resident, per idle allocation
	rate  []float64 // allocations a second
}

// compareMemory starts the servers afresh in each round, since memory that was once
// used may stay resident.
func compareMemory(t *testing.T, servers []server, rounds int) []footprint {
	all := make([]footprint, len(servers))
	for round := range rounds {
		for i, server := range servers {
			all[i].name = server.name
			t.Run(fmt.Sprintf("memory/%d/%s", round+1, server.name), func(t *testing.T) {
				lab := labtest.New(t)
				site := newSite(lab, lab.Host("client"), lab.Host("peer"), 1)
				process := server.start(t, site, serverCPU)
				before := resident(t, process)
				fleet := site.establish(t, idleAllocations)
				defer closeFleet(t, fleet)
				all[i].bytes = append(all[i].bytes, (resident(t, process)-before)/idleAllocations)
				all[i].rate = append(all[i].rate, fleet.AllocationRate())
			})
		}
	}
	return all
}

func resident(t *testing.T, p bench.Process) float64 {
	t.Helper()
	n, err := p.Resident()
	if err != nil {
		t.Fatal(err)
	}
	return float64(n)
}

// row is one line of the table: a server under a load, one report a round.
type row struct {
	server, load string
	mode         bench.Mode
	reports      []*bench.Report
}

// compareRelaying keeps all servers running; those that are not loaded are idle.
func compareRelaying(t *testing.T, servers []server, rounds int, duration time.Duration) []row {
	lab := labtest.New(t)
	client, peer := lab.Host("client"), lab.Host("peer")
	fleets, processes := make([]*bench.Fleet, len(servers)), make([]bench.Process, len(servers))
	defer func() { // before the end of the test kills the servers
		for _, fleet := range fleets {
			closeFleet(t, fleet)
		}
	}()
	for i, server := range servers {
		site := newSite(lab, client, peer, byte(i+1))
		processes[i] = server.start(t, site, serverCPU)
		fleets[i] = site.establish(t, 100)
	}
	var rows []row
	for _, mode := range []bench.Mode{bench.ToPeer, bench.ToClient} {
		for _, load := range loads {
			for _, server := range servers {
				rows = append(rows, row{server: server.name, load: load.name, mode: mode})
			}
		}
	}
	for range rounds {
		for i := range rows {
			which, load := i%len(servers), loads[i/len(servers)%len(loads)].Load
			load.Mode, load.Duration, load.Process = rows[i].mode, duration, processes[which]
			report, err := fleets[which].Run(t.Context(), load)
			if err != nil {
				t.Fatal(err)
			}
			rows[i].reports = append(rows[i].reports, report)
		}
	}
	return rows
}

// median returns the middle of what get returns for all, or zero of none.
func median[E any, V cmp.Ordered](all []E, get func(E) V) V {
	var values []V
	for _, e := range all {
		values = append(values, get(e))
	}
	slices.Sort(values)
	if len(values) == 0 {
		var none V
		return none
	}
	return values[len(values)/2]
}

func self[V any](v V) V { return v }

func printMachine(t *testing.T, servers []server, rounds int, duration time.Duration) {
	cpu, _ := exec.Command("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1").Output()
	kernel, _ := exec.Command("uname", "-sr").Output()
	out := t.Output()
	fmt.Fprintf(out, "\n%d × %s, %s, %s, ", runtime.NumCPU(), strings.TrimSpace(string(cpu)), strings.TrimSpace(string(kernel)), runtime.Version())
	for _, server := range servers[:2] {
		fmt.Fprintf(out, "%s; ", server.version(t))
	}
	fmt.Fprintf(out, "server on one processor; veth links between namespaces; 100 allocations, 160 bytes, ChannelData; "+
		"medians of %d rounds of %v\n", rounds, duration)
}

func printMemory(t *testing.T, all []footprint) {
	out := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintf(out, "\nserver\tB resident per allocation, of %d\tallocations/s\n", idleAllocations)
	for _, f := range all {
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\n", f.name, median(f.bytes, self), median(f.rate, self))
	}
}

func printRelaying(t *testing.T, rows []row, servers int) {
	out := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "\ndirection\tload\tserver\tµs CPU per packet\tfrom – to\t÷ first\tdelivered/s\tloss\tdelay p50\tp99\tlimit")
	for i, r := range rows {
		delay := func(q float64) time.Duration {
			return median(r.reports, func(r *bench.Report) time.Duration { return r.Delay.Quantile(q) }).Round(time.Microsecond)
		}
		costs := make([]float64, 0, len(r.reports))
		for _, report := range r.reports {
			costs = append(costs, microseconds(report))
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%.2f\t%.2f – %.2f\t%.2f\t%.0f\t%.2f %%\t%v\t%v\t%s\n", r.mode, r.load, r.server,
			median(costs, self), slices.Min(costs), slices.Max(costs), rows[i-i%servers].times(r), median(r.reports, (*bench.Report).DeliveredRate),
			100*median(r.reports, (*bench.Report).Loss), delay(0.5), delay(0.99), median(r.reports, (*bench.Report).Limit))
	}
}

func microseconds(report *bench.Report) float64 {
	return float64(report.CPUPerPacket()) / float64(time.Microsecond)
}

// times returns how many times as much another server's packets cost under the same
// load. Rounds are compared pair by pair, since what else the machine does changes
// from round to round.
func (r row) times(other row) float64 {
	var ratios []float64
	for i := range min(len(r.reports), len(other.reports)) {
		ratios = append(ratios, microseconds(other.reports[i])/microseconds(r.reports[i]))
	}
	return median(ratios, self)
}

// judge fails the test where the first server does not keep what is promised of it,
// which is to cost no more than the second.
func judge(t *testing.T, memory []footprint, rows []row, servers int) {
	if n := median(memory[0].bytes, self); n > maxBytesPerAllocation {
		t.Errorf("an idle allocation takes %.0f B of resident memory, want at most %d", n, maxBytesPerAllocation)
	}
	if n := median(memory[0].rate, self); n < minAllocationRate {
		t.Errorf("%.0f allocations/s, want at least %d", n, minAllocationRate)
	}
	for i := 0; i < len(rows); i += servers {
		ours, theirs := rows[i], rows[i+1]
		if n := theirs.times(ours); n > noise {
			t.Errorf("%s, %s: a packet costs %.2f times what it costs %s", ours.mode, ours.load, n, theirs.server)
		}
	}
}
