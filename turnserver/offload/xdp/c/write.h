/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is written into a frame that leaves: its headers, whole. Nothing is kept of those
 * it came with (RFC 8656 §14, §15: the alternate behaviours).
 */

static inline void write_mac(__u16 *words, __u64 mac)
{
	words[0] = mac;
	words[1] = mac >> 16;
	words[2] = mac >> 32;
}

static inline void write_ethernet(struct ethernet *eth, const struct onward *o, __be16 type)
{
	write_mac(eth->destination, o->hop);
	write_mac(eth->source, o->hop_source);
	eth->type = type;
}

/* The sum is of the values: reading them back from the frame would wait for the stores. */
static inline void write_ip4(struct ip4 *ip, const struct onward *o, __u16 udp_length)
{
	__be16 length = bpf_htons(sizeof(*ip) + udp_length);
	__u16 identification = bpf_get_prandom_u32();
	__be32 source = o->source[0], destination = o->destination[0];
	__u64 sum = pair(bpf_htons(IP4_PLAIN << 8), bpf_htons(HOPS << 8 | PROTOCOL_UDP));

	sum += pair(length, identification) + source + destination;
	ip->version_length = IP4_PLAIN;
	ip->traffic_class = 0;
	ip->length = length;
	ip->identification = identification;
	ip->fragment = 0;
	ip->ttl = HOPS;
	ip->protocol = PROTOCOL_UDP;
	ip->checksum = ~fold(sum);
	ip->source[0] = source;
	ip->destination[0] = destination;
}

static inline void write_ip6(struct ip6 *ip, const struct onward *o, __u16 udp_length)
{
	ip->version_class_label = IP6_PLAIN;
	ip->length = bpf_htons(udp_length);
	ip->next = PROTOCOL_UDP;
	ip->hop_limit = HOPS;
	copy_address(ip->source, o->source);
	copy_address(ip->destination, o->destination);
}

/* Writes the UDP header, and the framing where the packet is to have it. */
static inline enum reason write_udp(struct udp *udp, void *end, const struct onward *o, __u16 length)
{
	struct channel_data *c = (void *)(udp + 1);
	__u64 sum = o->sum + sum_address(o->source) + sum_address(o->destination);

	if (o->channel) {
		if ((void *)(c + 1) > end)
			return BROKEN;
		c->channel = o->channel;
		c->length = bpf_htons(o->length);
		sum += pair(c->channel, c->length);
	}
	udp->source = o->source_port;
	udp->destination = o->destination_port;
	udp->length = bpf_htons(length);
	sum += sum_pseudo(udp->length) + pair(udp->source, udp->destination) + udp->length;
	udp->checksum = o->unchecked ? 0 : udp_checksum(sum);
	return FINE;
}

/* Makes the room and writes the headers. NO_HEADROOM has changed nothing. */
static inline enum reason write_headers(struct xdp_md *ctx, const struct onward *o)
{
	__u16 length = sizeof(struct udp) + o->length;
	struct ethernet *eth;
	void *end, *ip;

	if (o->growth && bpf_xdp_adjust_head(ctx, -o->growth))
		return NO_HEADROOM;
	if (o->channel)
		length += sizeof(struct channel_data);
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = eth + 1;
	if (o->six) {
		if (ip + sizeof(struct ip6) + sizeof(struct udp) > end)
			return BROKEN;
		write_ethernet(eth, o, TYPE_IP6);
		write_ip6(ip, o, length);
		return write_udp(ip + sizeof(struct ip6), end, o, length);
	}
	if (ip + sizeof(struct ip4) + sizeof(struct udp) > end)
		return BROKEN;
	write_ethernet(eth, o, TYPE_IP4);
	write_ip4(ip, o, length);
	return write_udp(ip + sizeof(struct ip4), end, o, length);
}
