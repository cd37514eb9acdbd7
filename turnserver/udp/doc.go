// Package udp is the server's UDP sockets: datagrams in batches, without an
// allocation per datagram, on the platforms that can, and one by one on the others.
//
// # Words, smallest to largest
//
//   - packet: one datagram in a slot of memory, with room before and after it, so
//     that a header can be put on or taken off without moving the payload.
//   - run: consecutive packets from one source to one destination and of one size
//     (the last may be shorter), which the kernel can be given as one piece (GSO).
//   - entry: what one system call takes as one element: a run, or a packet alone.
//   - batch: packets read, or sent, by one call.
//
// # Who owns which memory
//
// A [Batch] owns the memory of its packets; a packet's bytes are valid until the
// batch is read into again. Writing borrows the bytes for the length of the call.
// A [Writer] is the scratch memory of one goroutine's sends and is shared with none.
//
// # Locks
//
// One in each Conn, innermost: nothing is called while it is held but the kernel.
// Writers of a relay socket hold it shared for the length of a send, so that Close
// never pulls a descriptor away from under them and no ordinary packet leaves while
// WriteDontFragment, which holds it alone, has the socket switched. Readers do not
// take it per packet. An [Options.Shared] socket's writers take no lock at all: there
// a late write is safe because Close puts a dead descriptor in the old one's place.
//
// # Fragmentation
//
// Every socket lets the network fragment what is too long for it, against the
// custom of the system: a relay cannot lower the size of what passes through it, so
// a datagram that may not be fragmented is a datagram lost. RFC 8656, section 18.9
// lets a client ask for the opposite packet by packet: [Conn.WriteDontFragment].
package udp
