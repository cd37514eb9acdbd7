// Package wire is the meaning of bytes: which protocol a packet belongs to, the
// ChannelData framing, the Send and Data indications, and the STUN Binding
// transaction, each read and written in place.
//
// Nothing here does I/O, keeps state or allocates. A view returned by a function
// aliases its argument. Functions that write take a buffer and say how much room
// they need. All lengths are checked before use; a malformed message is reported by
// ok == false and nothing else, because the RFCs ask for silence.
package wire
