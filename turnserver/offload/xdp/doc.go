// Package xdp is the kernel's share of the data plane: one eBPF program for the kernel's
// express data path, and the maps that tell it what to relay. It knows what a packet is
// and nothing of sockets, routes or lifetimes; package offload does, and fills the maps.
//
// # What the program does
//
// It relays ChannelData of clients on UDP to their peers, datagrams of bound peers to
// the clients as ChannelData, and both at once where the peer is a relayed transport
// address of this server (the hairpin turn). It answers STUN Binding requests that have
// no attributes. Every other frame passes on to the network stack.
//
// It decides first and writes afterwards: no byte of a frame changes before the last
// check that can fail, and a frame that passes is the frame that came. So user space
// answers for all that is unusual, as if there were no program: fragments, IP options,
// extension headers, unbound channels, lapsed permissions, lengths that disagree,
// unknown next hops, packets too long for their link. Each frame ends with one [Reason],
// which is counted.
//
// # Words
//
//	flow     one channel binding of a client on UDP, as the program sees it
//	slot     where a flow's record is kept; small numbers, chosen by the caller
//	record   all the program needs to relay a flow both ways
//	key      what a frame of a flow looks like, on its client's or its peer's side
//	hop      the next machine on the way, and the interface that leads there
//	local    the form a relayed transport address has on this machine, behind a 1:1 NAT
//
// # Headers
//
// Of the behaviours that RFC 8656 §14 and §15 allow, both data planes follow those a UDP
// socket gives: nothing is copied from the packet that came. TTL and hop limit are 64,
// DSCP and ECN are zero, the DF bit is not set and each IPv4 packet has a random
// identification, and the IPv6 flow label is zero. UDP checksums are updated rather than
// made anew, so that one that was wrong stays wrong; between IPv4 sides a zero checksum
// stays zero. A frame whose sender left the checksum to a device that does not exist, as
// on virtual links, gets a whole one, or passes if it is a datagram of 2 kB or more. On
// loopback what goes to a peer over IPv4 has none, and over IPv6 passes: the kernel would
// look for it in the wrong place.
//
// # Who owns which memory
//
// Records, counters and the slots of the rate limit are maps that this process has
// mapped as well: Go changes them in place, by words that do not tear, while the program
// reads. A frame given to [Program.Run] stays the caller's.
//
// A slot has one writer at a time, which the caller sees to. A record becomes valid with
// the last word of [Program.Set] and invalid with the first of [Program.Clear]; between
// Clear and another Set at least a second must pass, so that no processor is still at
// work with the old one. Of a hop, too, the first word is withdrawn before the others
// change. Keys hold the generation of their record, and the program
// compares the whole tuple, so that a key that outlives its record relays nothing.
//
// # Privileges
//
// Loading takes CAP_BPF and CAP_NET_ADMIN, before Linux 5.18 CAP_PERFMON as well. It is
// worth having always: for a process without it the kernel guards the program's stack
// against speculation, and a run takes twice the time (measured on Linux 6.18 in 2026).
// Nothing is pinned: with the process, the program and its maps are gone.
package xdp
