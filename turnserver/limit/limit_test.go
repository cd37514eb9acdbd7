package limit

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

const second = int64(time.Second)

func table(t *testing.T, c Config) *Table {
	t.Helper()
	made, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// taken counts the answers a source gets that asks so often in each of some seconds,
// evenly.
func taken(l *Table, key uint64, from int64, seconds, perSecond int) (n int) {
	step := second / int64(perSecond)
	for i := range int64(seconds * perSecond) {
		if l.Take(key, from+i*step) == Allowed {
			n++
		}
	}
	return n
}

func TestRateAndBurst(t *testing.T) {
	for name, c := range map[string]struct {
		Config
		seconds, perSecond, want int
	}{
		"below":                {Config{Rate: 10}, 100, 10, 1000},
		"above":                {Config{Rate: 10}, 10, 1000, 10 + 100 - 1},
		"burst of one":         {Config{Rate: 10, Burst: 1}, 10, 1000, 100},
		"no limit":             {Config{}, 3, 1000, 3000},
		"no limit but a burst": {Config{Burst: 1}, 3, 1000, 3000},
		"only a total":         {Config{Total: 20}, 10, 1000, 20 + 200 - 1},
		"the total is less":    {Config{Rate: 10, Total: 5}, 10, 1000, 5 + 50 - 1},
		"once a second":        {Config{Rate: 1}, 10, 100, 10},
		"more than the clock":  {Config{Rate: 1<<31 - 1, Burst: 1}, 1, 1000, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := taken(table(t, c.Config), 1, 5*second, c.seconds, c.perSecond); got < c.want || got > c.want+1 {
				t.Errorf("%d answers, want %d", got, c.want)
			}
		})
	}
}

// In no span of time are there more than the burst and what the rate gives for it.
func TestNoWindowHasMore(t *testing.T) {
	l := table(t, Config{Rate: 10, Burst: 10})
	var answered []int64
	for at := int64(0); at < 20*second; at += 7_654_321 {
		if at/second%5 == 3 { // pauses, in which the budget grows back
			continue
		}
		if l.Take(7, at) == Allowed {
			answered = append(answered, at)
		}
	}
	for i, from := range answered {
		for j, to := range answered[i:] {
			if most := 10 + int((to-from)*10/second); j+1 > most {
				t.Fatalf("%d answers in %v", j+1, time.Duration(to-from))
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	l := table(t, Config{Rate: 1, Burst: 2, Total: 3, Keys: [2]uint64{1, 2}})
	for i, c := range []struct {
		key  uint64
		want Verdict
	}{{1, Allowed}, {1, Allowed}, {1, Source}, {2, Allowed}, {2, Total}, {1, Source}} {
		if c.want != Allowed {
			for range 3 {
				if got := l.Check(c.key, second); got != c.want {
					t.Fatalf("%d: Check says %v, want %v", i, got, c.want)
				}
			}
		}
		if got := l.Take(c.key, second); got != c.want {
			t.Fatalf("%d: Take says %v, want %v", i, got, c.want)
		}
	}
}

func TestKey(t *testing.T) {
	for text, want := range map[string]uint64{
		"192.0.2.1":               0x0000_ffff_c000_0201,
		"::ffff:192.0.2.1":        0x0000_ffff_c000_0201,
		"2001:db8:1:2::1":         0x2001_0db8_0001_0002,
		"2001:db8:1:2:ffff::ffff": 0x2001_0db8_0001_0002,
		"fe80::1%eth0":            0xfe80_0000_0000_0000,
		"::1":                     0,
	} {
		if got := Key(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %#x, want %#x", text, got, want)
		}
	}
}

// vectors are slots and their values as the package comment has them, worked out apart
// from this program. Whoever shares a table is to find the same.
var vectors = []struct {
	keys [2]uint64
	mask uint64
	key  uint64
	slot uint64
}{
	{[2]uint64{0x0123456789abcdef, 0xfedcba9876543210}, 0xffff, 0x0000ffffc0000201, 0xb5bd},
	{[2]uint64{0x0123456789abcdef, 0xfedcba9876543210}, 0xffff, 0x0000ffffc0000202, 0xa26d},
	{[2]uint64{0x0123456789abcdef, 0xfedcba9876543210}, 0xffff, 0x20010db800010002, 0xf689},
	{[2]uint64{0, 1}, 0x3ff, 0, 0},
	{[2]uint64{^uint64(0), ^uint64(0)}, 0xffff, 0x0000ffff7f000001, 0x1484},
}

func TestSlotVectors(t *testing.T) {
	for _, v := range vectors {
		p := Parameters{Keys: v.keys, Mask: v.mask}
		if got := p.Slot(v.key); got != v.slot {
			t.Errorf("keys %#x, source %#x: slot %#x, want %#x", v.keys, v.key, got, v.slot)
		}
	}
}

// What is in the slots is what the package comment says, so that others can go on with
// it: here another table, whose clock began at another time.
func TestSlotsAreShared(t *testing.T) {
	slots := make([]uint64, SlotsFor(1024))
	c := Config{Rate: 10, Total: 100, Keys: [2]uint64{3, 4}, Slots: slots}
	here := table(t, c)
	c.Offset = uint64(second)
	there := table(t, c)
	if here.Take(9, 5*second) != Allowed || there.Take(9, 4*second) != Allowed {
		t.Fatal("refused")
	}
	if got, want := slots[here.Slot(9)], uint64(5*second)+2*here.Interval; got != want {
		t.Errorf("the source's slot is %d, want %d", got, want)
	}
	if got, want := slots[1024], uint64(5*second)+2*here.TotalInterval; got != want {
		t.Errorf("the total's slot is %d, want %d", got, want)
	}
	n := 2
	for here.Take(9, 5*second) == Allowed {
		n++
	}
	if n != 10 || there.Take(9, 4*second) != Source {
		t.Errorf("%d answers at once by both, want 10", n)
	}
}

func TestParametersLayout(t *testing.T) {
	if size := unsafe.Sizeof(Parameters{}); size != 7*8 {
		t.Errorf("Parameters has %d bytes, want 56", size)
	}
}

// Sources spread over the slots, so that one is seldom another's loss.
func TestSourcesSpread(t *testing.T) {
	l := table(t, Config{Rate: 1})
	used := make(map[uint64]bool)
	const sources = 10_000
	for i := range uint64(sources) {
		used[l.Slot(Key(netip.MustParseAddr("10.0.0.0"))+i)] = true
	}
	// Thrown at random, 10 000 take 9274 of 65 536 slots.
	if len(used) < 9000 {
		t.Errorf("%d sources share %d slots", sources, len(used))
	}
}

// Cores that take at the same moment do not take more than there is.
func TestTakeAtOnce(t *testing.T) {
	l := table(t, Config{Rate: 1000, Burst: 500, Total: 700})
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if l.Take(1, second) == Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := allowed.Load(); n != 500 {
		t.Errorf("%d answers, want 500", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"negative rate":  {Rate: -1},
		"negative total": {Total: -1},
		"no slots":       {Slots: []uint64{}},
		"one slot":       {Slots: make([]uint64, 1)},
		"odd slots":      {Slots: make([]uint64, 1024)},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	l := table(t, Config{Rate: 10, Total: 100})
	source := netip.MustParseAddr("2001:db8::1")
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 20
		l.Check(Key(source), now)
		l.Take(Key(source), now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	l, err := New(Config{Rate: 10, Total: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	source, now := netip.MustParseAddr("192.0.2.1"), int64(0)
	for b.Loop() {
		now += 1000
		l.Take(Key(source), now)
	}
}
