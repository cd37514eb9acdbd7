// Package limit bounds how many answers a second go to one source, and to all of them
// together, in memory of a fixed size: a flood from any number of forged sources makes
// it no larger and no slower.
//
// A source is an IPv4 address or an IPv6 /64; the port does not count, since whoever
// forges one forges the other. Each source has a slot of a table by a keyed hash of its
// address, and so shares it with few others that nobody can choose. A slot is a single
// number, the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371):
// when the source's budget will be whole again. There is no lock, no timer and no list
// of sources, and [Table.Take] allocates nothing.
//
// # The table, for those who share it
//
// The slots may be memory that the kernel's data plane works on too, so that a source
// has one budget whichever path answers it. They are 2^n+1 unsigned 64-bit numbers in
// the host's byte order: one for each value of the hash, then the one of all sources
// together. [Parameters] are what the other side needs besides. For a source of key K
// at the time now:
//
//	x = K ^ Keys[0]
//	x = (x ^ x>>32) * (Keys[1] | 1)
//	x = (x ^ x>>32) * 0x9E3779B97F4A7C15
//	slot = (x ^ x>>32) & Mask
//
//	tat = max(slots[slot], now)
//	refused    if tat - now > Tolerance
//	otherwise  slots[slot] = tat + Interval
//
// and then the same with the slot of the total, its Interval and its Tolerance. All
// arithmetic is modulo 2^64; an Interval of zero means no limit, and touches no slot.
// The key K is 2^32 * 0xFFFF plus the IPv4 address, or the first 64 bits of the IPv6
// address, both read in network order. The time is in nanoseconds, never goes back, and
// is one for all who share the slots.
//
// Here a slot changes by compare and swap. A side that can only read and write lets
// through at most one answer more for each core that does so at the same moment.
package limit
