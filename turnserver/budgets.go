package turnserver

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync/atomic"

	"hairpin/turnserver/control"
	"hairpin/turnserver/limit"
	"hairpin/turnserver/relay"
	"hairpin/turnserver/wire"
)

// DefaultUnauthenticatedRate is how many error responses a second one source gets that
// proves nothing.
const DefaultUnauthenticatedRate = 10

const (
	// bindingFactor is how many times as many Binding responses there are: they are
	// what STUN is for, and hardly larger than the requests.
	bindingFactor = 5

	// totalFactor is how many sources may use up their budgets all the time before
	// those of all together are spent: far more than a server has newcomers at once,
	// and still few packets for a network to be the target of.
	totalFactor = 1000

	// guessedUsers is how many usernames have a budget of their own; the others share.
	guessedUsers = 1 << 14
)

// budgets bound what a server sends to those who have proven nothing, who over UDP need
// not be who they say. What is beyond is not sent, and only counted. An authenticated
// request is answered whatever the budgets are, so that a flood ends nobody's call.
//
// Over streams only wrong credentials count: a stream has shown that its client is
// where it says, so that nothing is reflected, and may guess all the same.
//
// Sources on loopback have no bounds unless a rate is asked for: no packet from outside
// can claim to come from there.
type budgets struct {
	bindings   *limit.Table
	challenges *limit.Table
	users      *limit.Table // wrong credentials by username, from wherever they come
	names      maphash.Seed // of the keys in users
	loopback   bool         // counts too
	withheld   [withholdings]atomic.Uint64
}

// Withheld is why an answer to a request that proves nothing was not sent. The codes
// are stable: logs, metrics and interfaces use them.
type Withheld uint8

// Why answers are withheld.
const (
	BindingSource   Withheld = iota // the source has had its Binding responses
	BindingTotal                    // all sources together have
	ChallengeSource                 // the source has had its error responses
	ChallengeTotal                  // all sources together have
	GuessUser                       // this username has been guessed for too often

	withholdings // their number
)

// String returns the stable code.
func (w Withheld) String() string {
	if w >= withholdings {
		return "unknown"
	}
	return [withholdings]string{"binding-source", "binding-total", "challenge-source", "challenge-total", "guess-user"}[w]
}

// AllWithheld returns every reason there is.
func AllWithheld() []Withheld {
	all := make([]Withheld, withholdings)
	for i := range all {
		all[i] = Withheld(i)
	}
	return all
}

// newBudgets makes the budgets for Config.UnauthenticatedRate. Those of Binding responses
// are in shared, made from [bindingLimit], where another path answers too; nil makes
// them here.
func newBudgets(rate int, shared *limit.Table) (b *budgets, err error) {
	b = &budgets{names: maphash.MakeSeed(), loopback: rate > 0, bindings: shared}
	if b.bindings == nil {
		if b.bindings, err = limit.New(bindingLimit(rate)); err != nil {
			return nil, err
		}
	}
	rate = effectiveRate(rate)
	if b.challenges, err = limit.New(limit.Config{Rate: rate, Total: times(rate, totalFactor)}); err != nil {
		return nil, err
	}
	b.users, err = limit.New(limit.Config{Rate: rate, Slots: make([]uint64, limit.SlotsFor(guessedUsers))})
	return b, err
}

// bindingLimit returns what Config.UnauthenticatedRate means for Binding responses.
func bindingLimit(rate int) limit.Config {
	rate = times(effectiveRate(rate), bindingFactor)
	return limit.Config{Rate: rate, Total: times(rate, totalFactor)}
}

// effectiveRate returns the rate of error responses, zero for no bound.
func effectiveRate(configured int) int {
	if configured == 0 {
		return DefaultUnauthenticatedRate
	}
	return max(configured, 0)
}

// times multiplies rates. What no clock tells from no limit may as well be less.
func times(rate, factor int) int { return int(min(int64(rate)*int64(factor), math.MaxInt32)) }

// exempt reports whether a source has no bounds.
func (b *budgets) exempt(source netip.Addr) bool { return !b.loopback && source.IsLoopback() }

// binding says whether a Binding response may be sent, and takes it from the budget.
func (b *budgets) binding(now relay.Instant, source netip.Addr) bool {
	return b.exempt(source) || b.count(BindingSource, b.bindings.Take(limit.Key(source), int64(now)))
}

// count counts a verdict that withholds an answer. In the order of the codes, that for
// the total is next to that for the source.
func (b *budgets) count(source Withheld, v limit.Verdict) bool {
	switch v {
	case limit.Source:
		b.withheld[source].Add(1)
	case limit.Total:
		b.withheld[source+1].Add(1)
	}
	return v == limit.Allowed
}

// worthless reports whether a request over UDP would get no answer, before it costs
// more than the look at its attributes: it cannot prove anything, and there is nothing
// left to answer such a request with.
func (b *budgets) worthless(now relay.Instant, source netip.Addr, msg []byte) bool {
	if b.exempt(source) {
		return false
	}
	key := limit.Key(source)
	if wire.IsBindingRequest(msg) {
		return !b.count(BindingSource, b.bindings.Check(key, int64(now)))
	}
	if _, sealed := wire.Claim(msg); sealed {
		return false
	}
	return !b.count(ChallengeSource, b.challenges.Check(key, int64(now)))
}

// packet says whether an answer may be sent over UDP, and takes it from the budget.
func (b *budgets) packet(now relay.Instant, source netip.Addr, msg []byte, answer *control.Answer) bool {
	switch {
	case answer.User != "" || b.exempt(source):
		return true
	case wire.IsBindingRequest(msg):
		return b.binding(now, source)
	case !b.count(ChallengeSource, b.challenges.Take(limit.Key(source), int64(now))):
		return false
	}
	return b.guess(now, msg, answer)
}

// stream says whether an answer may be sent over a stream, and takes it from the budget
// if it tells that a credential is wrong.
func (b *budgets) stream(now relay.Instant, source netip.Addr, msg []byte, answer *control.Answer) bool {
	if answer.User != "" || !isGuess(answer.Reason) || b.exempt(source) {
		return true
	}
	return b.count(ChallengeSource, b.challenges.Take(limit.Key(source), int64(now))) && b.guess(now, msg, answer)
}

// guess says whether a username may be told once more that its credential is wrong.
func (b *budgets) guess(now relay.Instant, msg []byte, answer *control.Answer) bool {
	if !isGuess(answer.Reason) {
		return true
	}
	username, _ := wire.Claim(msg)
	if b.users.Take(maphash.Bytes(b.names, username), int64(now)) == limit.Allowed {
		return true
	}
	b.withheld[GuessUser].Add(1)
	return false
}

// isGuess reports whether a request was refused for what it claimed. That its nonce was
// stale is not that: it had the right credential.
func isGuess(why control.Reason) bool {
	switch why {
	case control.WrongRealm, control.MalformedUsername, control.Expired, control.ClockSkew, control.WrongSecret, control.Revoked:
		return true
	}
	return false
}

// stats returns how many answers were withheld, by every reason there is.
func (b *budgets) stats() map[Withheld]uint64 {
	all := make(map[Withheld]uint64)
	for _, why := range AllWithheld() {
		all[why] = b.withheld[why].Load()
	}
	return all
}
