// Command hairpin is a STUN and TURN server with all that a call needs around it, and
// the tools to look after one: a verb is a file, and each file only reads flags, calls
// a package and prints what it says.
//
// Results go to stdout and words to stderr, so that the output of a verb can be piped.
// Every result can be had as JSON, made from the same struct as the text. A verb gets
// its streams, clock and environment as [deps], and nothing in this package is global.
package main
