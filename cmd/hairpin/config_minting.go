package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"
)

func (r *resolver) resolveHTTP() {
	const key = "http"
	addr, err := parseListenAddress(r.config.HTTP)
	if err != nil {
		r.fault(key, r.config.HTTP, err.Error(), "give --http IP:PORT, such as 127.0.0.1:8080")
		return
	}
	taken := slices.Clone(r.Listen)
	for _, pair := range r.Discovery {
		taken = append(taken, pair.listeners()...)
	}
	for _, l := range taken {
		if collide(addr, l) {
			r.fault(key, r.config.HTTP, fmt.Sprintf("takes what %v takes already", l), "give --http another port than --listen")
			break
		}
	}
	r.HTTP = addr
	host := r.config.PublicHost
	if err := checkHost(host); host != "" && err != nil {
		r.fault("public_host", host, "is neither a DNS name nor an IP address", "give --public-host a name without scheme and port")
	}
}

// maxAPIKeysBytes bounds the file of API keys before it is read.
const maxAPIKeysBytes = 1 << 20

// resolveMinting decides who may take credentials, and refuses that it be everyone.
func (r *resolver) resolveMinting() {
	r.resolveAPIKeys()
	r.TrustedProxy = r.prefixes("trusted_proxy", r.config.TrustedProxy)
	local := r.HTTP.Addr().IsLoopback()
	asked := r.config.Demo
	keyed := r.config.APIKeysFile != "" || r.config.apiKeys != nil || r.JoinKeys.Len() > 0
	r.Demo = local && !keyed && len(r.config.TrustedProxy) == 0
	if asked != nil {
		r.Demo = *asked
	}
	switch {
	case !r.HTTP.IsValid():
		// That is a fault already.
	case r.Demo && !local:
		r.fault("demo", "true", fmt.Sprintf("lets everyone who reaches %v take credentials, which makes an open relay", r.HTTP),
			"leave --demo out and give --api-keys-file, or let --http be on loopback")
	case r.Demo && len(r.config.TrustedProxy) > 0:
		r.fault("demo", "true", "lets everyone whom the proxy serves take credentials, which makes an open relay",
			"leave --demo out and give --api-keys-file, or leave --trusted-proxy out")
	case !local && !keyed && asked == nil:
		r.fault("http", r.config.HTTP, "is not loopback, and no API keys say who may take credentials",
			"give --api-keys-file, or --demo=false if nobody is to take them over HTTP")
	case !keyed && !r.Demo:
		r.warn("there are no API keys and no demo, so nobody can take credentials over HTTP or join a room")
	case keyed && r.Demo:
		r.warn("this machine needs no key: leave --demo out if a proxy stands in front of HTTP")
	}
}

func (r *resolver) resolveAPIKeys() {
	const key, hint = "api_keys_file", "give --api-keys-file the name of a file with one name:key a line"
	file := r.config.APIKeysFile
	where := apiKeysVariable
	if r.inEnvironment(key, file, apiKeysVariable, r.config.apiKeys != nil) {
		r.APIKeys = r.config.apiKeys
	} else if file != "" {
		where = r.config.origins[key].where(key)
		text, err := r.readPrivate(file, maxAPIKeysBytes)
		if err != nil {
			r.fault(key, "", err.Error(), hint)
			return
		}
		r.APIKeys = func() io.Reader { return strings.NewReader(text) }
	}
	if r.APIKeys == nil {
		return
	}
	count, err := r.host.checkKeys(r.APIKeys())
	if err != nil {
		problem := strings.ReplaceAll(err.Error(), "\n", "; ")
		r.faults = append(r.faults, &configFault{where: where, problem: problem, hint: hint})
	}
	r.apiKeyCount = count
}

func (r *resolver) readPrivate(name string, most int64) (string, error) {
	f, err := r.openPrivate(name)
	if err != nil {
		return "", err
	}
	return readBounded(f, most)
}

// readPublic is readPrivate for what everybody may read.
func (r *resolver) readPublic(name string, most int64) (string, error) {
	f, err := r.host.open(name)
	if err != nil {
		return "", reasonOfPathError(err)
	}
	return readBounded(f, most)
}

// readBounded reads a file to its end and closes it.
func readBounded(f fs.File, most int64) (string, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", reasonOfPathError(err)
	}
	if int64(len(text)) > most {
		return "", fmt.Errorf("is longer than %d bytes", most)
	}
	return string(text), nil
}

func (r *resolver) resolveOrigins() {
	for _, origin := range r.config.AllowOrigin {
		if !isOrigin(origin) {
			r.fault("allow_origin", origin, "is no origin as a browser sends it",
				"give --allow-origin https://HOST or https://HOST:PORT, in lower case and without a path")
		}
	}
}

// isOrigin reports whether text is an origin as browsers write it (RFC 6454 §6.2): in
// lower case, without a path and without a port that the scheme implies. "null" is the
// origin of pages that have none.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || text != strings.ToLower(text) || strings.Contains(text, "*") {
		return false
	}
	implied, known := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return known && u.Port() != implied && text == u.Scheme+"://"+u.Host && !strings.HasSuffix(u.Host, ":")
}
