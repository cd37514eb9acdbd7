package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/labtest"
)

// contender is a server of the comparison, at work on a host of its own.
type contender struct {
	key string // its name in HAIRPIN_BENCH_SERVERS
	server
	kernel bool // an XDP program is to do its relaying

	site    *site
	fleet   *bench.Fleet
	process bench.Process
}

// cell is what every contender is loaded with once a round.
type cell struct {
	mode bench.Mode
	size int
	name string // of the load
	bench.Load
}

// cells are all directions, sizes and loads. What is not paced goes in bursts, so that
// the generator outruns a kernel.
func cells(duration time.Duration) []cell {
	var all []cell
	for _, mode := range []bench.Mode{bench.ToPeer, bench.ToClient, bench.RelayToRelay} {
		for _, size := range []int{160, 1200} {
			rate, name := 50_000.0, "50 000/s"
			if mode == bench.RelayToRelay { // in user space, a packet is relayed twice
				rate, name = 25_000, "25 000/s"
			}
			for _, c := range []cell{
				{name: name, Load: bench.Load{Rate: rate}},
				{name: name + ", bursts of 8", Load: bench.Load{Rate: rate, Burst: 8}},
				{name: "saturated", Load: bench.Load{Burst: 16}},
			} {
				c.mode, c.size = mode, size
				c.Mode, c.Payload, c.Duration = mode, size, duration
				all = append(all, c)
			}
		}
	}
	return all
}

// paced reports whether the load is one that every contender can carry.
func (c cell) paced() bool { return c.Rate > 0 }

// samples is what one contender did with one cell; one report a round.
type samples struct {
	cell
	of      *contender
	reports []*bench.Report
}

// TestPeers compares what relaying costs the machine, by Hairpin in the kernel and in
// user space and by the servers of others, in one run: rounds go through all of them,
// and medians are compared. What the generator takes is measured in every round too,
// and taken off. HAIRPIN_BENCH_SERVERS chooses servers (kernel,user,coturn,pion),
// HAIRPIN_BENCH_ROUNDS and HAIRPIN_BENCH_SECONDS shorten it, and HAIRPIN_BENCH_OUT
// names the file whose table is replaced.
func TestPeers(t *testing.T) {
	if os.Getenv("HAIRPIN_BENCH_PEERS") == "" {
		t.Skip("takes many minutes of an otherwise idle machine; set HAIRPIN_BENCH_PEERS=1")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs a processor for the server and one for the generator")
	}
	rounds := int(setting(t, "HAIRPIN_BENCH_ROUNDS", 5))
	duration := time.Duration(setting(t, "HAIRPIN_BENCH_SECONDS", 2) * float64(time.Second))
	lab := labtest.New(t)
	contenders := chosen(t)
	useOtherProcessors(t)
	r := newRig(t, lab, contenders)
	defer r.close()
	comparison := comparison{rounds: rounds, duration: duration, contenders: contenders}
	comparison.rows = r.compare(cells(duration), rounds)
	comparison.programs, comparison.empty = r.watchPrograms(cells(duration))
	comparison.note(t)
	comparison.write(t, t.Output())
	if file := os.Getenv("HAIRPIN_BENCH_OUT"); file != "" {
		replaceTable(t, file, comparison)
	}
	comparison.judge(t)
}

// chosen returns the servers that the environment asks for, and without a word all.
func chosen(t *testing.T) []*contender {
	binary := hairpinProgram(t)
	makers := []struct {
		key    string
		kernel bool
		make   func() server
	}{
		{"kernel", true, func() server { return hairpin(t, "Hairpin, kernel path", binary, "--offload", "native") }},
		{"user", false, func() server { return hairpin(t, "Hairpin, user space", binary, "--offload", "off") }},
		{"coturn", false, func() server { return coturn(t, "coturn", "--no-tls") }},
		{"pion", false, func() server { return pionturn(t) }},
	}
	wanted := strings.FieldsFunc(os.Getenv("HAIRPIN_BENCH_SERVERS"), func(r rune) bool { return r == ',' })
	var all []*contender
	for _, m := range makers {
		if len(wanted) == 0 || slices.Contains(wanted, m.key) {
			all = append(all, &contender{key: m.key, kernel: m.kernel, server: m.make()})
		}
	}
	if len(all) == 0 {
		t.Fatalf("HAIRPIN_BENCH_SERVERS names none of kernel, user, coturn, pion")
	}
	return all
}

// rig is all contenders at work, each with clients and a peer of its own. All these are
// on two hosts, whose interfaces have sinks, so that receiving costs next to nothing and
// native XDP on the servers' side can send to them.
type rig struct {
	t          *testing.T
	contenders []*contender
}

const rigClients = 100

func newRig(t *testing.T, lab *labtest.Lab, contenders []*contender) *rig {
	r := &rig{t: t, contenders: contenders}
	client, peer := lab.Host("client"), lab.Host("peer")
	on := map[*labtest.Host][]string{}
	for i, c := range contenders {
		c.site = newSite(lab, client, peer, byte(i+1))
		near, far := c.site.shortcut(lab)
		on[client] = append(on[client], c.site.clientLink, near)
		on[peer] = append(on[peer], c.site.peerLink, far)
	}
	for host, names := range on {
		for _, name := range names {
			completeChecksums(t, host, name)
		}
	}
	sink := newSink(t, on)
	for _, c := range contenders {
		c.process = c.start(t, c.site, serverCPU)
		config := c.site.config(rigClients)
		config.Sink = sink
		fleet, err := bench.Establish(t.Context(), config)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		c.fleet = fleet
	}
	return r
}

