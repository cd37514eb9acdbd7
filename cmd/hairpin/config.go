package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hairpin/credentials"
)

// serveConfig is every setting of "hairpin serve", by its key. It holds what was
// written; [loadedConfig.resolve] says what addresses, files and profiles mean. Counts
// and durations stand for themselves. It starts from [newServeConfig], never from zero.
type serveConfig struct {
	Listen           []string
	RelayAddress     []string
	ExternalAddress  []string
	AlternateAddress []string
	RelayPorts       string
	Offload          string
	LegacyChannels   bool
	DrainTimeout     time.Duration

	Realm         string
	SecretFile    string
	CredentialTTL time.Duration // of those that are handed out when no other is asked for
	StrictExpiry  bool

	AllowPeer             []string
	DenyPeer              []string
	PeerProfile           string
	AllowLoopbackForTests bool

	MaxAllocations           int // in all; 0 lifts a bound, here and in the six that follow
	MaxAllocationsPerUser    int
	MaxAllocationsPerAddress int
	MaxConnections           int // over TCP, in all
	MaxConnectionsPerAddress int
	MaxPermissions           int // per allocation
	MaxChannels              int // per allocation
	AllocationLifetimeMax    time.Duration
	UnauthenticatedRate      *int // nil: the default, for sources that can be forged

	HTTP         string
	PublicHost   string
	APIKeysFile  string
	Demo         *bool // nil: on while HTTP listens on loopback, without keys and trusted proxies
	AllowOrigin  []string
	TrustedProxy []string
	MetricsOpen  bool

	SignalSockets           int
	SignalRooms             int
	SignalRoomMembers       int
	SignalJoinsPerSecond    int // per client address
	SignalMessagesPerSecond int // per WebSocket
	SignalBytesPerSecond    int // per WebSocket
	SignalOutbox            int // messages of one sender waiting for one member
	SignalSocketsPerAddress int
	SignalResumeGrace       time.Duration // 0 lets nobody resume
	SignalRemovalTime       time.Duration

	JoinTokenAlgorithm string // none, where others do not mint join tokens; and so for the next three
	JoinTokenKeyFile   string
	JoinTokenIssuer    string
	JoinTokenAudience  string

	LogFormat string
	LogLevel  string
}

// group is a heading of the help text and of what --print-config prints.
type group string

const (
	groupNetwork     group = "Network"
	groupCredentials group = "Credentials"
	groupPeers       group = "Peers"
	groupLimits      group = "Limits"
	groupHTTP        group = "HTTP"
	groupSignaling   group = "Signaling"
	groupLogging     group = "Logging"
)

// setting is one row of the table that flags, file, environment, help and
// --print-config are all made from.
type setting struct {
	group    group
	key      string // in the file; the flag and the variable follow from it
	arg      string // what the help calls the flag's value
	fallback string // the default, as it would be written; empty for an empty list
	live     bool   // a reload puts it into effect
	value    settingValue
	help     string
}

const (
	live    = true
	restart = false

	switchArg = "BOOL" // of a flag that may stand without a value, for true
)

// flag returns the name of the flag, without its dashes.
func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// variable returns the name of the environment variable.
func (s setting) variable() string { return variablePrefix + strings.ToUpper(s.key) }

// set makes the texts the value of the setting, or changes nothing.
func (s setting) set(texts []string) error {
	for _, text := range texts {
		if !isPlainText(text) {
			return errors.New("holds a control character or is not UTF-8")
		}
	}
	return s.value.set(texts)
}

