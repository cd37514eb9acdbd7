// Package bench loads a TURN server, any vendor's, and measures what it relays, at
// what delay and at what cost. Only what was delivered counts, never what was sent.
//
// # Words, smallest to largest
//
//   - flow: one direction between a client and its peer, or between two clients, with
//     sequence numbers of its own.
//   - burst: packets of one flow sent back to back.
//   - load: what is sent in one run: a mode, a size, a rate, a time.
//   - fleet: the clients with an allocation each, and the peers, that carry a load.
//
// # How it measures
//
// Both ends of every flow are in this process, so one clock tells the one-way delay:
// a payload carries the time it was handed to the kernel, and its sequence number tells
// loss from reordering and duplication. A [Process] gives the processor time and memory
// of a server that runs on this machine.
//
// What the kernel does for a server, and all that an XDP program does, is in no process.
// So the machine is measured too, and [Fleet.Baseline], the same load from the same
// sockets past the server, says how much of that is the generator's. A [Sink] keeps that
// part small: it receives in the kernel.
//
// The generator has to outrun the server, or it measures itself: [Report.Limit] says
// which of them was the limit. Give it processors that the server does not use, and a
// GOMAXPROCS of two or more: one thread sends, and sleeps in the kernel rather than spin
// until the next packet is due; others receive, one goroutine a socket.
//
// # Memory and locks
//
// Nothing is allocated per packet. What is sent is built in memory the sender owns;
// what is received is read into batches from a pool and gone when handled. Receivers
// and sender share counters that are atomic. What a client sends over TCP or TLS is
// copied into a bounded queue, which a goroutine of the connection writes, so that a slow
// connection does not hold up the sender.
//
// There are two locks, neither taken while the other is held, nor held for a call: one in
// each client guards the transaction under way, one in each connection its queue.
package bench
