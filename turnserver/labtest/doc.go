// Package labtest builds networks of Linux network namespaces for tests: hosts, the
// links between them, and the kinds of network that clients are found in, made by the
// kernel's own NAT. So a test sees what a deployment would.
//
// # An Internet
//
// [Lab.Internet] makes a server's host with two addresses in each family, and a router
// in the middle. [Internet.Attach] adds a client behind one [Network]:
//
//	server ── core ──┬── box ── client
//	                 └── box ── box ── client
//
// A box runs one file of rules for nft. The files are in the folder networks, with
// networks.json, which says what each network is made of and what is to be found out
// of it, in the words of package nat. In the rules the interfaces are called "inside"
// and "outside", and the addresses at both ends of the path through a box are
// $INSIDE4, $INSIDE6 (the neighbour inside) and $OUTSIDE4, $OUTSIDE6 (its own; a second
// of each family is $OUTSIDE4B, $OUTSIDE6B). The browser tests build the same networks
// from the same files (web/e2e/lib/lab.js); who adds one adds it for both.
//
// Plain masquerading is a port-restricted cone that preserves ports. What Linux does
// not have by itself the rules make up, each file saying how.
//
// # Who holds what
//
// A namespace has no name and is held by the test's process alone; a program run in
// one dies with that process. So nothing is left behind, however the test ends: by its
// end, a panic, or a signal that cannot be caught.
//
// A [Lab] and its hosts may be used by several goroutines, an [Internet] by one. The
// lab closes by the test's Cleanup; hosts and links are not to be used after that.
//
// It needs root and exists on Linux only; elsewhere the package only has the list of
// [Networks].
package labtest
