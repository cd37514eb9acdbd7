package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"testing"
	"testing/iotest"
	"time"
)

var portsStart = time.Unix(1_800_000_000, 0)

// rested is long enough for a released port to be free again.
const rested = portQuarantine + time.Second

// testPorts returns ports that choose by a seed, so that no test fails by chance.
func testPorts(t testing.TB, first, last uint16) *ports {
	t.Helper()
	p, err := newPorts(first, last, mathrand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPortsRange(t *testing.T) {
	for _, c := range []struct {
		first, last uint16
		ok          bool
	}{
		{49152, 65535, true},
		{1024, 65535, true},
		{65535, 65535, true},
		{1024, 1024, true},
		{1023, 65535, false},
		{0, 65535, false},
		{0, 0, false},
		{50001, 50000, false},
	} {
		p, err := newPorts(c.first, c.last, rand.Reader)
		if (err == nil) != c.ok {
			t.Errorf("%d-%d: error %v", c.first, c.last, err)
		}
		if err != nil {
			continue
		}
		if lent, left := p.counts(); lent != 0 || left != int(c.last)-int(c.first)+1 {
			t.Errorf("%d-%d: %d lent, %d left", c.first, c.last, lent, left)
		}
	}
}

// Every port of a range is lent once, as a single, as an even one and as a pair, for
// every parity of its bounds; no more than there are.
func TestPortsExhaustion(t *testing.T) {
	for first := uint16(50000); first <= 50001; first++ {
		for last := first; last < first+6; last++ {
			t.Run(fmt.Sprintf("%d-%d", first, last), func(t *testing.T) {
				singles, evens, pairs := 0, 0, 0
				for port := first; port <= last; port++ {
					singles++
					if port%2 == 0 {
						evens++
						if port < last {
							pairs++
						}
					}
				}
				p := testPorts(t, first, last)
				exhaust(t, p, "single", singles, p.take)
				p = testPorts(t, first, last)
				exhaust(t, p, "even", evens, p.takeEven)
				p = testPorts(t, first, last)
				exhaust(t, p, "pair", pairs, p.takePair)
				exhaust(t, p, "single beside the pairs", singles-2*pairs, p.take)
			})
		}
	}
}

// exhaust takes until nothing is left, and checks what it got.
func exhaust(t *testing.T, p *ports, what string, want int, take func(time.Time) (uint16, bool)) {
	t.Helper()
	got := map[uint16]bool{}
	for port, ok := take(portsStart); ok; port, ok = take(portsStart) {
		if got[port] || !p.contains(port) {
			t.Fatalf("%s: lent %d, which is lent already or out of range", what, port)
		}
		if (what == "even" || what == "pair") && port%2 != 0 {
			t.Fatalf("%s: lent %d", what, port)
		}
		got[port] = true
	}
	if len(got) != want {
		t.Errorf("%s: lent %d times, want %d", what, len(got), want)
	}
}

// Single ports may be left where no pair is.
func TestPortsPairsRunOut(t *testing.T) {
	p := testPorts(t, 50000, 50009)
	for range 5 {
		if _, ok := p.takeEven(portsStart); !ok {
			t.Fatal("no even port")
		}
	}
	if _, left := p.counts(); left != 5 {
		t.Fatalf("%d ports left, want 5", left)
	}
	if port, ok := p.takePair(portsStart); ok {
		t.Errorf("lent pair %d though every even port is lent", port)
	}
	p.release(50004, portsStart)
	if port, ok := p.takePair(portsStart); !ok || port != 50004 {
		t.Errorf("takePair: %d, %v, want 50004, the only one", port, ok)
	}
	if _, left := p.counts(); left != 4 {
		t.Errorf("%d ports left, want 4: a pair holds both", left)
	}
}

// SEC-11: a released port rests for a minute, and is then as likely as any other.
func TestPortsQuarantine(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false}, {59 * time.Second, false}, {portQuarantine - 1, false}, {rested, true}, {24 * time.Hour, true},
	} {
		p, now, got := testPorts(t, 50000, 50003), portsStart, false
		for range 100 {
			released, _ := p.take(now)
			p.release(released, now)
			next, _ := p.take(now.Add(c.after))
			p.release(next, now.Add(c.after))
			got = got || next == released
			now = now.Add(48 * time.Hour)
		}
		if got != c.want {
			t.Errorf("%v later: lent again is %v, want %v", c.after, got, c.want)
		}
	}
}