// table returns all settings, in the order of the help text. Their values are c's.
func (c *serveConfig) table() []setting {
	return []setting{
		{groupNetwork, "listen", "ADDR", ":3478", restart, listAt(&c.Listen), "STUN and TURN over UDP and TCP on IP:PORT, or :PORT for all addresses"},
		{groupNetwork, "relay_address", "IP", "", restart, listAt(&c.RelayAddress), "local address that relayed transport addresses are opened on, one per family (default the listener's, or the outgoing interface's)"},
		{groupNetwork, "external_address", "IP", "", restart, listAt(&c.ExternalAddress), "address advertised instead, where a 1:1 NAT (a cloud) stands in front, one per family"},
		{groupNetwork, "alternate_address", "IP[:PORT]", "", restart, listAt(&c.AlternateAddress), "second address to offer NAT behaviour discovery (RFC 5780) on, one per family (default two of --listen, if there are; its port the listener's plus one)"},
		{groupNetwork, "relay_ports", "MIN-MAX", "49152-65535", restart, textAt(&c.RelayPorts), "ports of relayed transport addresses"},
		{groupNetwork, "offload", "MODE", "auto", restart, choiceAt(&c.Offload, "auto", "off", "native", "generic"), "relay in the kernel: auto where that is safe, native in the driver or not at all, generic on any interface, off"},
		{groupNetwork, "legacy_channels", switchArg, "false", restart, toggleAt(&c.LegacyChannels), "take channel numbers above 0x4FFF too, as clients of RFC 5766 choose them"},
		{groupNetwork, "drain_timeout", "TIME", "30s", restart, durationAt(&c.DrainTimeout, 0, time.Hour), "how long live allocations may go on after SIGTERM"},

		{groupCredentials, "realm", "NAME", "hairpin", restart, textAt(&c.Realm), "realm of the long-term credentials"},
		{groupCredentials, "secret_file", "FILE", "", live, textAt(&c.SecretFile), "shared secrets, one a line, newest first; or HAIRPIN_SECRETS, separated by commas (default a random secret a start)"},
		{groupCredentials, "credential_ttl", "TIME", "1h", restart, durationAt(&c.CredentialTTL, 30*time.Second, credentials.MaxTTL), "how long credentials last that are handed out to a room's members, and to who asks for no other lifetime"},
		{groupCredentials, "strict_expiry", switchArg, "true", restart, toggleAt(&c.StrictExpiry), "an allocation ends when its credential expires"},

		{groupPeers, "peer_profile", "NAME", "public", live, choiceAt(&c.PeerProfile, "public", "lan", "sfu"), "who may be relayed to: public, lan (private networks too) or sfu (--allow-peer only)"},
		{groupPeers, "allow_peer", "CIDR", "", live, listAt(&c.AllowPeer), "network or address that may be relayed to, on top of the profile"},
		{groupPeers, "deny_peer", "CIDR", "", live, listAt(&c.DenyPeer), "network or address that may not be relayed to"},
		{groupPeers, "allow_loopback_for_tests", switchArg, "false", live, toggleAt(&c.AllowLoopbackForTests), "relay to loopback too: never where others have credentials"},

		{groupLimits, "max_allocations", "N", "20000", live, countAt(&c.MaxAllocations, 0), "allocations in all; here and in the next six, 0 lifts the bound"},
		{groupLimits, "max_allocations_per_user", "N", "10", live, countAt(&c.MaxAllocationsPerUser, 0), "allocations of one user"},
		{groupLimits, "max_allocations_per_address", "N", "50", live, countAt(&c.MaxAllocationsPerAddress, 0), "allocations of one client address"},
		{groupLimits, "max_connections", "N", "10000", restart, countAt(&c.MaxConnections, 0), "client connections over TCP in all"},
		{groupLimits, "max_connections_per_address", "N", "64", restart, countAt(&c.MaxConnectionsPerAddress, 0), "client connections over TCP of one address"},
		{groupLimits, "max_permissions", "N", "128", live, countAt(&c.MaxPermissions, 0), "permissions of one allocation"},
		{groupLimits, "max_channels", "N", "64", live, countAt(&c.MaxChannels, 0), "channels of one allocation"},
		{groupLimits, "allocation_lifetime_max", "TIME", "1h", restart, durationAt(&c.AllocationLifetimeMax, 10*time.Minute, 24*time.Hour), "longest lifetime of an allocation between refreshes"},
		{groupLimits, "unauthenticated_rate", "N", "auto", restart, autoCountAt(&c.UnauthenticatedRate, 0), "error responses a second over UDP to one source that proves nothing, and five times as many Binding responses; 0 lifts the bound; auto is 10, with no bound for loopback, which cannot be forged"},

		{groupHTTP, "http", "ADDR", "127.0.0.1:8080", restart, textAt(&c.HTTP), "credential API, signaling, health, metrics and pages"},
		{groupHTTP, "public_host", "NAME", "", restart, textAt(&c.PublicHost), "host name in the ICE URLs handed out (default the external or the listening address)"},
		{groupHTTP, "api_keys_file", "FILE", "", live, textAt(&c.APIKeysFile), "who may mint, name:key a line; or HAIRPIN_API_KEYS, separated by commas"},
		{groupHTTP, "demo", switchArg, "auto", restart, autoAt(&c.Demo), "the demo page and its rooms need no key; auto is on while HTTP listens on loopback, and there are no API keys and no trusted proxy"},
		{groupHTTP, "allow_origin", "ORIGIN", "", restart, listAt(&c.AllowOrigin), "origin whose pages may use the API and the signaling, such as https://app.example.org"},
		{groupHTTP, "trusted_proxy", "CIDR", "", restart, listAt(&c.TrustedProxy), "proxy that is believed what it says in X-Forwarded-For"},
		{groupHTTP, "metrics_open", switchArg, "false", restart, toggleAt(&c.MetricsOpen), "metrics for everyone who reaches HTTP, without a key"},

		{groupSignaling, "signal_sockets", "N", "20000", restart, countAt(&c.SignalSockets, 1), "WebSockets in all"},
		{groupSignaling, "signal_rooms", "N", "1000", restart, countAt(&c.SignalRooms, 1), "rooms at once"},
		{groupSignaling, "signal_room_members", "N", "6", restart, countAt(&c.SignalRoomMembers, 2), "members of one room: each sends to each, so from 5 on a media server serves better"},
		{groupSignaling, "signal_joins_per_second", "N", "5", restart, countAt(&c.SignalJoinsPerSecond, 1), "joins of one client address"},
		{groupSignaling, "signal_messages_per_second", "N", "30", restart, countAt(&c.SignalMessagesPerSecond, 1), "messages of one member"},
		{groupSignaling, "signal_bytes_per_second", "N", "262144", restart, countAt(&c.SignalBytesPerSecond, 64<<10), "bytes of one member; no fewer than one message may have"},
		{groupSignaling, "signal_outbox", "N", "64", restart, countAt(&c.SignalOutbox, 1), "messages of one sender that wait for a slow reader, who gets no more of that sender then"},
		{groupSignaling, "signal_sockets_per_address", "N", "50", restart, countAt(&c.SignalSocketsPerAddress, 1), "WebSockets of one client address"},
		{groupSignaling, "signal_resume_grace", "TIME", "20s", restart, durationAt(&c.SignalResumeGrace, 0, 5*time.Minute), "how long a member whose WebSocket was lost may resume before the others are told; 0s is not at all"},
		{groupSignaling, "signal_removal_time", "TIME", "10m", restart, durationAt(&c.SignalRemovalTime, time.Second, 24*time.Hour), "how long a user of a join token whom a moderator removed is kept out of the room"},
		{groupSignaling, "join_token_algorithm", "NAME", "none", restart, choiceAt(&c.JoinTokenAlgorithm, "none", "HS256", "ES256", "EdDSA", "RS256"), "algorithm of the join tokens that others mint, beside the server's own"},
		{groupSignaling, "join_token_key_file", "FILE", "", live, textAt(&c.JoinTokenKeyFile), "their public keys, as PEM or a JWK set; for HS256 secrets, one a line"},
		{groupSignaling, "join_token_issuer", "TEXT", "", restart, textAt(&c.JoinTokenIssuer), "their iss"},
		{groupSignaling, "join_token_audience", "TEXT", "", restart, textAt(&c.JoinTokenAudience), "their aud"},

		{groupLogging, "log_format", "FORMAT", "text", restart, choiceAt(&c.LogFormat, "text", "json"), "text or json"},
		{groupLogging, "log_level", "LEVEL", "info", live, choiceAt(&c.LogLevel, "debug", "info", "warn", "error"), "debug, info, warn or error"},
	}
}

