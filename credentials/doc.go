// Package credentials mints and checks the short-lived credentials of a TURN server.
//
// An issuer and the server share a secret. The username carries its own expiry, and
// the password is a MAC of the username, so the server needs no user database and no
// word with the issuer (the TURN REST draft, draft-uberti-behave-turn-rest-00 §2.2):
//
//	username = EXPIRY ":" USER                   EXPIRY in seconds since 1970
//	password = base64(HMAC-SHA1(secret, username))
//
// The package is pure. It opens no file, speaks no HTTP and has no clock: the time is
// an argument. The long-term key MD5(username ":" realm ":" password) of RFC 8489
// §9.2.2 belongs to the control plane, which knows the realm.
//
// # Words
//
//   - secret: the key of the HMAC, known to issuer and server, never sent.
//   - credential: a username and its password, good until the expiry.
//   - user: the opaque part of the username after the first colon.
//   - candidate: the password one secret gives a username. While secrets rotate there
//     are several, newest secret first.
//
// # Who owns which memory
//
// A [Secret] is immutable and shared freely. A [Secrets] copies the slice it is given.
//
// # Locks
//
// None. [Secrets] swaps an immutable slice atomically, so a rotation never makes a
// request wait, and every request sees either all old or all new secrets.
package credentials
