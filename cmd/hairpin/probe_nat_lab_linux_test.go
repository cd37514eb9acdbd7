package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
	"hairpin/turnserver/probe"
)

// What hairpin probe nat promises, whatever the network.
const (
	natWithin     = 10 * time.Second
	blockedWithin = 15 * time.Second
)

// roundsVariable is how often every network is to be probed, and that it is to be in
// time: it is set where the machine has nothing else to do.
const roundsVariable = "HAIRPIN_LAB_ROUNDS"

// labRounds is how often every network is probed.
func labRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv(roundsVariable)
	if text == "" {
		return 2
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("%s is %q", roundsVariable, text)
	}
	return rounds
}

// servedInternet is an Internet whose server runs the program, with both addresses of
// both families, and over TCP also on port 443.
func servedInternet(t *testing.T) *labtest.Internet {
	t.Helper()
	internet := labtest.New(t).Internet()
	s := followServe(t, internet.Server.Command(program(t), "serve", "--listen", ":3478,:443",
		"--alternate-address", "203.0.113.2,2001:db8::2", "--http", "127.0.0.1:0", "--log-format", "json"))
	s.await("ready")
	return internet
}

// probedFrom is what the program said, run somewhere.
type probedFrom struct {
	natProbed
	code int
	took time.Duration
	text string
}

// probeNATFrom runs the program on a host.
func probeNATFrom(t *testing.T, h *labtest.Host, args ...string) probedFrom {
	t.Helper()
	began := time.Now()
	out, err := h.Command(program(t), append([]string{"probe", "nat", "--json"}, args...)...).Output()
	got := probedFrom{took: time.Since(began), text: string(out)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got.code = exit.ExitCode()
	} else if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(out, &got.natProbed); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return got
}

// labRun is one probe of one network.
type labRun struct {
	network labtest.Network
	six     bool
	round   int
	got     probedFrom
}

func (r labRun) name() string { return r.network.Name + "/" + familyOf(labtest.Servers(r.six)[0]) }

// probeAll probes all networks in both families, round after round, all networks of a
// round at once: a probe mostly waits.
func probeAll(t *testing.T, internet *labtest.Internet, rounds int) []labRun {
	t.Helper()
	networks := labtest.Networks()
	sites := make([]*labtest.Site, len(networks))
	for i, n := range networks {
		sites[i] = internet.Attach(n)
	}
	var all []labRun
	for round := range rounds {
		runs := make([]labRun, 2*len(networks))
		var probes sync.WaitGroup
		for i := range runs {
			n, six := i/2, i%2 == 1
			server := labtest.Servers(six)[0].String()
			probes.Go(func() {
				runs[i] = labRun{networks[n], six, round, probeNATFrom(t, sites[n].Client, "--server", server)}
			})
		}
		probes.Wait()
		all = append(all, runs...)
	}
	return all
}

// wrong says what of a run is not as the network has it, "" if nothing is.
func (r labRun) wrong() string {
	if len(r.got.Results) != 1 || r.got.Results[0].Report == nil {
		return "no report"
	}
	got, want := r.got.Results[0].Report, r.network.Want
	if got.UDP != want.UDP || got.Translated != want.Translated || got.Mapping != want.Mapping || got.Filtering != want.Filtering {
		return fmt.Sprintf("UDP %v, translated %v, mapping %v, filtering %v: %v", got.UDP, got.Translated, got.Mapping, got.Filtering, got.Gaps)
	}
	return ""
}

// wrongDetail is wrong for what takes many packets to find out, or is beside the point.
func (r labRun) wrongDetail() string {
	got, want := r.got.Results[0].Report, r.network.Want
	within, code := natWithin, exitOK
	if want.UDP == nat.No {
		within, code = blockedWithin, exitFault
	}
	if r.got.took > within && os.Getenv(roundsVariable) != "" {
		return fmt.Sprintf("it took %v", r.got.took)
	}
	if r.got.code != code || r.got.Verdict == probe.Incomplete {
		return fmt.Sprintf("exit code %d, %s", r.got.code, r.got.Verdict)
	}
	if got.Hairpinning != want.Hairpinning || got.Ports.Preservation != want.Ports.Preservation || got.Ports.Parity != want.Ports.Parity {
		return fmt.Sprintf("hairpinning %v, ports %+v", got.Hairpinning, got.Ports)
	}
	for _, remark := range want.Remarks {
		if !got.Remarked(remark.Reason) && !(r.six && remark.Reason == nat.CarrierGrade) {
			return fmt.Sprintf("remarks %v", got.Remarks)
		}
	}
	if want.UDP == nat.Yes && (got.PathMTU != 1500 || got.Fragments != (nat.Fragments{Outbound: nat.Yes, Inbound: nat.Yes})) {
		return fmt.Sprintf("path MTU %d, fragments %v", got.PathMTU, got.Fragments)
	}
	return ""
}

// TestProbeNATInEveryNetwork: the program says what the networks of the lab do, every
// time and in time.
func TestProbeNATInEveryNetwork(t *testing.T) {
	t.Parallel()
	runs := probeAll(t, servedInternet(t), labRounds(t))
	right := make(map[string]int)
	longest := make(map[string]time.Duration)
	for _, r := range runs {
		problem := r.wrong()
		if problem == "" {
			problem = r.wrongDetail()
		}
		if problem != "" {
			t.Errorf("%s, round %d: %s", r.name(), r.round, problem)
		} else {
			right[r.name()]++
		}
		longest[r.name()] = max(longest[r.name()], r.got.took)
	}
	t.Log(tally(runs, right, longest))
}

// TestProbeNATInSpiteOfLoss: so it does where one packet in twenty is lost each way,
// 19 times of 20.
func TestProbeNATInSpiteOfLoss(t *testing.T) {
	t.Parallel()
	internet, rounds := servedInternet(t), labRounds(t)
	internet.Lose(5)
	right := make(map[string]int)
	longest := make(map[string]time.Duration)
	runs := probeAll(t, internet, rounds)
	for _, r := range runs {
		if problem := r.wrong(); problem != "" {
			t.Logf("%s, round %d: %s", r.name(), r.round, problem)
		} else {
			right[r.name()]++
		}
		longest[r.name()] = max(longest[r.name()], r.got.took)
	}
	for _, r := range runs[:len(runs)/rounds] { // one of each
		if n := right[r.name()]; n < rounds-rounds/20 {
			t.Errorf("%s is right %d times of %d", r.name(), n, rounds)
		}
	}
	t.Log(tally(runs, right, longest))
}

// tally is the table of how often each network was told right, and how long it took.
func tally(runs []labRun, right map[string]int, longest map[string]time.Duration) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%-28s %-6s %s\n", "network", "right", "longest")
	var names []string
	for _, r := range runs {
		if !slices.Contains(names, r.name()) {
			names = append(names, r.name())
		}
	}
	for _, name := range names {
		fmt.Fprintf(&text, "%-28s %2d/%-3d %4.1fs\n", name, right[name], len(runs)/len(names), longest[name].Seconds())
	}
	return text.String()
}
