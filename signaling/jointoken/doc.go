// Package jointoken mints and verifies join tokens: JSON Web Tokens (RFC 7519) that say who may join
// which rooms, and what he may do there.
//
//	sub           the user, whom TURN credentials are bound to, one in each room of each tenant
//	room          a room, or a prefix of rooms that ends in *
//	tenant        whose rooms they are; may be left out
//	name          shown to the others; may be left out
//	capabilities  a list of publish and moderate; left out, it is publish alone
//	iss, aud, exp required; nbf and iat are checked where they are there
//
// # Whom a verifier trusts
//
// A [Trust] is an issuer, an audience, one algorithm and keys. The algorithm is the configuration's and
// never the token's: a token that names another one is refused before any key is looked at, so that a
// public key is never taken for a secret (RFC 8725, section 3.1). Keys that have an ID are found by the
// token's kid in a map, and no other way.
//
// Tokens of the server itself are signed by HS256 with a key derived from each of its secrets. Whoever
// rotates the secrets rotates these keys with them: the first secret signs, all verify, and with the
// last use of a secret its tokens end.
//
// All issuers share the tenants and the users in them: an issuer that is trusted beside the server itself
// may name any. A token is for joining: who has joined may stay beyond its exp, which the issuer chooses;
// [MaxTTL] is for tokens that are minted here.
//
// # Bounds and memory
//
// A token of more than [MaxBytes] is not looked at. Nothing of a token is kept, and no error repeats any
// of it. A [Verifier] is safe for concurrent use; its keys can be replaced while it is used.
package jointoken
