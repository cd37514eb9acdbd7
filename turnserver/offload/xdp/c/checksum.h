/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Internet checksums (RFC 1071, RFC 1624). A sum is of 32-bit words, unfolded, in 64
 * bits that never overflow here; taking a word away is adding its complement. The byte
 * order of the words does not matter as long as it is one.
 */

static inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

static inline __u64 sum_address(const __be32 *a) { return (__u64)a[0] + a[1] + a[2] + a[3]; }

/* Two 16-bit words, as they lie next to each other in memory. */
static inline __u64 pair(__be16 first, __be16 second) { return (__u64)first + second; }

/* What of the pseudo-header is no address (RFC 768). */
static inline __u64 sum_pseudo(__be16 udp_length) { return pair(bpf_htons(PROTOCOL_UDP), udp_length); }

/* For sums taken away: there are at most 2^32 words in a sum. */
#define ONES (0xFFFFFFFFULL << 16)

static inline __u64 without(__u64 sum, __u64 part) { return sum + ONES - part; }

/* The checksum field for a UDP datagram of that sum: zero means none (RFC 768). */
static inline __u16 udp_checksum(__u64 sum)
{
	__u16 checksum = ~fold(sum);

	return checksum ? checksum : 0xFFFF;
}

/* The longest datagram, UDP header included, that is summed whole. */
#define LONGEST_SUM 2047

#define STEP(bytes)                                                                                \
	if (length & (bytes)) {                                                                    \
		if (at + (bytes) > end)                                                            \
			return -1;                                                                 \
		sum += sum_step(at, bytes);                                                        \
		at += (bytes);                                                                     \
	}

/* Sums a constant number of bytes: a few here, where a call would take longer. */
static inline __u64 sum_step(__u8 *at, const __u32 bytes)
{
	const __be32 *w = (void *)at;
	__u64 sum = 0;

	if (bytes > 32)
		return (__u32)bpf_csum_diff(0, 0, (__be32 *)at, bytes, 0);
#pragma unroll
	for (__u32 i = 0; i < bytes / sizeof(*w); i++)
		sum += w[i];
	return sum;
}

/*
 * Returns the sum of a datagram of so many bytes, from its UDP header on, or -1. Packet
 * pointers move by constants alone, which is all that a process without CAP_PERFMON may
 * ask of the verifier; hence a step for each bit of the length. A function of its own is
 * verified once.
 */
__attribute__((noinline)) __s64 datagram_sum(struct xdp_md *ctx, __u32 length, __u32 six)
{
	__u8 *at = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	__s64 sum = 0;

	if (length > LONGEST_SUM)
		return -1;
	at += sizeof(struct ethernet) + sizeof(struct ip4);
	if (six) {
		at += sizeof(struct ip6) - sizeof(struct ip4);
		asm volatile("" : "+r"(at)); /* or the compiler would add a variable */
	}
	if (length & 1024) {
		if (at + 1024 > end)
			return -1;
		/* Before Linux 6.13 a step may have 512 bytes. */
		sum += sum_step(at, 512);
		sum += sum_step(at + 512, 512);
		at += 1024;
	}
	STEP(512)
	STEP(256)
	STEP(128)
	STEP(64)
	STEP(32)
	STEP(16)
	STEP(8)
	STEP(4)
	if (length & 2) {
		if (at + 2 > end)
			return -1;
		sum += *(__be16 *)at;
		at += 2;
	}
	if (length & 1) {
		if (at + 1 > end)
			return -1;
		sum += bpf_htons(*at << 8);
	}
	return sum;
}