// Rather than nothing, what has rested longest is lent.
func TestPortsUnderPressure(t *testing.T) {
	p := testPorts(t, 50000, 50005)
	exhaust(t, p, "single", 6, p.take)
	second := func(n int) time.Time { return portsStart.Add(time.Duration(n) * time.Second) }
	for i, port := range []uint16{50003, 50000, 50004, 50005, 50002, 50001} {
		p.release(port, second(i))
	}
	for _, step := range []struct {
		name string
		take func(time.Time) (uint16, bool)
		want uint16
	}{
		{"pair", p.takePair, 50004}, // whole since second 3, the others since 4 and 5
		{"even", p.takeEven, 50000},
		{"single", p.take, 50003},
		{"single", p.take, 50002},
		{"single", p.take, 50001},
	} {
		if port, ok := step.take(second(6)); !ok || port != step.want {
			t.Errorf("%s: %d, %v, want %d", step.name, port, ok, step.want)
		}
	}
	if port, ok := p.take(second(6)); ok {
		t.Errorf("lent %d though all are lent", port)
	}
}

func TestPortsReleaseOfWhatIsNotLent(t *testing.T) {
	p := testPorts(t, 50000, 50003)
	port, _ := p.take(portsStart)
	for range 3 {
		for _, other := range []uint16{port, port ^ 1, 0, 49999, 50004, 65535} {
			p.release(other, portsStart)
		}
	}
	if lent, left := p.counts(); lent != 0 || left != 4 {
		t.Errorf("%d lent, %d left, want 0 and 4", lent, left)
	}
	exhaust(t, p, "single", 4, p.take)
}

// modelPorts is the definition that ports are held against: slow and plain.
type modelPorts struct {
	*testing.T
	*ports
	now      time.Time
	lent     map[uint16]bool
	released map[uint16]time.Time
}

// Random operations, against the definition.
func TestPortsAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := mathrand.New(mathrand.NewPCG(seed, 0))
			first := uint16(50000 + random.IntN(2))
			m := modelPorts{
				T: t, ports: testPorts(t, first, first+uint16(random.IntN(24))), now: portsStart,
				lent: map[uint16]bool{}, released: map[uint16]time.Time{},
			}
			for range 3000 {
				m.step(random)
			}
		})
	}
}

func (m *modelPorts) step(random *mathrand.Rand) {
	m.Helper()
	single := func(uint16) bool { return true }
	even := func(port uint16) bool { return port%2 == 0 }
	switch random.IntN(8) {
	case 0:
		m.now = m.now.Add(time.Duration(random.IntN(90)) * time.Second)
	case 1:
		m.checkTake("take", m.take, single, 1)
	case 2:
		m.checkTake("takeEven", m.takeEven, even, 1)
	case 3:
		m.checkTake("takePair", m.takePair, even, 2)
	default:
		port := m.first + uint16(random.IntN(int(m.last-m.first)+1))
		m.release(port, m.now)
		if m.lent[port] {
			delete(m.lent, port)
			m.released[port] = m.now
		}
	}
	if lent, left := m.counts(); lent != len(m.lent) || left != int(m.last-m.first)+1-len(m.lent) {
		m.Fatalf("counts: %d lent, %d left; %d are lent", lent, left, len(m.lent))
	}
}

// checkTake takes, and checks that what it gets may be lent and nothing should rather.
func (m *modelPorts) checkTake(what string, take func(time.Time) (uint16, bool), may func(uint16) bool, n uint16) {
	m.Helper()
	longest, some := time.Duration(-1), false
	for port := m.first; port <= m.last-(n-1); port++ {
		if rest, ok := m.rest(port, n); ok && may(port) {
			longest, some = max(longest, rest), true
		}
	}
	port, ok := take(m.now)
	if ok != some {
		m.Fatalf("%s: %d, %v, though there being one is %v", what, port, ok, some)
	}
	if !ok {
		return
	}
	rest, ok := m.rest(port, n)
	if !ok || !may(port) {
		m.Fatalf("%s: lent %d", what, port)
	}
	if rest < rested && rest != longest {
		m.Fatalf("%s: lent %d that has rested for %v, while another has for %v", what, port, rest, longest)
	}
	for i := range n {
		m.lent[port+i] = true
	}
}

// rest returns for how long all of n ports have rested, or false if they may not be lent.
func (m *modelPorts) rest(port, n uint16) (time.Duration, bool) {
	rest := time.Duration(math.MaxInt64)
	for ; n > 0; n, port = n-1, port+1 {
		if m.lent[port] || !m.contains(port) {
			return 0, false
		}
		if since, ok := m.released[port]; ok {
			rest = min(rest, m.now.Sub(since))
		}
	}
	return rest, true
}

// SEC-33: whatever is taken and given back, the pool keeps its size.
func TestPortsCyclesLeakNothing(t *testing.T) {
	p, now := testPorts(t, 50000, 50099), portsStart
	for i := range 10_000 {
		now = now.Add(10 * time.Millisecond)
		if i%2 == 0 {
			port, ok := p.takeEven(now)
			if !ok {
				t.Fatalf("cycle %d: no even port", i)
			}
			p.release(port, now)
			continue
		}
		port, ok := p.takePair(now)
		if !ok {
			t.Fatalf("cycle %d: no pair", i)
		}
		p.release(port, now)
		p.release(port+1, now)
	}
	if lent, left := p.counts(); lent != 0 || left != 100 {
		t.Errorf("%d lent, %d left, want 0 and 100", lent, left)
	}
	exhaust(t, p, "pair", 50, p.takePair)
	exhaust(t, p, "single beside the pairs", 0, p.take)
}

