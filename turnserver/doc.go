// Package turnserver is the STUN and TURN server: it binds the sockets, joins the
// data plane to the control plane, and starts and stops both in the right order.
//
// # How it fits together
//
//	          listening sockets                          relayed transport addresses
//	        ┌───────────┐   channel bound, permitted    ┌──────────────────────┐
//	client ▶│ udp, one  │─▶ relay.Worker: look up, ────▶│ the allocation's     │▶ peer
//	       ◀│ per core  │◀─ rewrite in place ◀──────────│ udp.Conn             │◀
//	        └────┬──────┘        ▲ relay to relay stays inside: the hairpin turn
//	  stream, TCP│               │
//	             ▼ all else      │ relay.Table
//	        control.Server.Handle ─┘ ─▶ reply
//
// One goroutine reads each listening UDP socket; it owns a batch, a relay.Worker and
// the memory of its replies, and shares none. Each TCP connection has a goroutine of
// package stream, which borrows a worker per frame. Each allocation has one that waits
// for its relay socket, and borrows worker and batch only once something has arrived.
//
// Below all this the kernel may relay what the table says, before a packet comes to any
// socket: package offload has the table's flows relayed there as far as the machine
// allows. What it does not relay comes up as ever.
//
// # Who may import whom
//
// wire, credentials: the standard library only. udp: no other package of ours. relay:
// udp and wire. stream, nat: none of ours but wire. control: relay, wire, credentials.
// offload: relay.
// This package: all of these. A test keeps it so.
//
// Unlike the first sketch of the architecture, control imports credentials itself:
// the refusals of both have one vocabulary, and an interface between them would only
// have had one implementation.
//
// # Order of stopping
//
// No new allocations; those that live end, or the time to drain passes; streams close,
// which ends their allocations; then the remaining allocations, the kernel's data plane,
// and the listening sockets, whose readers flush what they hold. A listening socket is closed only after
// every goroutine that writes to it has ended. The memory that the kernel's data plane
// shares is given back last, when no reader is left to use it.
package turnserver
