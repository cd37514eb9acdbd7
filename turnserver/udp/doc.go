// Package udp is the server's UDP sockets: datagrams in batches, without an
// allocation per datagram, on the platforms that can, and one by one on the others.
//
// # Words, smallest to largest
//
//   - packet: one datagram in a slot of memory, with room before and after it, so
//     that a header can be put on or taken off without moving the payload.
//   - run: consecutive packets to one destination and of one size (the last may be
//     shorter), which the kernel can be given as one piece (GSO).
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
// None. A socket's readers and writers meet in the kernel only. Close waits for no
// one, except that a socket which is not [Options.Shared] is closed under the writers'
// feet safely: a late write gets [net.ErrClosed], never another socket's descriptor.
package udp
