package labtest

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// Host is one network namespace: interfaces, routes, sockets and packet filters of its
// own. The file system and the processes are everybody's.
type Host struct {
	lab       *Lab
	name      string
	namespace *os.File
}

// Host adds a host whose only interface is the loopback one. The name is for messages.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	namespace, err := newNamespace()
	if err != nil {
		l.t.Fatalf("host %s: %v", name, err)
	}
	h := &Host{lab: l, name: name, namespace: namespace}
	l.t.Cleanup(func() { _ = namespace.Close() })
	h.ip("link set lo up")
	// Link-local addresses, too, are usable at once.
	h.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	return h
}

// Do runs f on the calling goroutine with its thread inside the host, so that sockets
// opened by f are the host's from then on, wherever they are used. Goroutines that f
// starts are not inside.
func (h *Host) Do(f func()) {
	h.lab.t.Helper()
	runtime.LockOSThread()
	own, err := currentNamespace()
	if err != nil {
		h.lab.t.Fatalf("host %s: %v", h.name, err)
	}
	defer own.Close()
	if err := enter(h.namespace); err != nil {
		h.lab.t.Fatalf("host %s: %v", h.name, err)
	}
	defer func() {
		// Where there is no way back, the thread stays locked and so dies with its
		// goroutine instead of serving others in the wrong namespace.
		if err := enter(own); err != nil {
			h.lab.t.Errorf("host %s: %v", h.name, err)
			return
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// Command returns a program to be run on the host. Once started it is killed when the
// test ends, before its Cleanup functions run, or when this process does; the caller
// waits for it. Its process is the program itself, not a wrapper's.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	const first = "3" // the descriptor of the first of ExtraFiles
	all := append([]string{"--net=/proc/self/fd/" + first, "--", name}, args...)
	cmd := exec.CommandContext(h.lab.ctx, "nsenter", all...)
	cmd.ExtraFiles = []*os.File{h.namespace}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Sysctl sets one of the host's own parameters, such as "net/ipv4/ip_forward".
func (h *Host) Sysctl(key, value string) {
	h.lab.t.Helper()
	h.Do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0); err != nil {
			h.lab.t.Fatalf("host %s: %v", h.name, err)
		}
	})
}

// Route sends what is for the destination by way of a neighbour.
func (h *Host) Route(destination netip.Prefix, via netip.Addr) {
	h.lab.t.Helper()
	h.lab.must(h.Command("ip", "route", "add", destination.String(), "via", via.String()))
}
