package turnserver

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hairpin/turnserver/control"
	"hairpin/turnserver/limit"
	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// claim builds a request that claims to be a user's, without a proof if the user is "".
func claim(t *testing.T, method stun.Method, user string) []byte {
	t.Helper()
	setters := []stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}
	if user != "" {
		setters = append(setters, stun.NewUsername(user), stun.NewShortTermIntegrity("password"))
	}
	m, err := stun.Build(setters...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func testBudgets(t *testing.T, rate int) *budgets {
	t.Helper()
	b, err := newBudgets(rate, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// allowed counts the answers there may be at one moment.
func allowed(ask func() bool) (n int) {
	for n < 100_000 && ask() {
		n++
	}
	return n
}

func TestBudgetsByKindOfAnswer(t *testing.T) { // SEC-25
	const unlimited = 100_000
	source, now := netip.MustParseAddr("192.0.2.1"), relay.Instant(time.Hour)
	bare, guess, bind := claim(t, stun.MethodAllocate, ""), claim(t, stun.MethodAllocate, "alice"), claim(t, stun.MethodBinding, "")
	for name, c := range map[string]struct {
		msg            []byte
		answer         control.Answer
		packet, stream int
	}{
		"challenge":           {bare, control.Answer{Reason: control.NoCredentials}, 10, unlimited},
		"bad request":         {guess, control.Answer{Reason: control.BadRequest}, 10, unlimited},
		"stale nonce":         {guess, control.Answer{Reason: control.StaleNonce}, 10, unlimited},
		"guess":               {guess, control.Answer{Reason: control.WrongSecret}, 10, 10},
		"expired":             {guess, control.Answer{Reason: control.Expired}, 10, 10},
		"binding":             {bind, control.Answer{}, 50, unlimited},
		"refused binding":     {bind, control.Answer{Reason: control.UnknownAttribute}, 50, unlimited},
		"authenticated":       {guess, control.Answer{User: "alice"}, unlimited, unlimited},
		"authenticated error": {guess, control.Answer{User: "alice", Reason: control.QuotaUser}, unlimited, unlimited},
	} {
		t.Run(name, func(t *testing.T) {
			b := testBudgets(t, 10)
			if n := allowed(func() bool { return b.packet(now, source, c.msg, &c.answer) }); n != c.packet {
				t.Errorf("%d answers at once over UDP, want %d", n, c.packet)
			}
			b = testBudgets(t, 10)
			if n := allowed(func() bool { return b.stream(now, source, c.msg, &c.answer) }); n != c.stream {
				t.Errorf("%d answers at once over a stream, want %d", n, c.stream)
			}
		})
	}
}

func TestBudgetsOfRates(t *testing.T) {
	challenge := control.Answer{Reason: control.NoCredentials}
	bare := claim(t, stun.MethodAllocate, "")
	for _, c := range []struct {
		rate           int
		source         string
		challenges, of int // allowed of so many
	}{
		{0, "192.0.2.1", 10, 1000},
		{0, "127.0.0.1", 1000, 1000},
		{0, "::1", 1000, 1000},
		{3, "192.0.2.1", 3, 1000},
		{3, "127.0.0.1", 3, 1000},
		{3, "2001:db8::1", 3, 1000},
		{-1, "192.0.2.1", 1000, 1000},
		{1_000_000_000, "192.0.2.1", 1000, 1000},
	} {
		b, n := testBudgets(t, c.rate), 0
		for range c.of {
			if b.packet(0, netip.MustParseAddr(c.source), bare, &challenge) {
				n++
			}
		}
		if n != c.challenges {
			t.Errorf("rate %d: %s gets %d of %d, want %d", c.rate, c.source, n, c.of, c.challenges)
		}
	}
}

// Sources that share what they are told apart by share a budget; others do not.
func TestBudgetsOfSources(t *testing.T) {
	b := testBudgets(t, 10)
	for _, c := range []struct {
		source string
		want   int
	}{
		{"192.0.2.1", 50},
		{"::ffff:192.0.2.1", 0},
		{"192.0.2.2", 50},
		{"2001:db8::1", 50},
		{"2001:db8::ffff:1", 0},
		{"2001:db8:0:1::1", 50},
	} {
		source := netip.MustParseAddr(c.source)
		if n := allowed(func() bool { return b.binding(0, source) }); n != c.want {
			t.Errorf("%s gets %d answers at once, want %d", c.source, n, c.want)
		}
	}
}

// However many sources there are, all together get no more than the total.
func TestBudgetsOfAllSources(t *testing.T) {
	b, n := testBudgets(t, 1), 0
	for i := range 100_000 {
		if b.binding(0, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})) {
			n++
		}
	}
	if n != 5000 || b.stats()[BindingTotal] == 0 {
		t.Errorf("%d answers at once to 100 000 sources, want 5000: %v", n, b.stats())
	}
}

// A username that is guessed for from everywhere gets no more answers than a source.
func TestBudgetOfAUsername(t *testing.T) { // SEC-13
	b, now := testBudgets(t, 10), relay.Instant(0)
	wrong := control.Answer{Reason: control.WrongSecret}
	count := func(user string) (n int) {
		msg := claim(t, stun.MethodAllocate, user)
		for i := range 200 {
			if b.packet(now, netip.AddrFrom4([4]byte{10, 0, user[0], byte(i)}), msg, &wrong) {
				n++
			}
		}
		return n
	}
	if a, other := count("alice"), count("bob"); a != 10 || other != 10 {
		t.Errorf("alice is guessed for %d times and bob %d, want 10", a, other)
	}
	if n := b.stats()[GuessUser]; n != 380 {
		t.Errorf("%d guesses were counted, want 380", n)
	}
	stale := control.Answer{Reason: control.StaleNonce}
	if !b.packet(now, netip.MustParseAddr("10.1.0.1"), claim(t, stun.MethodAllocate, "alice"), &stale) {
		t.Error("a right credential with an old nonce counts as a guess")
	}
}

// What cannot be answered is told from its attributes alone, and never what could prove
// itself.
func TestWorthless(t *testing.T) {
	b, source := testBudgets(t, 1), netip.MustParseAddr("192.0.2.1")
	bare, sealed, bind := claim(t, stun.MethodAllocate, ""), claim(t, stun.MethodAllocate, "alice"), claim(t, stun.MethodBinding, "alice")
	ask := func() []bool {
		return []bool{b.worthless(0, source, bare), b.worthless(0, source, sealed), b.worthless(0, source, bind)}
	}
	if got := ask(); slices.Contains(got, true) {
		t.Errorf("before a flood: %v", got)
	}
	challenge := control.Answer{Reason: control.NoCredentials}
	allowed(func() bool { return b.packet(0, source, bare, &challenge) })
	allowed(func() bool { return b.binding(0, source) })
	if got := ask(); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("after a flood: %v", got)
	}
}

