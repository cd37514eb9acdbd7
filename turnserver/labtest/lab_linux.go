package labtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Lab is a set of hosts.
type Lab struct {
	t testing.TB

	// ctx ends with the test, and with it the programs the hosts run.
	ctx context.Context
}

// New returns an empty lab. Without the right to make network namespaces it skips the
// test, or fails it where the environment has HAIRPIN_TEST_FULL=1.
func New(t testing.TB) *Lab {
	t.Helper()
	namespace, err := newNamespace()
	switch {
	case err == nil:
		_ = namespace.Close()
	case os.Getenv("HAIRPIN_TEST_FULL") == "1":
		t.Fatalf("cannot make network namespaces: %v", err)
	default:
		t.Skipf("cannot make network namespaces: %v", err)
	}
	return &Lab{t: t, ctx: t.Context()}
}

// newNamespace makes a network namespace, which lives as long as the file is open or
// something runs in it.
func newNamespace() (*os.File, error) {
	runtime.LockOSThread()
	own, err := currentNamespace()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer own.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, os.NewSyscallError("unshare", err)
	}
	made, err := currentNamespace()
	if back := enter(own); back != nil {
		return nil, back // the thread stays locked, and dies with its goroutine
	}
	runtime.UnlockOSThread()
	return made, err
}

// currentNamespace opens the namespace of the calling thread.
func currentNamespace() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// enter moves the calling thread to a namespace.
func enter(namespace *os.File) error {
	return os.NewSyscallError("setns", unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET))
}

// must runs a program that configures the network, and fails the test if it fails.
func (l *Lab) must(cmd *exec.Cmd) {
	l.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
}

// path names a namespace to this process and its children.
func path(namespace *os.File) string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), namespace.Fd())
}
