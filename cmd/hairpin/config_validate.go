package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"hairpin/credentials"
	"hairpin/signaling/jointoken"
)

// settings are what the texts of a configuration mean. Counts, durations and switches
// mean what they say and are read from the [serveConfig] itself.
type settings struct {
	// Listen are the addresses to listen on. The address of ":3478" is IPv6
	// unspecified, which takes IPv4 too.
	Listen []netip.AddrPort

	// RelayAddresses are those configured, else those listened on, at most one of a
	// family. Where there are none, they are the outgoing interface's.
	RelayAddresses []netip.Addr

	// ExternalAddresses are advertised in place of the relay address of their family,
	// at most one of a family.
	ExternalAddresses []netip.Addr

	// Discovery are the addresses that NAT behaviour discovery is offered on, at most
	// one pair of a family.
	Discovery []addressPair

	MinPort, MaxPort uint16 // of relayed transport addresses

	// Secrets are never none. With RandomSecret they are one made up just now: whoever
	// reloads keeps the one of the start.
	Secrets      []credentials.Secret
	RandomSecret bool

	HTTP netip.AddrPort // as Listen
	Demo bool

	// APIKeys returns the keys anew from their beginning. It is nil if there are none.
	APIKeys func() io.Reader

	// JoinKeys verify the join tokens that others mint. There are none unless an algorithm
	// is configured.
	JoinKeys jointoken.Keys

	AllowPeer, DenyPeer []netip.Prefix
	TrustedProxy        []netip.Prefix

	// Own are the addresses of this host and of its configuration, to which nothing is
	// relayed unless they are relay or external addresses. Loopback is not among them.
	Own []netip.Addr

	LogLevel slog.Level

	// Warnings are sentences for the log: what is allowed and better not so.
	Warnings []string

	secretsFrom string // for print
	apiKeyCount int
}

// resolve returns what the configuration means on a host. It reads the files that are
// named and opens nothing else. The error joins all faults there are, each a
// [*configFault]; the settings are then good for print only.
func (c *loadedConfig) resolve(h configHost) (settings, error) {
	r := &resolver{config: c, host: h, faults: slices.Clone(c.faults)}
	r.Warnings = slices.Clone(c.warnings)
	r.resolveListen()
	r.resolveRelay()
	r.resolvePorts()
	r.resolveAlternate()
	r.resolveRealm()
	r.resolveSecrets()
	r.resolveHTTP()
	r.resolveJoinTokens()
	r.resolveMinting()
	r.resolveOrigins()
	r.resolvePeers()
	r.resolveOwn()
	r.resolveRest()
	return r.settings, errors.Join(r.faults...)
}

// resolver collects the settings and everything that is wrong with them.
type resolver struct {
	settings
	config *loadedConfig
	host   configHost
	faults []error
	addrs  []netip.Addr // of this host
}

// fault notes that the value of a key will not do. An empty value is not printed.
func (r *resolver) fault(key, value, problem, hint string) {
	r.faults = append(r.faults, &configFault{r.config.origins[key].where(key), value, problem, hint})
}

func (r *resolver) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

const (
	// maxRealmBytes is the most an attribute may have (RFC 8489 §14.9: fewer than 128
	// characters).
	maxRealmBytes = 127

	// goodRealmBytes keeps the challenge that any stranger is sent at 72 bytes.
	goodRealmBytes = 8
)

func (r *resolver) resolveRealm() {
	const key = "realm"
	realm := r.config.Realm
	switch {
	case realm == "" || len(realm) > maxRealmBytes:
		r.fault(key, realm, "is not 1 to 127 bytes long", "give --realm a short name")
	case strings.ContainsAny(realm, `"\`):
		r.fault(key, realm, "holds a quote or a backslash", "give --realm a name without them")
	case len(realm) > goodRealmBytes:
		r.warn("realm %q is longer than 8 bytes, which makes the answer to a stranger's request large enough to flood others with", realm)
	}
}

// inEnvironment decides between a file and an environment variable that hold the same:
// the later layer goes before the earlier one.
func (r *resolver) inEnvironment(key, file, variable string, set bool) bool {
	from := r.config.origins[key]
	switch {
	case !set || file == "":
		return set
	case from.layer == layerEnvironment:
		r.fault(key, "", "says the same as "+variable+", which is set too", "unset one of the two, or give --"+setting{key: key}.flag())
	case from.layer < layerEnvironment:
		r.warn("%s is not read, since %s is set", from.where(key), variable)
	default:
		r.warn("%s is not used, since %s is given", variable, from.where(key))
	}
	return from.layer < layerEnvironment
}

func (r *resolver) resolveSecrets() {
	file := r.config.SecretFile
	switch {
	case r.inEnvironment("secret_file", file, secretsVariable, r.config.secrets != nil):
		r.Secrets, r.secretsFrom = r.config.secrets, "env "+secretsVariable
	case file != "":
		r.readSecrets(file)
	default:
		r.Secrets, r.RandomSecret = []credentials.Secret{credentials.RandomSecret()}, true
		r.secretsFrom = "random, for this start only"
	}
}

func (r *resolver) readSecrets(file string) {
	const key = "secret_file"
	r.secretsFrom = "of that file"
	f, err := r.openPrivate(file)
	if err != nil {
		r.fault(key, "", err.Error(), "give --secret-file the name of a file; "+secretFileHint)
		return
	}
	defer f.Close()
	secrets, err := credentials.ParseSecrets(f)
	if err != nil {
		r.fault(key, file, reasonOfPathError(err).Error(), secretHint(err))
		return
	}
	r.Secrets = secrets
}

// openPrivate opens a file that only its owner should read. Its errors do not repeat
// the name, which is the secret if someone mistook the flag.
func (r *resolver) openPrivate(name string) (fs.File, error) {
	f, err := r.host.open(name)
	if err != nil {
		return nil, reasonOfPathError(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = reasonOfPathError(err)
	case info.IsDir():
		err = errors.New("is a directory")
	}
	if err != nil {
		_ = f.Close() // Nothing was written.
		return nil, err
	}
	if info.Mode().IsRegular() && readableByOthers(info) {
		r.warn("others can read %s (mode %04o); chmod 600 mends it", oneLine(name), info.Mode().Perm())
	}
	return f, nil
}

func (r *resolver) resolveRest() {
	// The words of log_level are the names of the levels.
	_ = r.LogLevel.UnmarshalText([]byte(r.config.LogLevel))
}
