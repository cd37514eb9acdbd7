// Package nat is what NATs and firewalls do to UDP, in the words of RFC 4787: the
// vocabulary, the server's part in finding it out (RFC 5780), and the client's.
//
// # Words
//
// A mapping is the external transport address a NAT gives to an internal one. Mapping
// behaviour says how long the same one is used, filtering behaviour whose packets to
// it are let in. Both have the same three kinds (RFC 4787 §4.1, §5):
//
//	endpoint-independent        one mapping for all destinations; anyone is let in
//	address-dependent           one per destination IP; who was sent to, from any port
//	address-and-port-dependent  one per destination IP and port; exactly who was sent to
//
// The popular names mix the two, and so say less:
//
//	full cone             endpoint-independent mapping, endpoint-independent filtering
//	restricted cone       endpoint-independent mapping, address-dependent filtering
//	port-restricted cone  endpoint-independent mapping, address-and-port-dependent filtering
//	symmetric             any other mapping
//
// Hairpinning is a NAT turning a packet back that goes from one of its own clients to
// another's mapping (RFC 4787 §6).
//
// # The responder
//
// [Responder] decides, without I/O, what answers a Binding request, from which of the
// server's addresses and to where. It keeps no state, allocates nothing and is safe for
// concurrent use. An answer is never longer than its request by more than the addresses
// in it, PADDING included.
//
// # Discovery
//
// [Discover] runs the tests of RFC 5780 §4 and some more against a server that it does
// not trust. Each conclusion from silence is drawn from several packets, and where a
// control shows that the server does answer. What cannot be found out is named, with
// the reason. One goroutine reads each socket and hands on the packets whose
// transaction is known; all others are dropped there, so no server can fill memory.
// Locks: none is held while another is taken.
package nat
