//go:build amd64 || arm64 || loong64 || riscv64

package offload

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"hairpin/turnserver/limit"
	"hairpin/turnserver/offload/xdp"

	"golang.org/x/sys/unix"
)

// kernel is the program, where it is attached, and the goroutine that keeps both true.
// Before the goroutine starts and after it has ended, Start's and Close's callers own
// what it owns.
type kernel struct {
	config  Config
	engine  *Engine
	program *xdp.Program
	network *network
	ethtool ethtool

	attached map[int]*attachment // by the interface's index
	seen     []xdp.Counts        // the totals when the program was last looked at
	answered map[netip.AddrPort]bool
	events   *os.File
	news     *news
	doubt    bool      // that ways are what they were
	used     time.Time // when neighbours last were
	done     chan struct{}
	running  sync.WaitGroup
}

// start is Start for a mode that wants the program.
func start(c Config) (*Engine, error) {
	k := &kernel{
		config: c, attached: make(map[int]*attachment), answered: make(map[netip.AddrPort]bool),
		news: newNews(), done: make(chan struct{}),
	}
	var err error
	if k.ethtool, err = openEthtool(); err != nil {
		return without(c, Interface{Mode: Off, Why: WhyKernel}, err)
	}
	if k.events, err = openEvents(); err != nil { // before anything is read, so that no change is missed
		k.ethtool.close()
		return without(c, Interface{Mode: Off, Why: WhyKernel}, err)
	}
	if k.network, err = openNetwork(); err != nil {
		k.closeSockets()
		return without(c, Interface{Mode: Off, Why: WhyKernel}, err)
	}
	refused, err := k.attachAll()
	if len(k.attached) == 0 {
		k.unload()
		k.closeSockets()
		if c.Mode.asked() {
			return nil, err
		}
		e := newEngine(nil, nil, 0, c.Logger)
		for _, r := range refused {
			e.report(r.Interface, r.err)
		}
		return e, nil
	}
	for _, a := range k.attached {
		k.engine.report(a.Interface, nil)
	}
	for _, r := range refused {
		k.engine.report(r.Interface, r.err)
	}
	k.tell()
	k.running.Go(func() { hear(k.events, k.news) })
	k.running.Go(k.run)
	return k.engine, nil
}

// refusal is an interface that does not have the program.
type refusal struct {
	Interface
	err error
}

// attachAll attaches the program to every interface that serves and may have it, and
// returns the others. The error is of the first of them, for an operator who insists.
func (k *kernel) attachAll() (refused []refusal, first error) {
	refuse := func(i Interface, err error) {
		i.Mode = Off
		refused = append(refused, refusal{i, err})
		if first == nil {
			first = &Error{i.Name, i.Why, err}
		}
	}
	links := served(k.network, k.config.Serving)
	if len(links) == 0 {
		refuse(Interface{Why: WhyNoneFound}, nil)
	}
	for _, l := range links {
		f := factsOf(l, k.network, k.ethtool)
		i := Interface{Name: l.Attrs().Name, Driver: f.driver, Why: judge(k.config.Mode, f)}
		if i.Why == WhyLoopback && !k.namesLoopback() {
			continue // nobody expects it
		}
		if i.Why != WhyNone {
			refuse(i, nil)
			continue
		}
		if why, err := k.load(l.Attrs().Index); why != WhyNone {
			refuse(Interface{Why: why}, err)
			return refused, first
		}
		if why, err := k.attach(l.Attrs().Index, i, f.kind); why != WhyNone {
			i.Why = why
			refuse(i, err)
		}
	}
	if first == nil && len(k.attached) == 0 {
		refuse(Interface{Why: WhyNoneFound}, nil)
	}
	return refused, first
}

// namesLoopback reports whether loopback serves by name, not only as one of all.
func (k *kernel) namesLoopback() bool {
	return slices.ContainsFunc(k.config.Serving, netip.Addr.IsLoopback)
}

// load loads the program, once, and has it prove itself on an interface.
func (k *kernel) load(index int) (Why, error) {
	if k.program != nil {
		return WhyNone, nil
	}
	program, err := xdp.Load(xdp.Config{Flows: k.config.Flows + selfTestSlots})
	if err != nil {
		return whyNotLoaded(err), err
	}
	k.program = program
	if err := selfTest(program, index); err != nil {
		return WhySelfTest, err
	}
	offset, err := clockOffset(program)
	if err != nil {
		return WhySelfTest, err
	}
	clock := func() xdp.Time { return monotonic() + offset }
	k.engine = newEngine(program, clock, uint32(k.config.Flows)+selfTestSlots, k.config.Logger)
	k.engine.slots.next = selfTestSlots
	k.engine.host, k.engine.closer, k.engine.releaser = k.network, k.close, k.unload
	if k.engine.base, err = program.Totals(); err != nil {
		return WhyKernel, err
	}
	if err := k.shareLimit(); err != nil {
		return WhyKernel, err
	}
	return WhyNone, nil
}

