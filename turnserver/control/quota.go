package control

import (
	"net/netip"

	"github.com/pion/stun/v3"
)

// checkQuota refuses an allocation that would exceed a bound (RFC 8656 §7.2, step 10).
func (q *request) checkQuota() Reason {
	s := q.server
	over := func(n, bound int) bool { return bound != 0 && n >= bound }
	even, _ := q.attribute(stun.AttrEvenPort)
	reserves := len(even) == 1 && even[0]&evenPortNext != 0
	switch {
	case s.draining.Load():
		return q.fail(codeInsufficientCapacity, Draining)
	case s.config.SelfUser != "" && q.user == s.config.SelfUser:
		return None
	case over(len(s.allocations), s.quota.Allocations):
		return q.fail(codeInsufficientCapacity, QuotaServer)
	case over(s.users[q.user], s.quota.PerUser), reserves && over(s.reserved[q.user], s.quota.Reservations):
		return q.fail(codeQuotaReached, QuotaUser)
	case over(s.addresses[quotaAddress(q.from.Client.Addr())], s.quota.PerAddress):
		return q.fail(codeQuotaReached, QuotaAddress)
	}
	return None
}

// quotaAddress is what clients are counted by: an IPv4 address, or the /64 that one
// IPv6 customer has.
func quotaAddress(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}
