//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// budget bounds how many instructions the verifier may have to look at; the kernel
// gives up at a million.
const budget = 150_000

func TestVerifiedInstructions(t *testing.T) {
	p := load(t, Config{Flows: 1})
	for _, program := range []*ebpf.Program{p.objects.Hairpin, p.objects.HairpinClock} {
		info, err := program.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		if !ok {
			t.Skip("this kernel does not say") // before Linux 5.16
		}
		if t.Logf("%s: %d", info.Name, n); n > budget {
			t.Errorf("%s takes the verifier %d instructions, more than %d", info.Name, n, budget)
		}
	}
}

// variant loads the program after a change to its specification.
func variant(t *testing.T, change func(*ebpf.CollectionSpec)) *world {
	t.Helper()
	c := Config{Flows: 64, Sources: 16}
	load(t, c) // or skip
	spec, err := specify(c)
	if err != nil {
		t.Fatal(err)
	}
	change(spec)
	p, err := loadSpec(spec, c)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	w := &world{t: t, p: p, flows: make(map[uint32]*Flow), limit: 1500}
	w.must(p.SetInterface(device, Interface{MAC: ownMAC}))
	w.populate()
	return w
}

// TestStrictAlignment loads as on processors that cannot read what is not aligned.
func TestStrictAlignment(t *testing.T) {
	variant(t, func(spec *ebpf.CollectionSpec) {
		for _, program := range spec.Programs {
			program.Flags |= unix.BPF_F_STRICT_ALIGNMENT
		}
	})
}

// TestWithoutHelpers runs what kernels before 5.11 run.
func TestWithoutHelpers(t *testing.T) {
	w := variant(t, func(spec *ebpf.CollectionSpec) {
		for _, variable := range []string{kernelVarHasLengthHelper, kernelVarHasCoarseClock} {
			if err := spec.Variables[variable].Set(uint8(0)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for slot, f := range allFamilies {
		flow := w.flows[uint32(slot)]
		w.mutate(t, "from client "+f.String(), fromClient(flow, data(100)), anyFamily, RelayedToPeer)
		w.mutate(t, "from peer "+f.String(), fromPeer(flow, data(100)), anyFamily, RelayedToClient)
	}
}

// capable marks the process that TestTwoCapabilities starts.
const capable = "HAIRPIN_TEST_XDP_CAPABLE"

// TestTwoCapabilities loads and runs the program with CAP_BPF and CAP_NET_ADMIN alone,
// in a process of its own, in which nothing is remembered from better days.
func TestTwoCapabilities(t *testing.T) {
	if os.Getenv(capable) == "1" {
		runtime.LockOSThread() // for good: the thread ends with the test
		drop(t)
		w := newWorld(t)
		w.populate()
		w.expect("with two capabilities", w.flows[0], RelayedToPeer, RelayedToClient)
		return
	}
	load(t, Config{Flows: 1}) // or skip
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTwoCapabilities$", "-test.v")
	cmd.Env = append(os.Environ(), capable+"=1", "HAIRPIN_TEST_FULL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// drop gives up all capabilities of the calling thread but two.
func drop(t *testing.T) {
	t.Helper()
	keep := map[int]bool{unix.CAP_BPF: true, unix.CAP_NET_ADMIN: true}
	var data [2]unix.CapUserData
	for c := range keep {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// TestNoCapabilities: the error says what the kernel says, and nothing is left open.
func TestNoCapabilities(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- nil
			return
		}
		p, err := Load(Config{Flows: 1})
		if err == nil {
			err = p.Close()
		}
		done <- err
	}()
	if err := <-done; !errors.Is(err, unix.EPERM) {
		t.Errorf("without capabilities: %v", err)
	}
}