// shareLimit has the program and this process bound Binding responses by one table.
func (k *kernel) shareLimit() (err error) {
	c := k.config.Limit
	c.Slots = k.program.LimitSlots()
	c.Offset = uint64(k.engine.clock()) - uint64(time.Since(k.config.Epoch))
	if k.engine.limit, err = limit.New(c); err != nil {
		return err
	}
	return k.program.SetLimit(k.engine.limit.Parameters)
}

func whyNotLoaded(err error) Why {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return WhyPermission
	case errors.Is(err, xdp.ErrUnsupported):
		return WhyPlatform
	}
	return WhyKernel
}

// monotonic returns CLOCK_MONOTONIC as this process sees it.
func monotonic() xdp.Time {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // exists everywhere
	return xdp.Time(t.Nano())
}

// clockOffset returns what the program's clock is ahead of this process's: they differ
// in a time namespace. The readings around it bound the error, which can only end flows
// early.
func clockOffset(p *xdp.Program) (xdp.Time, error) {
	at, err := p.Clock()
	return at - monotonic(), err
}

// unload gives back the program.
func (k *kernel) unload() {
	if k.program != nil {
		_ = k.program.Close() // nothing is left to be done about a failure
	}
}

func (k *kernel) closeSockets() {
	if k.network != nil {
		k.network.close()
	}
	k.ethtool.close()
	_ = k.events.Close()
}

// close ends what Start began but the program itself. Interfaces lose it first.
func (k *kernel) close() {
	close(k.done)
	_ = k.events.Close() // ends hear
	k.running.Wait()
	for _, a := range k.attached {
		_ = a.link.Close() // the descriptor is gone in any case, and with it the program
	}
	k.network.close()
	k.ethtool.close()
}

const (
	beat     = time.Second     // how often drivers are watched and flows that lapsed given up
	useEvery = 5 * time.Second // how often neighbours are reported as used

	// pause is how long what is heard waits at least after what was taken in before, and
	// share how much longer it waits than that took: nobody's routes take a processor.
	pause = 20 * time.Millisecond
	share = 4
)

// run keeps hops, interfaces and flows true until done.
func (k *kernel) run() {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	waiting := k.news.waiting
	var paused <-chan time.Time
	for {
		select {
		case <-k.done:
			return
		case <-k.engine.kick:
		case <-paused:
			waiting, paused = k.news.waiting, nil
		case <-waiting:
			begun := time.Now()
			k.takeIn(k.news.take())
			k.engine.find()
			waiting, paused = nil, time.After(max(pause, share*time.Since(begun)))
		case now := <-ticker.C:
			k.tick(now)
		}
		k.engine.find()
	}
}

// tick does what is done every beat.
func (k *kernel) tick(now time.Time) {
	k.engine.sweep()
	k.watch()
	k.watchProgram()
	if k.doubt {
		k.doubt = false
		k.engine.doubt(true)
	}
	if k.network.doubtful && !now.Before(k.network.lookAgain) {
		k.complain(k.network.findUplinks())
		k.tell()
	}
	if now.Sub(k.used) >= useEvery {
		k.used = now
		k.engine.doubt(false)
		for _, n := range k.engine.neighbours() {
			k.network.use(n)
		}
	}
}

// takeIn takes in what has been heard: hops are withdrawn before anything is asked, and
// only those that it may concern.
func (k *kernel) takeIn(h heard) {
	if h.all {
		k.engine.changed(change{})
		k.complain(k.network.refresh())
	}
	for index, l := range h.links {
		if k.network.setLink(index, l) {
			k.engine.changed(change{link: index})
			k.suspect(k.network.numbered(index))
		}
	}
	for at, there := range h.addresses {
		if k.network.setAddress(at, there) {
			k.engine.changed(change{address: at.address})
			k.suspect(!there)
		}
	}
	for _, c := range h.neighbours {
		k.network.note(c)
		k.engine.changed(c)
	}
	if len(h.routes) > 0 {
		k.engine.changed(change{routes: h.routes})
	}
	for u, there := range h.uplinks {
		k.network.noteUplink(u, there)
	}
	k.tell()
}

// suspect has ways and uplinks looked at again, soon, after changes with which the kernel
// drops routes silently.
func (k *kernel) suspect(so bool) {
	k.doubt = k.doubt || so
	k.network.doubtful = k.network.doubtful || so
}

func (k *kernel) complain(err error) {
	if err != nil {
		k.config.Logger.Debug("the network could not be read whole", "error", err.Error())
	}
}
