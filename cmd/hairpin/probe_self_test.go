package main

import (
	"slices"
	"strings"
	"testing"

	"hairpin/turnserver/probe"
)

func TestSelfAlias(t *testing.T) {
	for args, want := range map[string]string{
		"probe --self":                    "probe self",
		"probe --self --listen :1":        "probe self --listen :1",
		"probe --json --self --listen :1": "probe self --json --listen :1",
		"probe stun:a":                    "probe stun:a",
		"probe -- --self":                 "probe -- --self",
		"serve --self":                    "serve --self",
		"probe":                           "probe",
	} {
		if got := selfAlias(strings.Fields(args)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q is %q, want %q", args, got, want)
		}
	}
}

// A server says what it finds of its machine, each with what mends it.
func TestServeLogsFindings(t *testing.T) {
	s := startServe(t)
	line := s.await("self-check")
	if line.text("finding") != "address-loopback" || line.text("level") != "INFO" || line.text("mend") == "" {
		t.Errorf("got %v", line)
	}
}

// Who it is to others is asked of a server that was named, here another of ours.
func TestProbeSelfAsks(t *testing.T) {
	s := startServe(t)
	r := runServe(t, "probe", "--self", "--json", "--listen", s.ready.text("udp"), "--relay-address", "127.0.0.1",
		"--external-address", "192.0.2.7", "--stun-server", s.ready.text("udp"))
	var all strings.Builder
	for line := range r.stdout {
		all.WriteString(line)
	}
	<-r.ended
	if code := r.cmd.ProcessState.ExitCode(); code != exitFault {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{`"verdict": "` + string(probe.Faulty), `"reason": "address-differs"`, "hairpin serve --external-address 127.0.0.1", "answers at 127.0.0.1:"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in %s", want, all.String())
		}
	}
}
