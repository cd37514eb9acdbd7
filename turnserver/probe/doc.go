// Package probe finds out whether a TURN server works, by using it as a client does.
//
// It speaks TURN with an independent client, so that a mistake of the server's cannot
// hide behind the same mistake here. Nothing of it runs in the packet path; it may
// allocate and wait, but never longer than its context.
package probe
