package labtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hairpin/turnserver/labtest"
)

// dying is set in the environment of the process that is killed.
const dying = "HAIRPIN_LABTEST_DYING"

// TestKilledLabLeavesNothing kills a process that holds a lab with a program running in
// it: neither the program nor a namespace outlives it.
func TestKilledLabLeavesNothing(t *testing.T) {
	if os.Getenv(dying) != "" {
		die(t)
		return
	}
	labtest.New(t) // or skip
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledLabLeavesNothing$")
	cmd.Env = append(os.Environ(), dying+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	left := namespaces(line)
	if err != nil || len(left) == 0 || !strings.HasPrefix(line, "net:[") {
		t.Fatalf("got %q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); len(left) > 0; left = namespaces(line) {
		if time.Now().After(deadline) {
			t.Fatalf("of %q there are still %q", line, left)
		}
	}
}

// die builds a lab, tells of its namespaces and waits to be killed.
func die(t *testing.T) {
	internet := labtest.New(t).Internet()
	client := internet.Attach(labtest.Named("double")).Client
	if err := client.Command("sleep", "infinity").Start(); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*labtest.Host{client, internet.Server} {
		h.Do(func() {
			name, err := os.Readlink("/proc/thread-self/ns/net")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Print(name, " ")
		})
	}
	fmt.Println()
	select {}
}

// namespaces returns which of those named in a line a process is in or holds.
func namespaces(line string) []string {
	var found []string
	for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		links, err := filepath.Glob(pattern)
		if err != nil {
			panic(err)
		}
		for _, link := range links {
			name, err := os.Readlink(link)
			if err == nil && strings.HasPrefix(name, "net:[") && strings.Contains(line, name+" ") {
				found = append(found, link)
			}
		}
	}
	return found
}
