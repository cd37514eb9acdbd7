/* SPDX-License-Identifier: MIT */
#pragma once

/* Which flow a datagram belongs to, and how it goes on: all the decisions. */

/* How a datagram goes on. Pointers are into the record. */
struct onward {
	const __be32 *source;
	const __be32 *destination;
	__be16 source_port;
	__be16 destination_port;
	__be16 channel;	   /* to be framed with; zero if not */
	__u16 length;	   /* of the application data, in host order */
	__u64 sum;	   /* of the application data */
	__u8 unchecked;	   /* its checksum is zero, and so remains */
	__u8 six;	   /* what it will be */
	__s8 growth;	   /* of the frame */
	__u64 hop;	   /* MAC of the next machine, and above it the limit */
	__u64 hop_source;  /* MAC of the interface that leads there */
	__u32 interface;   /* its index */
	int action;
	enum reason verdict;
};

/* A flow, by its record and where that is. */
struct flow {
	struct record *record;
	__u32 slot;
};

/* Set before loading, where the kernel has bpf_ktime_get_coarse_ns (Linux 5.11). */
const volatile __u8 has_coarse_clock;

/*
 * The present, as of the last tick: reading the clock itself takes a fifth of the time of
 * relaying. User space has lifetimes end a tick earlier for it.
 */
