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

	own       time.Duration // processor time of this process
	threads   processes     // of the kernel, which handle packets
	inThreads time.Duration // that they used
	machine   machineTime   // when it was begun
	busy      time.Duration // processor time of all processors, zero if it is not known
}

// spent is what the run took.
func (c *cost) spent() Spent {
	if c.busy == 0 {
		return Spent{}
	}
	return Spent{Machine: c.busy, Attributed: c.cpu + c.own + c.inThreads}
}

// Spent is processor time. It is zero where the system does not tell.
type Spent struct {
	// Machine is that of all processors of this machine, whatever they did.
	Machine time.Duration

	// Attributed is that of the server's process, the generator and the threads in which
	// the kernel handles packets when it has many. Work that the kernel does in passing,
	// on whatever thread is running, is in it as far as these were running: nearly all of
	// it where the machine is busy, and all but a few percent of it where it is not.
	Attributed time.Duration
}

func (s Spent) less(t Spent) Spent { return Spent{s.Machine - t.Machine, s.Attributed - t.Attributed} }

// times and over treat nothing as nothing.
func (s Spent) times(n uint64) Spent {
	return Spent{s.Machine * time.Duration(n), s.Attributed * time.Duration(n)}
}

func (s Spent) over(n uint64) Spent {
	if n == 0 {
		return Spent{}
	}
	return Spent{s.Machine / time.Duration(n), s.Attributed / time.Duration(n)}
}

// measure begins to measure; stop ends it.
func measure(p Process) (c cost, err error) {
	c.process = p
	c.own, _ = Process(os.Getpid()).CPU() // zero on systems that do not tell
	c.threads = packetThreads()
	c.inThreads = c.threads.cpu()
	c.machine, _ = readMachine() // likewise
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
		c.own = end - c.own
	}
	c.inThreads = c.threads.cpu() - c.inThreads
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
