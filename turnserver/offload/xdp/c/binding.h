/* SPDX-License-Identifier: MIT */
#pragma once

/* Binding requests without attributes, answered as wire.AnswerBinding does. */

#define BINDING_REQUEST bpf_htons(0x0001)
#define BINDING_SUCCESS bpf_htons(0x0101)
#define XOR_MAPPED_ADDRESS bpf_htons(0x0020)
#define MAGIC_COOKIE 0x2112A442
#define FAMILY_IP4 bpf_htons(1)
#define FAMILY_IP6 bpf_htons(2)

struct answer {
	struct stun header;
	__be16 attribute;
	__be16 attribute_length;
	__be16 family;
	__be16 port;
	__be32 address[4];
};

/* The length of an answer over IPv4, and what IPv6 adds. */
#define ANSWER4 (sizeof(struct answer) - 3 * sizeof(__be32))
#define ANSWER6_MORE (3 * sizeof(__be32))

/* The request's header, if it is one of these to a local address that answers. */
static inline const struct stun *binding_request(struct xdp_md *ctx, const struct packet *p)
{
	const struct stun *request = (void *)(p->udp + 1);
	struct service at = {};

	if (p->payload != sizeof(*request) || (void *)(request + 1) > (void *)(long)ctx->data_end)
		return 0;
	if (request->type != BINDING_REQUEST || request->length || request->cookie != bpf_htonl(MAGIC_COOKIE))
		return 0;
	if (!(p->interface_flags & SYMMETRIC))
		return 0;
	copy_address(at.local, p->key.local);
	at.port = p->key.local_port;
	at.six = p->key.six;
	return bpf_map_lookup_elem(&services, &at) ? request : 0;
}

/* Whether a source can be answered at all; the network stack knows about the others. */
static inline int is_unicast(const struct key *key)
{
	__u8 first = *(const __u8 *)key->remote;

	if (!key->remote_port || !differ(key->remote, key->local))
		return 0;
	if (key->six)
		return first != 0xFF && (key->remote[0] | key->remote[1]);
	return first != 0 && first != 127 && first < 224;
}

/* Whether the request came as it was sent. */
static inline enum reason verify(struct xdp_md *ctx, const struct packet *p)
{
	const __be32 *w = (const void *)p->udp;
	__u64 pseudo = sum_address(p->key.remote) + sum_address(p->key.local) + sum_pseudo(p->length);

	if ((void *)(w + 7) > (void *)(long)ctx->data_end)
		return LENGTH;
	if (!p->udp->checksum)
		return p->key.six ? CHECKSUM : FINE;
	if (p->udp->checksum == fold(pseudo))
		return p->interface_flags & CHECKSUMS_LATER ? CHECKSUM_LEFT : FINE;
	return fold(pseudo + w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6]) == 0xFFFF ? FINE : CHECKSUM;
}

static inline void compose(struct answer *a, const struct key *key, const struct stun *request)
{
	a->header.type = BINDING_SUCCESS;
	a->header.cookie = request->cookie;
	a->header.transaction[0] = request->transaction[0];
	a->header.transaction[1] = request->transaction[1];
	a->header.transaction[2] = request->transaction[2];
	a->attribute = XOR_MAPPED_ADDRESS;
	a->port = key->remote_port ^ bpf_htons(MAGIC_COOKIE >> 16);
	a->address[0] = key->remote[0] ^ request->cookie;
	if (key->six) {
		a->header.length = bpf_htons(ANSWER4 + ANSWER6_MORE - sizeof(struct stun));
		a->attribute_length = bpf_htons(4 + 4 * sizeof(__be32));
		a->family = FAMILY_IP6;
		a->address[1] = key->remote[1] ^ request->transaction[0];
		a->address[2] = key->remote[2] ^ request->transaction[1];
		a->address[3] = key->remote[3] ^ request->transaction[2];
	} else {
		a->header.length = bpf_htons(ANSWER4 - sizeof(struct stun));
		a->attribute_length = bpf_htons(4 + sizeof(__be32));
		a->family = FAMILY_IP4;
		a->address[1] = a->address[2] = a->address[3] = 0;
	}
}

/* The sum of an answer; over IPv4 its last three words are zero. */
static inline __u64 sum_answer(const struct answer *a)
{
	const __be32 *w = (const void *)a;

	return (__u64)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7] + w[8] + w[9] + w[10];
}

/* Back to where the frame came from. */
static inline void turn_back(struct onward *o, const struct packet *p, const struct ethernet *eth)
{
	o->source = p->key.local;
	o->destination = p->key.remote;
	o->source_port = p->key.local_port;
	o->destination_port = p->key.remote_port;
	o->six = p->key.six;
	o->hop = mac_of(eth->source);
	o->hop_source = p->mac;
	o->growth = ANSWER4 - sizeof(struct stun);
	if (o->six)
		o->growth += ANSWER6_MORE;
	o->length = sizeof(struct stun) + o->growth;
}

static inline enum reason write_answer(struct xdp_md *ctx, const struct answer *a, __u8 six)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (six) {
		if (data + HEADERS6 + sizeof(*a) > end)
			return BROKEN;
		__builtin_memcpy(data + HEADERS6, a, sizeof(*a));
	} else {
		if (data + HEADERS4 + ANSWER4 > end)
			return BROKEN;
		__builtin_memcpy(data + HEADERS4, a, ANSWER4);
	}
	return BINDING;
}

/* Answers a Binding request, or says why not. */
static subprogram enum reason answer_binding(struct xdp_md *ctx, const struct packet *p, const struct stun *request)
{
	struct ethernet *eth = (void *)(long)ctx->data;
	struct onward o = {};
	struct answer a;
	enum reason why;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return LENGTH;
	if (!is_unicast(&p->key) || eth->source[0] & bpf_htons(0x0100))
		return NO_FLOW;
	why = verify(ctx, p);
	if (why)
		return why;
	compose(&a, &p->key, request);
	turn_back(&o, p, eth);
	o.sum = sum_answer(&a);
	if (!within_limit(&p->key))
		return BINDING_LIMITED;
	why = write_headers(ctx, &o);
	return why ? why : write_answer(ctx, &a, o.six);
}
