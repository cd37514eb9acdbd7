package bench

import (
	"os"
	"time"
)

// cost is what a run costs, as far as this machine tells: begun by measure, ended by
// stop.
type cost struct {
	process    Process       // the server's, if it is of this machine; zero if it is not
	processors int           // that it may use
	cpu        time.Duration // that it used

	generator time.Duration // processor time of this process
	machine   machineTime   // when it was begun
	busy      time.Duration // processor time of all processors, zero if it is not known
}

// measure begins to measure; stop ends it.
func measure(p Process) (c cost, err error) {
	c.process = p
	c.generator, _ = Process(os.Getpid()).CPU() // zero on systems that do not tell
	c.machine, _ = readMachine()                // likewise
	if p == 0 {
		return c, nil
	}
	if c.processors, err = p.Processors(); err != nil {
		return c, err
	}
	c.cpu, err = p.CPU()
	return c, err
}

func (c *cost) stop() error {
	if end, err := Process(os.Getpid()).CPU(); err == nil {
		c.generator = end - c.generator
	}
	if end, err := readMachine(); err == nil && c.machine.processors > 0 {
		c.busy = end.since(c.machine)
	}
	if c.process == 0 {
		return nil
	}
	end, err := c.process.CPU()
	c.cpu = end - c.cpu
	return err
}