// newServeConfig returns the defaults.
func newServeConfig() serveConfig {
	var c serveConfig
	for _, s := range c.table() {
		if err := s.set(s.fallbackTexts()); err != nil {
			panic(fmt.Sprintf("default of %s: %v", s.key, err)) // A row of the table is wrong.
		}
	}
	return c
}

func (s setting) fallbackTexts() []string {
	if s.fallback == "" && s.isList() {
		return nil
	}
	return []string{s.fallback}
}

func (s setting) isList() bool {
	_, ok := s.value.(listValue)
	return ok
}

// needRestart returns the keys that differ between two configurations and that a
// reload does not put into effect. Everything else that differs, it does.
func needRestart(before, after *serveConfig) []string {
	var keys []string
	other := after.table()
	for i, s := range before.table() {
		if !s.live && !slices.Equal(s.value.texts(), other[i].value.texts()) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// settingValue is a field of a serveConfig, as the texts people write.
type settingValue interface {
	// set makes texts the value, or leaves it as it was. Only a list takes more or
	// fewer than one. Errors say what is wrong with the text, and do not repeat it.
	set(texts []string) error

	// texts returns what set would make the same value from.
	texts() []string
}

// listValue is a setting of any number of texts.
type listValue struct{ field *[]string }

func listAt(field *[]string) settingValue { return listValue{field} }

func (v listValue) set(texts []string) error {
	if slices.Contains(texts, "") {
		return errors.New("has an empty entry")
	}
	*v.field = slices.Clone(texts)
	return nil
}

func (v listValue) texts() []string { return *v.field }

// scalarValue is a setting of one text.
type scalarValue[T any] struct {
	field  *T
	parse  func(string) (T, error)
	format func(T) string
}

func (v scalarValue[T]) set(texts []string) error {
	if len(texts) != 1 {
		return errors.New("takes one value, not a list")
	}
	parsed, err := v.parse(texts[0])
	if err == nil {
		*v.field = parsed
	}
	return err
}

func (v scalarValue[T]) texts() []string { return []string{v.format(*v.field)} }

func textAt(field *string) settingValue {
	same := func(s string) string { return s }
	return scalarValue[string]{field, func(s string) (string, error) { return s, nil }, same}
}

func choiceAt(field *string, words ...string) settingValue {
	parse := func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", fmt.Errorf("is none of %s", strings.Join(words, ", "))
		}
		return s, nil
	}
	return scalarValue[string]{field, parse, func(s string) string { return s }}
}

