/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What user space tells the program, and what the program counts. Numbers of packets
 * are in network order, all others in the host's. User space writes the fields of
 * mapped arrays one by one: each is a word that does not tear.
 */

/* An IPv4 address is the first word, and the others are zero. */
typedef __be32 address[4];

/* What a frame of a flow looks like: where from, where to. */
struct key {
	address remote;
	address local;
	__be16 remote_port;
	__be16 local_port;
	__be16 channel; /* zero on the peer's side */
	__u16 six;
};

/* Where the record of a key is: the slot, and above it which use of the slot is meant. */
typedef __u64 place;

#define MAC_BITS 48
#define MAC_MASK ((1ULL << MAC_BITS) - 1)

enum record_flags {
	CLIENT_IS_6 = 1 << 0, /* and so is the server's address */
	PEER_IS_6 = 1 << 1,   /* and so is the relayed address */
	PEER_IS_CLIENT = 1 << 2,
	HAS_KEYS = 1 << 15, /* user space's own note */
};

/* All it takes to relay a flow both ways, on two cache lines. */
struct record {
	__u64 expires; /* CLOCK_MONOTONIC, in ns; zero where there is no flow */
	__u32 generation;
	__be16 channel;
	__u16 flags;

	__be16 client_port;
	__be16 server_port;
	__be16 relayed_port;
	__be16 peer_port;

	/* The next machine's MAC, and above it the longest IP packet; zero if unknown. */
	__u64 client_hop;
	__u64 peer_hop;
	/* The MAC of the interface that leads there. */
	__u64 client_source;
	__u64 peer_source;
	__u32 client_interface;
	__u32 peer_interface;

	address client;
	address server;
	address relayed;
	address peer;
};

/* What has been relayed, framing aside. */
struct counts {
	__u64 packets;
	__u64 bytes;
};

/* A cache line, because different processors may count for the directions of a flow. */
struct line {
	struct counts counts;
	__u64 apart[6];
};

enum interface_flags {
	MERGES = 1 << 0,
	CHECKSUMS_LATER = 1 << 1,
	SYMMETRIC = 1 << 2,
	ONE_FAMILY = 1 << 3,
};

struct interface {
	__u64 mac; /* and above it the flags */
	__u64 index;
};

/* A local address that Binding requests to are answered. */
struct service {
	address local;
	__be16 port;
	__u16 six;
};

/* As limit.Parameters. */
struct limit {
	__u64 keys[2];
	__u64 mask;
	__u64 interval, tolerance;
	__u64 total_interval, total_tolerance;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct key);
	__type(value, place);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

/* For each slot two: to the peer, and to the client. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct line);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, struct counts);
} totals SEC(".maps");

/* By the low bits of its index, since an array is faster than a hash table. */
#define INTERFACES 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, INTERFACES);
	__type(key, __u32);
	__type(value, struct interface);
} interfaces SEC(".maps");

/* The interfaces that frames may leave by which came in by another. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} egress SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, __u8);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct limit);
} limits SEC(".maps");

/* Theoretical arrival times, one for each value of the hash, then that of all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrivals SEC(".maps");

/* What the clock showed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} clock SEC(".maps");
