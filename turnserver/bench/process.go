package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is a process of this machine, by its number. What it costs is read from
// /proc, and so on Linux only.
type Process int

// processes are several.
type processes []Process

// packetThreads returns the kernel's threads that handle packets: those of the soft
// interrupts of each processor, and those of devices that have their own (threaded NAPI).
func packetThreads() processes {
	var found processes
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, name := range names {
		comm, _ := os.ReadFile(name) // nothing, if it has ended
		if !bytes.HasPrefix(comm, []byte("ksoftirqd/")) && !bytes.HasPrefix(comm, []byte("napi/")) {
			continue
		}
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			found = append(found, Process(n))
		}
	}
	return found
}

// cpu returns the processor time that all have used, as far as the system tells.
func (p processes) cpu() time.Duration {
	var sum time.Duration
	for _, one := range p {
		used, _ := one.CPU()
		sum += used
	}
	return sum
}

// CPU returns the processor time the process's threads have used, in user and kernel
// mode. The kernel counts it in nanoseconds; a thread that has ended is missing.
func (p Process) CPU() (time.Duration, error) {
	threads, err := filepath.Glob(p.path("task/*/schedstat"))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("processor time of process %d: no such process, or no Linux", int(p))
	}
	var sum time.Duration
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // it has ended meanwhile
		case err != nil:
			return 0, fmt.Errorf("processor time: %w", err)
		}
		ran, err := parseSchedstat(stat)
		if err != nil {
			return 0, fmt.Errorf("processor time of %s: %w", thread, err)
		}
		sum += ran
	}
	return sum, nil
}

// Processors returns how many processors the process may run on.
func (p Process) Processors() (int, error) {
	list, err := p.status("Cpus_allowed_list")
	if err != nil {
		return 0, err
	}
	n, err := parseList(list)
	if err != nil {
		return 0, fmt.Errorf("processors of process %d: %w", int(p), err)
	}
	return n, nil
}

// Resident returns the size of the process's memory that is in RAM, in bytes. What the
// kernel holds for it, such as socket buffers, is not in it.
func (p Process) Resident() (int64, error) {
	size, err := p.status("VmRSS")
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(size, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resident memory of process %d: %w", int(p), err)
	}
	return kib << 10, nil
}

// status returns a field of the process's status.
func (p Process) status(field string) (string, error) {
	status, err := os.ReadFile(p.path("status"))
	if err != nil {
		return "", fmt.Errorf("status of process %d: %w", int(p), err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("status of process %d has no %s", int(p), field)
}

func (p Process) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(int(p)), name)
}

// parseSchedstat returns the first field of a thread's schedstat: nanoseconds run.
func parseSchedstat(stat []byte) (time.Duration, error) {
	field, _, _ := bytes.Cut(stat, []byte(" "))
	ns, err := strconv.ParseInt(string(field), 10, 64)
	return time.Duration(ns), err
}

// parseList returns how many numbers a list such as "0-2,5" has.
func parseList(list string) (int, error) {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return 0, err
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return 0, err
		}
		n += to - from + 1
	}
	return n, nil
}
