// Package stream is the clients that come over a byte stream: it accepts their
// connections, cuts what they send into STUN messages and ChannelData frames, and
// takes frames for them without ever making the sender wait.
//
// A stream is where a stranger can hold memory, a file descriptor and a goroutine by
// doing nothing, and where one wrong length loses every message behind it. So all
// that bounds a connection lives here, away from what the frames mean: caps per
// address and in total, a deadline for every state a client can linger in, lengths
// checked before a byte is waited for, and a bounded queue towards the client.
//
// # Words, smallest to largest
//
//   - frame: one whole STUN message, or one ChannelData message without the padding
//     that a stream adds to it (RFC 8656 §12.5).
//   - queue: the bytes of frames that [Conn.Send] took and the kernel has not.
//   - connection: one accepted [Conn], the [Session] its frames go to, one reading
//     goroutine, and one writing goroutine while the queue holds something.
//   - listener: a bound address, its connections, and their [Counters].
//
// The package speaks to [net.Listener] and [net.Conn] only: TLS and DTLS are listeners
// given to [NewListener].
//
// # Who owns which memory
//
// A connection reads into a small buffer and borrows a larger one from its listener
// only while a longer frame, or a burst, is arriving. What [Session.Frame] gets is
// valid until it returns, and is the session's to overwrite. [Conn.Send] copies, so
// its arguments are the caller's again when it returns; the queue's memory is borrowed
// too, and given back as soon as the queue is empty.
//
// # Locks
//
// Listener.mu guards the set of connections, Conn.mu one connection's queue, end and
// deadlines. Neither is held while calling out, while doing I/O, or while taking the other.
package stream
