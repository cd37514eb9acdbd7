package bench

import "time"

// cost is what a run costs the server, if it is a process of this machine.
type cost struct {
	process    Process // zero if it is not
	processors int     // that it may use
	cpu        time.Duration
}

// measure begins to measure; stop ends it.
func measure(p Process) (c cost, err error) {
	c.process = p
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
	if c.process == 0 {
		return nil
	}
	end, err := c.process.CPU()
	c.cpu = end - c.cpu
	return err
}