func TestWithheldCodes(t *testing.T) {
	seen := make(map[string]bool)
	for _, w := range AllWithheld() {
		if w.String() == "" || seen[w.String()] {
			t.Errorf("code %d is %q", w, w)
		}
		seen[w.String()] = true
	}
	if Withheld(200).String() != "unknown" {
		t.Error("an unknown code has a name")
	}
}

func TestBudgetsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b, source, now := testBudgets(t, 10), netip.MustParseAddr("2001:db8::1"), relay.Instant(0)
	bare, guess := claim(t, stun.MethodAllocate, ""), claim(t, stun.MethodAllocate, "alice")
	wrong := control.Answer{Reason: control.WrongSecret}
	if n := testing.AllocsPerRun(1000, func() {
		now += relay.Instant(20 * time.Millisecond)
		b.binding(now, source)
		b.worthless(now, source, bare)
		b.packet(now, source, guess, &wrong)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Where another path answers Binding requests too, both take from one budget.
func TestBudgetsAreShared(t *testing.T) {
	shared, err := limit.New(bindingLimit(10))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBudgets(10, shared)
	if err != nil {
		t.Fatal(err)
	}
	source := netip.MustParseAddr("192.0.2.1")
	for range 30 {
		shared.Take(limit.Key(source), 0)
	}
	if n := allowed(func() bool { return b.binding(0, source) }); n != 20 {
		t.Errorf("%d answers are left of 50, want 20", n)
	}
}
