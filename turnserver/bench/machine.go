package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// machineTime is what the kernel has counted of this machine's processors so far.
type machineTime struct {
	at         time.Time
	processors int
	unused     time.Duration // idle, waiting for a disk, or taken away by a hypervisor
}

// The columns of /proc/stat that are no work of this machine.
const (
	statIdle   = 4
	statIOWait = 5
	statSteal  = 8
)

// tick is the unit of /proc/stat: Linux shows it in hundredths of a second everywhere.
const tick = 10 * time.Millisecond

// readMachine reads /proc/stat, and so on Linux only. What was busy is what was not
// idle: time in idle the kernel measures, where what is spent on work, and on
// interrupts most of all, it only samples.
func readMachine() (machineTime, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machineTime{}, fmt.Errorf("processor time of the machine: %w", err)
	}
	return parseMachine(string(stat), time.Now())
}

var errStat = errors.New("processor time of the machine: /proc/stat is not as expected")

func parseMachine(stat string, at time.Time) (machineTime, error) {
	m := machineTime{at: at}
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) <= statSteal || !strings.HasPrefix(fields[0], "cpu") || fields[0] == "cpu" {
			continue
		}
		for _, column := range []int{statIdle, statIOWait, statSteal} {
			n, err := strconv.ParseInt(fields[column], 10, 64)
			if err != nil {
				return machineTime{}, errStat
			}
			m.unused += time.Duration(n) * tick
		}
		m.processors++
	}
	if m.processors == 0 {
		return machineTime{}, errStat
	}
	return m, nil
}

// since returns how long the machine's processors worked since an earlier time, all
// together.
func (m machineTime) since(earlier machineTime) time.Duration {
	all := m.at.Sub(earlier.at) * time.Duration(m.processors)
	return max(all-(m.unused-earlier.unused), 0)
}
