/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How many Binding requests are answered: the table of package limit, which has the
 * same budgets whichever path answers, and says what is computed here.
 */

static inline __u64 limit_key(const struct key *key)
{
	if (key->six)
		return (__u64)bpf_ntohl(key->remote[0]) << 32 | bpf_ntohl(key->remote[1]);
	return 0xFFFFULL << 32 | bpf_ntohl(key->remote[0]);
}

static inline __u32 limit_slot(const struct limit *l, __u64 key)
{
	__u64 x = key ^ l->keys[0];

	x = (x ^ x >> 32) * (l->keys[1] | 1);
	x = (x ^ x >> 32) * 0x9E3779B97F4A7C15ULL;
	return (x ^ x >> 32) & l->mask;
}

/* Reads and writes without a lock: a race lets through one more for each processor. */
static inline int take(__u32 slot, __u64 now, __u64 interval, __u64 tolerance)
{
	__u64 *arrival, next;

	if (!interval)
		return 1;
	arrival = bpf_map_lookup_elem(&arrivals, &slot);
	if (!arrival)
		return 0;
	next = *(volatile __u64 *)arrival;
	if (next < now)
		next = now;
	if (next - now > tolerance)
		return 0;
	*(volatile __u64 *)arrival = next + interval;
	return 1;
}

/* Whether there may be an answer now. */
static inline int within_limit(const struct key *key)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	struct limit *l = bpf_map_lookup_elem(&limits, &zero);

	if (!l)
		return 0;
	return take(limit_slot(l, limit_key(key)), now, l->interval, l->tolerance) &&
	       take(l->mask + 1, now, l->total_interval, l->total_tolerance);
}
