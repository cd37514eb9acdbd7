package main

import "hairpin/signaling/jointoken"

// resolveJoinTokens reads the keys of those who mint join tokens beside the server itself.
func (r *resolver) resolveJoinTokens() {
	c := r.config
	if c.JoinTokenAlgorithm == "none" {
		if c.JoinTokenKeyFile != "" {
			r.fault("join_token_key_file", c.JoinTokenKeyFile, "is of no use without an algorithm: a token must not choose its own",
				"give --join-token-algorithm ES256, EdDSA, RS256 or HS256")
		}
		return
	}
	switch c.JoinTokenIssuer {
	case "":
		r.fault("join_token_issuer", "", "is missing: tokens of others would do too", "give --join-token-issuer the iss of the tokens")
	case jointoken.Own:
		r.fault("join_token_issuer", jointoken.Own, "is the issuer of the server's own tokens", "let those who mint write another iss")
	}
	if c.JoinTokenAudience == "" {
		r.fault("join_token_audience", "", "is missing: tokens for other services would do too", "give --join-token-audience the aud of the tokens")
	}
	const key, hint = "join_token_key_file", "give --join-token-key-file the public keys as PEM or a JWK set, or for HS256 secrets, one a line"
	if c.JoinTokenKeyFile == "" {
		r.fault(key, "", "is missing", hint)
		return
	}
	read := r.readPublic
	if c.JoinTokenAlgorithm == string(jointoken.HS256) {
		read = r.readPrivate
	}
	text, err := read(c.JoinTokenKeyFile, jointoken.MaxKeyFileBytes)
	if err == nil {
		r.JoinKeys, err = jointoken.ParseKeys(jointoken.Algorithm(c.JoinTokenAlgorithm), []byte(text))
	}
	if err != nil {
		r.fault(key, "", err.Error(), hint)
	}
}
