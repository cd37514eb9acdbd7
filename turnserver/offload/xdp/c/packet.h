/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is asked of a frame before anything is looked up: that it is a whole UDP datagram
 * to this interface, and that its lengths agree to the byte.
 */

/*
 * Set before loading, where the kernel has bpf_xdp_get_buff_len (Linux 5.18). Without
 * it lengths take pointer arithmetic, and that takes CAP_PERFMON.
 */
const volatile __u8 has_length_helper;

static inline __u64 frame_length(struct xdp_md *ctx)
{
	__u64 start, end;

	if (has_length_helper)
		return bpf_xdp_get_buff_len(ctx);
	/* In assembly, or the compiler would do it before the question. */
	start = ctx->data;
	end = ctx->data_end;
	asm volatile("%0 -= %1" : "+r"(end) : "r"(start));
	return end;
}

/* No reason to pass has been found yet. */
#define FINE TO_PEER

/* A datagram to this machine. */
struct packet {
	struct key key;
	struct udp *udp;
	__u64 mac; /* of the interface */
	__u16 interface_flags;
	__be16 length; /* of the datagram, UDP header included */
	__u16 payload; /* of the datagram without it, in host order */
};

static inline __u64 mac_of(const __u16 *words)
{
	return (__u64)words[0] | (__u64)words[1] << 16 | (__u64)words[2] << 32;
}

/* Whether the interface is known and the frame is for it alone. */
static inline enum reason check_interface(struct xdp_md *ctx, struct packet *p, const struct ethernet *eth)
{
	__u32 index = ctx->ingress_ifindex % INTERFACES;
	struct interface *known = bpf_map_lookup_elem(&interfaces, &index);
	__u64 mac;

	if (!known || *(volatile __u64 *)&known->index != ctx->ingress_ifindex)
		return UNCONFIGURED;
	mac = *(volatile __u64 *)&known->mac;
	p->mac = mac & MAC_MASK;
	p->interface_flags = mac >> MAC_BITS;
	return mac_of(eth->destination) == p->mac ? FINE : FOREIGN_MAC;
}

static inline enum reason check_ip4(const struct ip4 *ip)
{
	const __be32 *words = (const void *)ip;

	if (ip->version_length != IP4_PLAIN)
		return OPTIONS;
	if (ip->fragment & IP4_MORE_OR_OFFSET)
		return FRAGMENT;
	if (fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) != 0xFFFF)
		return CHECKSUM;
	return FINE;
}

static inline enum reason read_udp(struct xdp_md *ctx, struct packet *p, struct udp *udp, __u32 ip_end, __u32 after_ip)
{
	__u32 length;

	if ((void *)(udp + 1) > (void *)(long)ctx->data_end)
		return LENGTH;
	length = bpf_ntohs(udp->length);
	if (length != after_ip || length < sizeof(*udp))
		return LENGTH;
	p->udp = udp;
	p->length = udp->length;
	p->payload = length - sizeof(*udp);
	p->key.remote_port = udp->source;
	p->key.local_port = udp->destination;
	p->key.channel = 0;
	return frame_length(ctx) == ip_end + length ? FINE : LENGTH;
}

static inline enum reason read4(struct xdp_md *ctx, struct packet *p, struct ethernet *eth)
{
	struct ip4 *ip = (void *)(eth + 1);
	enum reason why;

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->protocol != PROTOCOL_UDP)
		return NOT_UDP;
	why = check_interface(ctx, p, eth);
	if (why)
		return why;
	why = check_ip4(ip);
	if (why)
		return why;
	p->key.six = 0;
	p->key.remote[0] = ip->source[0];
	p->key.remote[1] = p->key.remote[2] = p->key.remote[3] = 0;
	p->key.local[0] = ip->destination[0];
	p->key.local[1] = p->key.local[2] = p->key.local[3] = 0;
	return read_udp(ctx, p, (void *)(ip + 1), sizeof(*eth) + sizeof(*ip), bpf_ntohs(ip->length) - sizeof(*ip));
}

static inline void copy_address(__be32 *to, const __be32 *from)
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static inline enum reason read6(struct xdp_md *ctx, struct packet *p, struct ethernet *eth)
{
	struct ip6 *ip = (void *)(eth + 1);
	enum reason why;

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->next != PROTOCOL_UDP)
		return NOT_UDP;
	why = check_interface(ctx, p, eth);
	if (why)
		return why;
	if ((ip->version_class_label & bpf_htonl(0xF0000000)) != IP6_PLAIN)
		return OPTIONS;
	p->key.six = 1;
	copy_address(p->key.remote, ip->source);
	copy_address(p->key.local, ip->destination);
	return read_udp(ctx, p, (void *)(ip + 1), sizeof(*eth) + sizeof(*ip), bpf_ntohs(ip->length));
}

/* Reads a frame; anything but FINE is why it passes. */
static inline enum reason read_packet(struct xdp_md *ctx, struct packet *p)
{
	struct ethernet *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return NOT_UDP;
	if (eth->type == TYPE_IP4)
		return read4(ctx, p, eth);
	if (eth->type == TYPE_IP6)
		return read6(ctx, p, eth);
	return NOT_UDP;
}

/*
 * Finds the sum of a datagram as its sender meant it. A checksum that was left to a
 * device is the sum of the pseudo-header alone.
 */
static inline enum reason sum_packet(struct xdp_md *ctx, const struct packet *p, __u64 *sum)
{
	__u64 pseudo = sum_address(p->key.remote) + sum_address(p->key.local) + sum_pseudo(p->length);
	__u16 checksum = p->udp->checksum;
	__s64 whole;

	*sum = (__u16)~checksum;
	if (checksum != fold(pseudo))
		return FINE;
	if (p->interface_flags & CHECKSUMS_LATER)
		return CHECKSUM_LEFT;
	whole = datagram_sum(ctx, bpf_ntohs(p->length), p->key.six);
	*sum = whole;
	return whole < 0 ? CHECKSUM_LEFT : FINE;
}
