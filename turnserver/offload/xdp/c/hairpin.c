// SPDX-License-Identifier: MIT
/*
 * The kernel's share of the data plane; ../doc.go says what it does and why. A frame is
 * read (packet.h), all is decided (relay.h, binding.h) and only then written (write.h).
 */

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "headers.h"
#include "reason.h"
#include "maps.h"
#include "checksum.h"
#include "packet.h"
#include "relay.h"
#include "write.h"
#include "limit.h"
#include "binding.h"

/* Counts a frame, and the application data it had if it was relayed. */
static inline void count(enum reason why, __u32 bytes)
{
	__u32 key = why;
	struct counts *c = bpf_map_lookup_elem(&totals, &key);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

static inline void count_at(__u32 line, __u32 bytes)
{
	struct line *l = bpf_map_lookup_elem(&counters, &line);

	if (l) {
		__sync_fetch_and_add(&l->counts.packets, 1);
		__sync_fetch_and_add(&l->counts.bytes, bytes);
	}
}

/* Counts for the flows, as the other data plane does: a hairpin turn is two. */
static inline void count_flows(const struct flow *f, const struct flow *other, const struct onward *o)
{
	count_at(2 * f->slot + (o->verdict == TO_CLIENT), o->length);
	if (o->verdict == HAIRPIN)
		count_at(2 * other->slot + 1, o->length);
}

static inline int action_of(enum reason why)
{
	switch (why) {
	case BINDING:
		return XDP_TX;
	case BINDING_LIMITED:
	case BROKEN:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

/* Relays a datagram, or counts why not; returns the action. */
static subprogram int relay(struct xdp_md *ctx, struct packet *p)
{
	struct flow f, other;
	struct onward o = {};
	enum reason why = decide(ctx, p, &f, &other, &o);

	if (!why)
		why = write_headers(ctx, &o);
	if (why) {
		count(why, 0);
		return action_of(why);
	}
	count_flows(&f, &other, &o);
	count(o.verdict, o.length);
	return o.action;
}

SEC("xdp")
int hairpin(struct xdp_md *ctx)
{
	struct packet p;
	enum reason why = read_packet(ctx, &p);

	if (!why) {
		const struct stun *request = binding_request(ctx, &p);

		if (!request)
			return relay(ctx, &p);
		why = answer_binding(ctx, &p, request);
	}
	count(why, 0);
	return action_of(why);
}

/* Shows user space the clock that lifetimes are compared with. */
SEC("xdp")
int hairpin_clock(struct xdp_md *ctx __attribute__((unused)))
{
	__u32 zero = 0;
	__u64 *now = bpf_map_lookup_elem(&clock, &zero);

	if (now)
		*now = bpf_ktime_get_ns();
	return XDP_PASS;
}

/* Some helpers are for programs under the GPL alone on kernels before 5.8. */
char _license[] SEC("license") = "Dual MIT/GPL";