// maxCount is more than any machine holds of anything counted here.
const maxCount = 1_000_000_000

func countAt(field *int, least int) settingValue {
	parse := func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > maxCount {
			return 0, fmt.Errorf("is not a whole number from %d to %d", least, maxCount)
		}
		return n, nil
	}
	return scalarValue[int]{field, parse, strconv.Itoa}
}

func durationAt(field *time.Duration, least, most time.Duration) settingValue {
	parse := func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("is not a time from %s to %s, such as 90s or 1h30m", formatDuration(least), formatDuration(most))
		}
		return d, nil
	}
	return scalarValue[time.Duration]{field, parse, formatDuration}
}

// formatDuration leaves out the zeros that [time.Duration.String] ends in.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func toggleAt(field *bool) settingValue {
	return scalarValue[bool]{field, parseToggle, strconv.FormatBool}
}

func parseToggle(s string) (bool, error) {
	on, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("is neither true nor false")
	}
	return on, nil
}

// auto is the text of a setting that is decided by others.
const auto = "auto"

func autoAt(field **bool) settingValue {
	return orAutoAt(field, parseToggle, strconv.FormatBool, "is none of true, false, auto")
}

func autoCountAt(field **int, least int) settingValue {
	count := countAt(new(int), least).(scalarValue[int])
	return orAutoAt(field, count.parse, count.format, fmt.Sprintf("is neither a whole number from %d to %d nor auto", least, maxCount))
}

// orAutoAt is a setting of one text that may be auto, for which its field is nil.
func orAutoAt[T any](field **T, parse func(string) (T, error), format func(T) string, otherwise string) settingValue {
	return scalarValue[*T]{
		field: field,
		parse: func(s string) (*T, error) {
			if s == auto {
				return nil, nil
			}
			v, err := parse(s)
			if err != nil {
				return nil, errors.New(otherwise)
			}
			return &v, nil
		},
		format: func(v *T) string {
			if v == nil {
				return auto
			}
			return format(*v)
		},
	}
}
