package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
	"hairpin/turnserver/nat"
)

// Where the two servers listen on the lab's server.
const (
	ourPort    = "3478"
	coturnPort = "13478"
)

// coturnPatience is how long each run of coturn's client may take.
const coturnPatience = 30 * time.Second

// opinion is what somebody says of a network.
type opinion struct {
	mapping, filtering nat.Behaviour
	text               string // all that was said
}

func (o opinion) String() string {
	short := []string{"-", "EI", "AD", "APD"}
	return short[o.mapping] + "/" + short[o.filtering]
}

// comparison is all opinions of one network.
type comparison struct {
	name string
	want opinion

	ours, oursOfCoturn     opinion // of the program, with it and with coturn as server
	theirs, theirsOfCoturn opinion // of coturn's client
}

// TestProbeNATBesideCoturn: in every network the program and coturn's client come to the
// same conclusions, with the program and with coturn as server.
func TestProbeNATBesideCoturn(t *testing.T) {
	for _, tool := range []string{"turnserver", "turnutils_natdiscovery"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("HAIRPIN_TEST_FULL") != "1" {
			t.Skipf("coturn is not installed: %v", err)
		}
	}
	t.Parallel()
	internet := servedInternet(t)
	serveCoturn(t, internet)
	var all []*comparison
	var asked sync.WaitGroup
	for _, network := range labtest.Networks() {
		client := internet.Attach(network).Client
		for _, six := range []bool{false, true} {
			server := labtest.Servers(six)[0].String()
			c := &comparison{name: network.Name + "/" + familyOf(labtest.Servers(six)[0])}
			c.want = opinion{mapping: network.Want.Mapping, filtering: network.Want.Filtering}
			all = append(all, c)
			asked.Go(func() { c.ours = ourOpinion(t, client, server, ourPort) })
			asked.Go(func() { c.oursOfCoturn = ourOpinion(t, client, server, coturnPort) })
			asked.Go(func() { c.theirs = coturnOpinion(t, client, server, ourPort) })
			asked.Go(func() { c.theirsOfCoturn = coturnOpinion(t, client, server, coturnPort) })
		}
	}
	asked.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "\nmapping/filtering            | with hairpin serve      | with coturn\n"+
		"%-28s | %-11s %-11s | %-11s %-11s\n", "network", "probe nat", "natdiscovery", "probe nat", "natdiscovery")
	for _, c := range all {
		fmt.Fprintf(&table, "%-28s | %-11v %-12v | %-11v %-11v\n", c.name, c.ours, c.theirs, c.oursOfCoturn, c.theirsOfCoturn)
	}
	t.Log(table.String())
	for _, c := range all {
		c.check(t)
	}
}

// check compares. Coturn's client errs where mapping depends on the address and the
// server follows RFC 5780 §7.4: for its third test it takes OTHER-ADDRESS from the second
// answer, which came from the other address and so names the first, where it should ask
// the other address's other port. Coturn, as a server, names the same address always.
func (c *comparison) check(t *testing.T) {
	t.Helper()
	theirs := c.want
	if c.want.mapping == nat.AddressDependent {
		theirs.mapping = nat.AddressAndPortDependent
		if name := "203.0.113.1:3479"; strings.HasSuffix(c.name, "IPv4") && !strings.Contains(c.theirs.text, "Response origin: : "+name) {
			t.Errorf("%s: coturn's client did not ask %s: %s", c.name, name, c.theirs.text)
		}
	}
	for _, one := range []struct {
		who       string
		got, want opinion
	}{
		{"probe nat with hairpin serve", c.ours, c.want},
		{"probe nat with coturn", c.oursOfCoturn, c.want},
		{"natdiscovery with hairpin serve", c.theirs, theirs},
		{"natdiscovery with coturn", c.theirsOfCoturn, c.want},
	} {
		if one.got.mapping != one.want.mapping || one.got.filtering != one.want.filtering {
			t.Errorf("%s: %s says %v, want %v: %s", c.name, one.who, one.got, one.want, one.got.text)
		}
	}
}

// serveCoturn runs coturn on both addresses of both families.
func serveCoturn(t *testing.T, internet *labtest.Internet) {
	t.Helper()
	dir := t.TempDir()
	args := []string{
		"-n", "-p", coturnPort, "--alt-listening-port", "13479", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp", "--no-tcp-relay",
		"--log-file", dir + "/log", "--simple-log", "--pidfile", dir + "/pid", "--userdb", dir + "/db",
	}
	for _, six := range []bool{false, true} {
		for _, at := range labtest.Servers(six) {
			args = append(args, "-L", at.String())
		}
	}
	cmd := internet.Server.Command("turnserver", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was killed
	// This asks until there is an answer.
	if o := ourOpinion(t, internet.Server, labtest.Servers(false)[0].String(), coturnPort); o.mapping == nat.UnknownBehaviour {
		t.Fatalf("coturn does not answer: %s", o.text)
	}
}

func ourOpinion(t *testing.T, h *labtest.Host, server, port string) opinion {
	t.Helper()
	got := probeNATFrom(t, h, "--server", net.JoinHostPort(server, port))
	if len(got.Results) != 1 || got.Results[0].Report == nil {
		return opinion{text: got.text}
	}
	r := got.Results[0].Report
	return opinion{r.Mapping, r.Filtering, got.text}
}

var coturnWords = regexp.MustCompile(`(Endpoint Independent|Address Dependent|Address and Port Dependent) (Mapping|Filtering)`)

// coturnOpinion asks coturn's client, in one run for mapping and one for filtering: it
// uses one socket for all tests of a run, so that one test opens filters for the other.
func coturnOpinion(t *testing.T, h *labtest.Host, server, port string) opinion {
	t.Helper()
	var o opinion
	for _, flag := range []string{"-m", "-f"} {
		out, err := h.Command("timeout", fmt.Sprint(coturnPatience.Seconds()), "turnutils_natdiscovery", flag, "-p", port, server).CombinedOutput()
		o.text += fmt.Sprintf("%s: %v\n%s\n", flag, err, out)
		for _, found := range coturnWords.FindAllStringSubmatch(string(out), -1) {
			behaviour := map[string]nat.Behaviour{
				"Endpoint Independent": nat.EndpointIndependent, "Address Dependent": nat.AddressDependent,
				"Address and Port Dependent": nat.AddressAndPortDependent,
			}[found[1]]
			if found[2] == "Mapping" {
				o.mapping = behaviour
			} else {
				o.filtering = behaviour
			}
		}
	}
	return o
}