// SEC-11: ports are uniform, and one does not tell the next. The bounds are passed by
// chance once in a hundred thousand seeds.
func TestPortsAreRandom(t *testing.T) {
	const takes = 10_000
	for name, take := range map[string]func(*ports, time.Time) (uint16, bool){
		"take": (*ports).take, "takeEven": (*ports).takeEven, "takePair": (*ports).takePair,
	} {
		t.Run(name, func(t *testing.T) {
			p, now := testPorts(t, 50000, 50127), portsStart
			values, steps := make([]int, 128), make([]int, 128)
			previous := uint16(0)
			for range takes {
				now = now.Add(rested)
				port, _ := take(p, now)
				p.release(port, now)
				p.release(port|1, now) // the pair's other
				values[port-50000]++
				steps[(port-previous)%128]++
				previous = port
			}
			if name != "take" {
				values, steps = evens(t, values), evens(t, steps)
			}
			checkUniform(t, "ports", values)
			checkUniform(t, "steps from one to the next", steps)
		})
	}
}

// 10 000 ports lent at once are spread over the range.
func TestPortsLentAtOnceAreSpread(t *testing.T) {
	p := testPorts(t, 49152, 65535)
	buckets := make([]int, 64)
	for range 10_000 {
		port, _ := p.take(portsStart)
		buckets[(port-49152)/256]++
	}
	checkUniform(t, "ports by 256", buckets)
}

// evens returns every other count; the ones between are to be zero.
func evens(t *testing.T, counts []int) []int {
	t.Helper()
	var even []int
	for i, n := range counts {
		if i%2 == 0 {
			even = append(even, n)
		} else if n != 0 {
			t.Errorf("%d odd ones", n)
		}
	}
	return even
}

// checkUniform is Pearson's chi-square test, by Wilson and Hilferty's approximation.
func checkUniform(t *testing.T, what string, counts []int) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	expected := float64(total) / float64(len(counts))
	chi2 := 0.0
	for _, n := range counts {
		chi2 += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	freedom := float64(len(counts) - 1)
	deviations := (math.Cbrt(chi2/freedom) - (1 - 2/(9*freedom))) / math.Sqrt(2/(9*freedom))
	if deviations > 4.3 {
		t.Errorf("%s: chi-square %.0f at %.0f degrees of freedom", what, chi2, freedom)
	}
}

// Ports of either parity come back from quarantine by the next time one is wanted.
func TestPortsAreRandomAfterRest(t *testing.T) {
	p, now, counts := testPorts(t, 50000, 50001), portsStart, make([]int, 2)
	for range 2000 {
		port, _ := p.take(now)
		other, _ := p.take(now)
		counts[port-50000]++
		p.release(port, now)
		p.release(other, now)
		now = now.Add(rested)
	}
	checkUniform(t, "the first of two", counts)
}

// Without randomness nothing is lent, and nothing lost.
func TestPortsNeedRandomness(t *testing.T) {
	p, err := newPorts(50000, 50009, iotest.ErrReader(errors.New("broken")))
	if err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(time.Time) (uint16, bool){
		"take": p.take, "takeEven": p.takeEven, "takePair": p.takePair,
	} {
		if port, ok := take(portsStart); ok {
			t.Errorf("%s lent %d", name, port)
		}
	}
	if lent, left := p.counts(); lent != 0 || left != 10 {
		t.Errorf("%d lent, %d left, want 0 and 10", lent, left)
	}
}

func TestPortsAllocateNothing(t *testing.T) {
	p, now := testPorts(t, 49152, 65535), portsStart
	if got := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Second)
		port, _ := p.take(now)
		even, _ := p.takePair(now)
		p.release(port, now)
		p.release(even, now)
		p.release(even+1, now)
	}); got != 0 {
		t.Errorf("taking and releasing allocates %v times", got)
	}
}

func BenchmarkPorts(b *testing.B) {
	for _, c := range []struct {
		name   string
		random io.Reader
	}{{"crypto", rand.Reader}, {"seed", mathrand.NewChaCha8([32]byte{})}} {
		b.Run(c.name, func(b *testing.B) {
			p, err := newPorts(49152, 65535, c.random)
			if err != nil {
				b.Fatal(err)
			}
			now := portsStart
			for b.Loop() {
				now = now.Add(10 * time.Millisecond)
				port, _ := p.take(now)
				p.release(port, now)
			}
		})
	}
}

func BenchmarkNewPorts(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = newPorts(49152, 65535, rand.Reader)
	}
}
