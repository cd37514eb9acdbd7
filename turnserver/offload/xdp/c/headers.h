/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The headers of a frame, in 16-bit and 32-bit words that are aligned wherever the
 * network stack would have them aligned. All in network order.
 */

struct ethernet {
	__u16 destination[3];
	__u16 source[3];
	__be16 type;
};

struct ip4 {
	__u8 version_length; /* of the header, in words of 32 bits */
	__u8 traffic_class;  /* DSCP and ECN */
	__be16 length;       /* of the packet */
	__be16 identification;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__be32 source[1];
	__be32 destination[1];
};

struct ip6 {
	__be32 version_class_label;
	__be16 length; /* of what follows this header */
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
};

struct udp {
	__be16 source;
	__be16 destination;
	__be16 length; /* of this header and what follows it */
	__u16 checksum;
};

/* RFC 8656 §12.4 */
struct channel_data {
	__be16 channel;
	__be16 length; /* of what follows this header */
};

/* RFC 8489 §5 */
struct stun {
	__be16 type;
	__be16 length; /* of what follows this header */
	__be32 cookie;
	__be32 transaction[3];
};

#define TYPE_IP4 bpf_htons(0x0800)
#define TYPE_IP6 bpf_htons(0x86DD)
#define PROTOCOL_UDP 17

#define IP4_PLAIN 0x45 /* version 4, no options */
#define IP4_MORE_OR_OFFSET bpf_htons(0x3FFF)
#define IP6_PLAIN bpf_htonl(0x60000000) /* version 6, best effort, no flow label */
#define HOPS 64

/* Of every frame with such headers; a constant for the verifier. */
#define HEADERS4 (sizeof(struct ethernet) + sizeof(struct ip4) + sizeof(struct udp))
#define HEADERS6 (sizeof(struct ethernet) + sizeof(struct ip6) + sizeof(struct udp))

#define inline __attribute__((always_inline)) inline

/* A function with a stack of its own: one for all would be larger than the 512 bytes. */
#define subprogram __attribute__((noinline))
