// Package signaling introduces the members of a room to each other over WebSocket: it carries offers,
// answers and candidates between them and hands each the ICE servers to use, and never sees media.
//
// # Words, smallest to largest
//
//   - frame: one encoded message, ready to be written to a socket.
//   - peer: the server's end of one WebSocket.
//   - seat: a membership. It has a peer, or waits for one after a socket was lost.
//   - journal: the frames of a seat that may have been lost with its socket.
//   - room: the members that may write to each other, in the order in which they joined.
//   - event: something that changes a room or passes through it: join, leave, forward, lock, remove.
//   - bus: carries a room's events, in one order, to every hub that serves the room.
//   - hub: all rooms and sockets of one process, behind one [http.Handler].
//
// # How a message travels
//
// The reader of a socket parses and checks a message ([ParseMessage]), and publishes it on the [Bus]
// as an [Event] under the room's name. The room hears the event like everybody else, applies it, and
// puts frames into the outboxes of the members this process serves, through their seats. Because all hear a room's events
// in the same order, the members a newcomer is told of and the members who are told of the newcomer
// are the same ones. A hub that shares its bus with hubs that started before it would still have to
// ask them who is in a room; the in-process bus has no such others.
//
// # What a client can rely on
//
// PROTOCOL.md, in this directory, has the messages, the reasons and the close codes. A joiner gets room-users, then ice-servers, and ice-servers again before they expire; the others get
// user-joined, and user-left however the member ended. The server makes the ids and stamps them on
// what it forwards; a message names its addressee's id or goes to all other members, and never leaves
// its room. The SDP arrives as it was sent, and so does the candidate, with whatever members the object
// has; other members that this package does not know, of a message or of a description, are not
// forwarded. What is refused is answered by an error message with a [Reason]; the reason also says
// whether, and with which code, the socket is closed then. One socket joins one room, once; leave
// closes it with 1000.
//
// Who asks for it keeps its membership for [Limits.Grace] when its socket is lost. Both ends count what
// they got, so what was under way either way is sent again, once. A seat keeps what was sent since the
// last ping that was answered, and no more than [Limits] allow; who missed more than that has to join
// anew. That is shared by all senders: one that sends all it may for seconds costs a member that is away its
// resumption, and nobody else. A process that ends forgets its seats, and a hub does not resume what another one served.
//
// A [Member] may publish and moderate if [Config.Authorize] says so. A moderator locks a room, which
// ends with its last moderator, and removes users, who are kept out of that room for
// [Limits.RemovedFor] and whom [Config.Removed] is told of. A user is known by its tenant and room too:
// one of the same name elsewhere is another one.
//
// # Who may connect
//
// A browser says which page opened the socket, so the Origin is checked before the upgrade: the same
// host, or one listed in [Config.AllowedOrigins]. A client without Origin is no browser; it must show a
// bearer token, unless [Config.OriginOptional]. Who may join which room is for [Config.Authorize] to
// say, with the token of the join message or the Authorization header; tokens in the URL are refused.
// A handler in front of the hub has to check the Host header where names could be rebound to it.
//
// # Memory and goroutines
//
// A frame belongs to nobody once made, and is never changed: members share it. A socket costs three
// goroutines: the HTTP handler's own, which keeps time and cleans up, a reader and a writer. Nobody
// waits for a member who does not read: its outbox is bounded, and whoever lets it fill up is closed. One
// sender cannot fill it: each has a share, and what is beyond is refused to the sender. Who sends in bursts
// is held back, briefly, while writers catch up, so that a busy server is not taken for slow readers.
//
// # Locks, in the order in which they may be taken
//
//  1. seat.acting, held while one message of its client is acted on.
//  2. a bus's lock of one room, held while handlers apply an event: it is what makes the order.
//  3. room.mu, which guards the members of a room.
//  4. seat.mu, which guards whose socket the seat has and what that was sent.
//  5. Hub.mu, addresses.mu, removals.mu and outbox.mu, each the last.
//
// Nothing is called out to, written to or waited for while one of 3 to 5 is held; peer.send and
// peer.end, which are called under seat.mu, never block.
package signaling
