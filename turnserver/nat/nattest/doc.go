// Package nattest is an Internet in memory for tests: hosts, NATs with any behaviour
// of RFC 4787, firewalls, links that lose and delay.
//
// It is made for testing/synctest: all waiting is by package time, so that in a bubble
// minutes of a mapping's life pass at once and nothing depends on how fast the machine
// is. Everything is safe for concurrent use. Packets are copied on their way.
//
// A packet goes from a host's socket out through the NATs around the host, over the
// Internet, where it may be lost, and in through the NATs around its destination. Each
// NAT has a lock of its own, and none is held while another is taken.
package nattest
