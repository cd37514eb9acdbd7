package main

import (
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestTable holds each row against the struct and against the other rows.
func TestTable(t *testing.T) {
	config := newServeConfig()
	table := config.table()
	if fields := reflect.TypeFor[serveConfig]().NumField(); fields != len(table) {
		t.Errorf("%d fields, but %d settings", fields, len(table))
	}
	wellFormed := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := make(map[string]bool)
	var groups []group
	for _, s := range table {
		if seen[s.key] || !wellFormed.MatchString(s.key) {
			t.Errorf("key %q is there twice or badly formed", s.key)
		}
		seen[s.key] = true
		if s.help == "" || s.arg == "" {
			t.Errorf("%s has no help", s.key)
		}
		if !slices.Contains(groups, s.group) {
			groups = append(groups, s.group)
		} else if groups[len(groups)-1] != s.group {
			t.Errorf("%s does not stand with its group %s", s.key, s.group)
		}
	}
}

// TestTableWritesEveryField sets each row to something else and finds one field changed.
func TestTableWritesEveryField(t *testing.T) {
	for i, row := range newServeConfigTable(t) {
		config := newServeConfig()
		if err := config.table()[i].set(otherTexts(row)); err != nil {
			t.Errorf("%s: %v", row.key, err)
		}
		before, after := reflect.ValueOf(newServeConfig()), reflect.ValueOf(config)
		changed := 0
		for f := range before.NumField() {
			if !reflect.DeepEqual(before.Field(f).Interface(), after.Field(f).Interface()) {
				changed++
			}
		}
		if changed != 1 {
			t.Errorf("%s changes %d fields", row.key, changed)
		}
	}
}

func newServeConfigTable(t *testing.T) []setting {
	t.Helper()
	config := newServeConfig()
	return config.table()
}

// otherTexts returns a value that a setting takes and that is not its default.
func otherTexts(s setting) []string {
	for _, text := range []string{"true", "false", "70000", "20m", "2m", "ES256", "sfu", "json", "warn", "off", "192.0.2.1"} {
		before := s.value.texts()
		if err := s.set([]string{text}); err == nil && !slices.Equal(before, s.value.texts()) {
			return []string{text}
		}
	}
	return nil
}

func TestDefaults(t *testing.T) {
	want := serveConfig{
		Listen:       []string{":3478"},
		RelayPorts:   "49152-65535",
		Offload:      "auto",
		DrainTimeout: 30 * time.Second,

		Realm:         "hairpin",
		CredentialTTL: time.Hour,
		StrictExpiry:  true,

		PeerProfile: "public",

		MaxAllocations:           20_000,
		MaxAllocationsPerUser:    10,
		MaxAllocationsPerAddress: 50,
		MaxConnections:           10000,
		MaxConnectionsPerAddress: 64,
		MaxPermissions:           128,
		MaxChannels:              64,
		AllocationLifetimeMax:    time.Hour,

		HTTP: "127.0.0.1:8080",

		SignalSockets:           20_000,
		SignalRooms:             1000,
		SignalRoomMembers:       6,
		SignalJoinsPerSecond:    5,
		SignalMessagesPerSecond: 30,
		SignalBytesPerSecond:    256 << 10,
		SignalOutbox:            64,
		SignalSocketsPerAddress: 50,
		SignalResumeGrace:       20 * time.Second,
		SignalRemovalTime:       10 * time.Minute,

		JoinTokenAlgorithm: "none",

		LogFormat: "text",
		LogLevel:  "info",
	}
	if got := newServeConfig(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestNeedRestart(t *testing.T) {
	on := true
	before := newServeConfig()
	after := newServeConfig()
	if keys := needRestart(&before, &after); keys != nil {
		t.Errorf("equal configurations need a restart for %q", keys)
	}
	after.SecretFile, after.APIKeysFile, after.LogLevel = "a", "b", "debug"
	after.AllowPeer, after.DenyPeer, after.PeerProfile = []string{"10.0.0.0/8"}, []string{"192.0.2.1"}, "lan"
	after.MaxAllocations, after.MaxAllocationsPerUser, after.MaxAllocationsPerAddress = 1, 2, 3
	after.MaxPermissions, after.MaxChannels = 4, 5
	if keys := needRestart(&before, &after); keys != nil {
		t.Errorf("a reload should do for %q", keys)
	}
	after.Listen, after.Demo, after.Realm = []string{":1"}, &on, "other"
	if keys := needRestart(&before, &after); !slices.Equal(keys, []string{"listen", "realm", "demo"}) {
		t.Errorf("got %q", keys)
	}
}

func TestDurationsRoundTrip(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 30 * time.Second: "30s", 10 * time.Minute: "10m", time.Hour: "1h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s",
	} {
		got := formatDuration(d)
		if back, err := time.ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("%d: got %q, read back as %v, want %q", d, got, back, want)
		}
	}
}
