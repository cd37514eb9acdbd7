// Package offload is the kernel's data plane as the rest of the server sees it: it
// decides where the program of package xdp may run, keeps the program's flows true to
// the relay table, and tells it the way to clients and peers.
//
// # What it promises
//
// Without it the server is the same, only slower. Whatever the program does not relay
// it hands up untouched, and user space answers; so an interface that cannot be used, a
// flow there is no room for and a next hop that is not known cost speed and nothing
// else. In mode auto, doubt about an interface is reason enough to leave it alone.
//
// It decides nothing about who may relay what. Package relay calls [Engine.Install] and
// the [relay.Offloaded] it returns; each flow has an end there from the start, which the
// program itself keeps, so that a process that hangs relays nothing that lapsed.
// Programs are attached by links that live as long as this process: however it dies,
// nothing stays.
//
// # Words
//
//	flow       one channel binding, and its slot in the program
//	way        from a local address to a client or a peer; many flows share one
//	hop        what a way comes to: an interface, two Ethernet addresses, a longest length
//	neighbour  the next machine on a way, by interface and IP address
//	stay       a flow stays where user space relays it
//
// # Next hops
//
// One goroutine keeps the ways: it asks the kernel for the route from the local address
// and for the neighbour, and listens to what changes, on this machine often and mostly
// elsewhere. What is heard in a moment is taken in at once: it withdraws the hops that it
// may concern, so that their packets pass, and finds them anew. Where the kernel drops
// routes and says nothing, ways are asked for again and their hops stand meanwhile; so
// are, every few seconds, ways without a hop. The kernel forgets neighbours that nobody
// in user space talks to, so those in use are reported as used every few seconds,
// which makes it probe them; one that does not answer is withdrawn. IP forwarding is
// neither needed nor switched on.
//
// # Locks and memory
//
// Engine.mu guards the flows, the slots and the ways, and is a leaf below
// relay.Allocation.mu: nothing is called under it but the program's maps. Routes and
// neighbours are asked for without it, and an answer counts only if its way has not
// been withdrawn meanwhile. A slot that a flow has left rests for a second before it is
// used again, so that no processor is still at work with the old record. The rest is the
// program's memory, as package xdp says.
package offload
