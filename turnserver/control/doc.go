// Package control is the control plane: it answers STUN and TURN requests, and alone
// decides who may relay what.
//
// [Server.Handle] is given the time, where a message came from, and its bytes, and
// returns the reply. It does no I/O of its own: what it decides becomes changes of the
// relay table, and relay sockets come from a function it is given. With a fake clock
// and fake sockets every case of the RFCs is a table test.
//
// An unauthenticated request leaves nothing behind: nonces are computed, not kept.
// There is no goroutine and no runtime timer per allocation; one timer wheel, advanced
// by [Server.Tick], ends what has lapsed, and every lookup checks lifetimes itself, so
// that a late tick changes no answer.
//
// # Who owns which memory
//
// Messages and replies belong to the caller. Handle writes its reply to a buffer the
// caller lends it, and keeps nothing of either.
//
// # Locks
//
// Server.mu guards allocations, quotas, ports, reservations and the wheel, and is taken
// after a request has been authenticated, never before: an unauthenticated flood waits
// for nobody. Under it, the relay table's own locks are taken (control before relay),
// and relay sockets are opened and closed.
package control