// completeChecksums makes what is sent by an interface carry its checksums, as what comes
// from a network does. A veth leaves them to a device that never comes.
func completeChecksums(t *testing.T, host *labtest.Host, name string) {
	t.Helper()
	if out, err := host.Command("ethtool", "-K", name, "tx", "off").CombinedOutput(); err != nil {
		t.Fatalf("ethtool: %v: %s", err, out)
	}
}

func (r *rig) close() {
	for _, c := range r.contenders {
		closeFleet(r.t, c.fleet)
	}
}

// compare carries every cell through every contender once a round, each after what the
// generator alone takes for it.
func (r *rig) compare(all []cell, rounds int) []*samples {
	var rows []*samples
	for _, cell := range all {
		rows = append(rows, &samples{cell: cell, of: &nobody})
		for _, c := range r.contenders {
			rows = append(rows, &samples{cell: cell, of: c})
		}
	}
	for round := range rounds {
		for i, row := range rows {
			load := row.Load
			if row.of == &nobody {
				row.reports = append(row.reports, r.baseline(row.cell))
				continue
			}
			alone := rows[i-i%(1+len(r.contenders))]
			load.Baseline = alone.reports[round].PerSent()
			row.reports = append(row.reports, r.carry(row.of, load))
		}
	}
	return rows
}

// nobody stands for the lack of a server.
var nobody = contender{key: "none", server: server{name: "none: the generator alone"}}

// baseline carries a cell without a server. Clients that relay to each other are on one
// host, so for them the way is to the peer's.
func (r *rig) baseline(c cell) *bench.Report {
	load := c.Load
	if load.Mode == bench.RelayToRelay {
		load.Mode = bench.ToPeer
	}
	report, err := r.contenders[0].fleet.Baseline(r.t.Context(), load)
	if err != nil {
		r.t.Fatal(err)
	}
	if report.Loss() > 0.01 {
		r.t.Errorf("%s, %d bytes, %s: the generator alone loses %.1f %%", c.mode, c.size, c.name, 100*report.Loss())
	}
	return report
}

// userSpace is more processor time of the server's process than a packet costs that the
// kernel relays, and less than any that the process does.
const userSpace = 500 * time.Nanosecond

func (r *rig) carry(c *contender, load bench.Load) *bench.Report {
	load.Process = c.process
	report, err := c.fleet.Run(r.t.Context(), load)
	if err != nil {
		r.t.Fatalf("%s: %v", c.name, err)
	}
	if spent := report.CPUPerPacket(); c.kernel && spent > userSpace {
		r.t.Errorf("%s, %s, %d bytes: its process takes %v a packet: the program did not do the relaying", c.name, load.Mode, load.Payload, spent)
	}
	return report
}

// emptyRun returns what the kernel counts for a program that does nothing: that much of
// every figure is the counting.
func emptyRun(t *testing.T) time.Duration {
	const runs = 1_000_000
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual MIT/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 2), asm.Return(), // XDP_PASS
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, _, err := empty.Benchmark(make([]byte, 64), runs, nil); err != nil {
		t.Fatal(err)
	}
	stats, err := empty.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.Runtime / time.Duration(max(stats.RunCount, 1))
}

// program is what the kernel counts of a contender's XDP programs under a load.
type program struct {
	cell
	runs      uint64
	run       time.Duration // of one
	delivered uint64
}

// watchPrograms lets the kernel measure the programs, which slows them down, under one
// more load of every cell.
func (r *rig) watchPrograms(all []cell) (found []program, empty time.Duration) {
	stop, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		r.t.Fatal(err)
	}
	defer stop.Close()
	for _, c := range r.contenders {
		if !c.kernel {
			continue
		}
		empty = emptyRun(r.t)
		for _, cell := range all {
			before := r.stats(c)
			report := r.carry(c, cell.Load)
			after := r.stats(c)
			p := program{cell: cell, runs: after.RunCount - before.RunCount, delivered: report.Delivered}
			if p.runs < p.delivered {
				r.t.Errorf("%s, %s: the programs ran %d times for %d packets", c.name, cell.mode, p.runs, p.delivered)
			}
			p.run = (after.Runtime - before.Runtime) / time.Duration(max(p.runs, 1))
			found = append(found, p)
		}
	}
	return found, empty
}

// stats adds up what the kernel counts of the programs on a contender's interfaces, each
// once.
func (r *rig) stats(c *contender) ebpf.ProgramStats {
	ids := map[ebpf.ProgramID]bool{}
	for _, name := range []string{c.site.listenLink, c.site.relayLink} {
		ids[r.programOn(c, name)] = true
	}
	var sum ebpf.ProgramStats
	for id := range ids {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			r.t.Fatal(err)
		}
		stats, err := p.Stats()
		_ = p.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		sum.Runtime += stats.Runtime
		sum.RunCount += stats.RunCount
	}
	return sum
}

// programOn returns the XDP program on an interface of a contender's host, which is to
// be in the driver.
func (r *rig) programOn(c *contender, name string) ebpf.ProgramID {
	const native = 1 // the kernel's XDP_ATTACHED_DRV
	out, err := c.site.server.Command("ip", "-j", "-d", "link", "show", "dev", name).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	var links []struct {
		XDP struct {
			Mode int
			Prog struct{ ID ebpf.ProgramID }
		}
	}
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		r.t.Fatalf("%s: %v", out, err)
	}
	if links[0].XDP.Mode != native || links[0].XDP.Prog.ID == 0 {
		r.t.Fatalf("%s: no XDP program is in the driver of %s: %s", c.name, name, fmt.Sprintf("%+v", links[0].XDP))
	}
	return links[0].XDP.Prog.ID
}
