// Package relay is the data plane: it moves packets between clients and peers by
// what the relay table says, and decides nothing.
//
// The control plane writes the [Table]: which five-tuple holds which [Allocation],
// which peers it permits, which channels it has bound, and until when. The data plane
// reads it, rewrites a packet's framing in place, and sends it on. What is not plain
// relaying it punts, untouched, to the control plane.
//
// A peer address that is itself a relayed transport address of this server is served
// by the hairpin turn: the packet goes from one allocation to the other inside the
// process, as if it had left one relay socket and arrived at the other, and the second
// allocation's permissions are checked the same way. Towards the server's own
// addresses nothing else is ever sent.
//
// # Who owns which memory
//
// Packets belong to the caller, who lends them to a [Worker] until [Worker.Flush]
// returns; the worker rewrites them in place, using the room around the payload. A
// Worker is one goroutine's scratch memory. Goroutines that wait for a relay socket
// hold neither a worker nor a batch: both are borrowed once there is something to read.
//
// # Locks
//
// The packet path takes none that cores share: a relay socket's writers hold its own
// lock shared, and a stream client's queue has a mutex of its own. An allocation's peers
// are an immutable snapshot behind an atomic pointer, replaced under Allocation.mu;
// lifetimes are atomic instants inside it, so that a refresh changes no map. The indexes
// by five-tuple and by relayed address are read without a lock and written under their
// own mutex.
//
// Lock order: index.mu and Allocation.mu are never held together. While Allocation.mu is
// held, the [Offload] is called, whose locks come below and are leaves; nothing else is
// called out while either is held.
//
// # Offload
//
// What relays flows below this process, in the kernel, is an [Offload]. It holds no
// decision of its own: each flow there has the end that the first of its binding, its
// permission and its allocation has, and whatever changes one of them changes the flow
// before it returns. A flow is removed before its relay socket is closed, so that a port
// lent anew never meets an old flow. Its counts are added to what is counted here.
package relay