static inline __u64 coarse_now(void)
{
	return has_coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

/* The flow a key leads to, if it is alive. The clock is read once, and only if needed. */
static inline enum reason find(const struct key *key, __u64 *now, struct flow *f)
{
	place *p = bpf_map_lookup_elem(&flows, key);
	__u64 expires;
	place at;

	if (!p)
		return NO_FLOW;
	at = *(volatile place *)p;
	f->slot = at;
	f->record = bpf_map_lookup_elem(&records, &f->slot);
	if (!f->record)
		return STALE;
	expires = *(volatile __u64 *)&f->record->expires;
	if (!expires || f->record->generation != at >> 32)
		return STALE;
	if (!*now)
		*now = coarse_now();
	return expires > *now ? FINE : EXPIRED;
}

static inline __u64 differ(const __be32 *a, const __be32 *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return (x[0] ^ y[0]) | (x[1] ^ y[1]);
}

static inline enum reason check_client(const struct key *key, const struct record *r)
{
	if (differ(key->remote, r->client) | differ(key->local, r->server))
		return STALE;
	if (key->remote_port != r->client_port || key->local_port != r->server_port || key->channel != r->channel)
		return STALE;
	return key->six == !!(r->flags & CLIENT_IS_6) ? FINE : STALE;
}

static inline enum reason check_peer(const struct key *key, const struct record *r)
{
	if (differ(key->remote, r->peer) | differ(key->local, r->relayed))
		return STALE;
	if (key->remote_port != r->peer_port || key->local_port != r->relayed_port)
		return STALE;
	return key->six == !!(r->flags & PEER_IS_6) ? FINE : STALE;
}

/* Takes a hop that user space may be changing: it withdraws the first word meanwhile. */
static inline void take_hop(struct onward *o, const __u64 *hop, const __u64 *source, const __u32 *interface)
{
	o->hop = *(volatile __u64 *)hop;
	o->hop_source = *(volatile __u64 *)source;
	o->interface = *(volatile __u32 *)interface;
	if (*(volatile __u64 *)hop != o->hop)
		o->hop = 0;
}

static inline void to_peer(struct onward *o, const struct record *r)
{
	o->six = !!(r->flags & PEER_IS_6);
	o->source = r->relayed;
	o->destination = r->peer;
	o->source_port = r->relayed_port;
	o->destination_port = r->peer_port;
	o->channel = 0;
	take_hop(o, &r->peer_hop, &r->peer_source, &r->peer_interface);
}

static inline void to_client(struct onward *o, const struct record *r)
{
	o->six = !!(r->flags & CLIENT_IS_6);
	o->source = r->server;
	o->destination = r->client;
	o->source_port = r->server_port;
	o->destination_port = r->client_port;
	o->channel = r->channel;
	take_hop(o, &r->client_hop, &r->client_source, &r->client_interface);
}

/*
 * Finds the second half of a hairpin turn: what the peer's allocation has bound to the
 * relayed transport address that the packet would come from.
 */
static inline enum reason find_other(const struct record *r, __u64 *now, struct flow *other)
{
	struct key key = {};

	copy_address(key.remote, r->relayed);
	copy_address(key.local, r->peer);
	key.remote_port = r->relayed_port;
	key.local_port = r->peer_port;
	key.six = !!(r->flags & PEER_IS_6);
	return find(&key, now, other) || check_peer(&key, other->record) ? HAIRPIN_MISS : FINE;
}

/* The channel number of a datagram that is ChannelData to the byte, or zero. */
static inline __be16 channel_of(struct xdp_md *ctx, const struct packet *p)
{
	struct channel_data *c = (void *)(p->udp + 1);

	if ((void *)(c + 1) > (void *)(long)ctx->data_end)
		return 0;
	if ((c->channel & bpf_htons(0xC000)) != bpf_htons(0x4000))
		return 0;
	return bpf_ntohs(c->length) + sizeof(*c) == p->payload ? c->channel : 0;
}

/* Whether the next hop is known and takes a packet of that length. */
static inline enum reason check_hop(const struct onward *o)
{
	__u32 length = sizeof(struct udp) + o->length;

	length += o->six ? sizeof(struct ip6) : sizeof(struct ip4);
	if (o->channel)
		length += sizeof(struct channel_data);
	if (!o->hop)
		return NO_HOP;
	return length <= o->hop >> MAC_BITS ? FINE : TOO_LONG;
}

/*
 * Chooses between the interface the frame came in by and another. What came by loopback
 * may only go back: the next device would put a checksum where the headers were.
 */
static inline enum reason choose_egress(struct xdp_md *ctx, const struct packet *p, struct onward *o)
{
	o->action = XDP_TX;
	if (o->interface == ctx->ingress_ifindex)
		return FINE;
	if (p->interface_flags & ONE_FAMILY)
		return NO_EGRESS;
	/* Anything but a redirect is what the flags say: XDP_ABORTED. */
	o->action = bpf_redirect_map(&egress, o->interface, 0);
	return o->action == XDP_REDIRECT ? FINE : NO_EGRESS;
}

/* What the sum of the application data is, and whether a packet may go without. */
static inline enum reason sum_data(struct xdp_md *ctx, const struct packet *p, struct onward *o)
{
	enum reason why;
	__u64 headers;

	o->unchecked = !p->udp->checksum;
	/*
	 * On loopback the kernel keeps the place where a sum was left to be put. Once a
	 * header before it has gone, it looks for the wrong bytes there; without a sum it
	 * does not look.
	 */
	if (p->interface_flags & ONE_FAMILY && o->verdict == TO_PEER)
		o->unchecked = 1;
	if (o->unchecked)
		return p->key.six || o->six ? CHECKSUM : FINE;
	why = sum_packet(ctx, p, &o->sum);
	if (why)
		return why;
	headers = sum_address(p->key.remote) + sum_address(p->key.local) + sum_pseudo(p->length);
	headers += pair(p->key.remote_port, p->key.local_port) + p->length;
	if (p->key.channel)
		headers += pair(p->key.channel, bpf_htons(o->length));
	o->sum = without(o->sum, headers);
	return FINE;
}

static inline enum reason from_client(const struct packet *p, __u64 *now, struct flow *f, struct flow *other,
				      struct onward *o)
{
	if (check_client(&p->key, f->record))
		return STALE;
	o->length = p->payload - sizeof(struct channel_data);
	if (f->record->flags & PEER_IS_CLIENT) {
		o->verdict = HAIRPIN;
		if (find_other(f->record, now, other))
			return HAIRPIN_MISS;
		to_client(o, other->record);
	} else {
		o->verdict = TO_PEER;
		to_peer(o, f->record);
	}
	return FINE;
}

static inline enum reason from_peer(const struct packet *p, struct flow *f, struct onward *o)
{
	if (check_peer(&p->key, f->record))
		return STALE;
	if (f->record->flags & PEER_IS_CLIENT)
		return HAIRPIN_WIRE;
	if (p->interface_flags & MERGES)
		return MERGED;
	o->verdict = TO_CLIENT;
	o->length = p->payload;
	to_client(o, f->record);
	return FINE;
}

/* Finds the flow of a datagram, and for a hairpin turn the other's. */
static inline enum reason route(struct xdp_md *ctx, struct packet *p, struct flow *f, struct flow *other,
				struct onward *o)
{
	enum reason why = NO_FLOW;
	__u64 now = 0;

	p->key.channel = channel_of(ctx, p);
	if (p->key.channel) {
		why = find(&p->key, &now, f);
		if (!why)
			return from_client(p, &now, f, other, o);
		p->key.channel = 0; /* a peer may send what looks like it */
	}
	if (why == NO_FLOW)
		why = find(&p->key, &now, f);
	return why ? why : from_peer(p, f, o);
}

/* Decides all about a datagram; only room before the frame can be lacking after that. */
static inline enum reason decide(struct xdp_md *ctx, struct packet *p, struct flow *f, struct flow *other,
				 struct onward *o)
{
	enum reason why = route(ctx, p, f, other, o);

	if (!why && p->interface_flags & ONE_FAMILY && o->six != p->key.six)
		why = OTHER_FAMILY;
	if (!why)
		why = check_hop(o);
	if (!why)
		why = sum_data(ctx, p, o);
	if (!why)
		why = choose_egress(ctx, p, o);
	o->growth = o->six * (sizeof(struct ip6) - sizeof(struct ip4));
	o->growth -= p->key.six * (sizeof(struct ip6) - sizeof(struct ip4));
	if (o->channel)
		o->growth += sizeof(struct channel_data);
	if (p->key.channel)
		o->growth -= sizeof(struct channel_data);
	return why;
}
