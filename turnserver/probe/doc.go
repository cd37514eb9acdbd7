// Package probe finds out whether a STUN or TURN server works, by using it as a client
// does, and says what it found in words. [Server] tests a server of any vendor step by
// step; [Loop] only relays one packet through a server of ours.
//
// Loop speaks TURN with an independent client, pion's, so that a mistake of the server's
// cannot hide behind the same mistake here. Server does not: that client keeps error
// codes, reason phrases and attributes to itself, chooses between indications and
// channels on its own, and waits for ever on a stream whose lengths lie. What Server
// uses instead is a client of its own, which takes nothing from a server on trust.
//
// Nothing of this package runs in the packet path; it may allocate and wait, but never
// longer than its context. A probe sends data to nobody but the server and itself.
//
// # The result as JSON
//
// A [Result] has the verdict (healthy, incomplete, fault, unreachable) and steps in the
// order they were taken. A [Step] has a name, a status (ok, fault, unknown, skipped), a
// stable reason unless the status is ok, words for people, which may change, and details
// for programs, of a type of its own:
//
//	dns             DNSDetails
//	reachability    a list of AddressDetails, in the order of the resolver
//	certificate     CertificateDetails; for stuns: and turns: only
//	binding         BindingDetails
//	authentication  AuthenticationDetails; from here on for turn: and turns: only
//	allocation      AllocationDetails
//	permission      PermissionDetails
//	indication      RelayDetails
//	channel         RelayDetails
//	outside         OutsideDetails
//	peer-policy     a list of PeerAnswer
//	features        a list of Feature
//
// A step that fails early may lack details. Field names are those of the types, and do
// not change; times are in RFC 3339, durations in the unit that ends the name.
//
// A [SelfResult] has the verdict and steps of the same form, whose status may also be
// warning; they are listed with their names.
//
// # The reasons
//
// Any step: needs (an earlier step did not give what this one needs), interrupted.
//
//	dns             dns-not-found, dns-failed
//	reachability    silent, refused, no-route, closed, not-stun, tls-failed, address-dead,
//	                flood
//	certificate     certificate-missing, -expired, -not-yet-valid, -name, -chain,
//	                -untrusted, -ends-soon; tls-old
//	binding         binding-silent, -refused, -needs-credentials, -old, -empty,
//	                mapped-impossible, mapped-family
//	authentication  no-credentials, no-authentication, challenge-missing, challenge-broken,
//	                redirected, expired, clock-skew, malformed-username, wrong-secret,
//	                old-secret, wrong-credentials, password-not-base64, wrong-realm,
//	                realm-changes, stale-nonce, not-signed, mint-failed
//	allocation      quota, capacity, forbidden, unsupported-family, unsupported-transport,
//	                redirected, refused, relayed-missing, relayed-impossible,
//	                relayed-private, lifetime-short, mapped-missing; of Hairpin its own
//	                reason: quota-user, quota-address, quota-server, no-port, draining
//	permission      no-peer, relay-to-relay-denied, permission-refused
//	indication      relay-dead, relay-to-relay, loss, misframed
//	channel         channel-refused, relay-dead, loss, misframed
//	outside         family, peer-refused, on-server, no-socket, no-return, relay-source,
//	                relayed-unreachable
//	peer-policy     peer-policy-hole, policy-unclear
//	features        feature-broken
//
// Where no answer comes at all, a later step has a reason of reachability.
//
// # What cannot be told
//
// A 401 does not say what is wrong with a credential, and must not: whoever guesses would
// learn from it. Server reads the username, and with a shared secret tries others. A
// permission that is granted (peer-policy) says that the server would relay there, not
// that anything is there, nor that it does not drop the data later; a 403 says that it
// does not. On the server's own machine, whether relay ports are open to others cannot
// be seen.
package probe
