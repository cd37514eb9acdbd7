package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hairpin/credentials"
)

// TestFaults configures one thing wrong each time, and wants it told with its remedy.
func TestFaults(t *testing.T) {
	keyed := []string{"HAIRPIN_API_KEYS=alice:" + apiKeyOne}
	for _, tt := range []struct {
		name    string
		args    []string
		environ []string
		want    []string
	}{
		{"listen without port", []string{"--listen=192.0.2.10"}, nil, []string{
			`--listen "192.0.2.10": is not of the form IP:PORT, [IPv6]:PORT or :PORT; give --listen IP:PORT, or :PORT for all addresses`,
		}},
		{"listen on a name", []string{"--listen=localhost:3478"}, nil, []string{`--listen "localhost:3478": has a host that is not an IP address;`}},
		{"listen on a service", []string{"--listen=:stun"}, nil, []string{`--listen ":stun": has a port that is not a number from 0 to 65535;`}},
		{"listen beyond the ports", []string{"--listen=:65536"}, nil, []string{`--listen ":65536": has a port that is not`}},
		{"listen on multicast", []string{"--listen=224.0.0.1:1"}, nil, []string{`--listen "224.0.0.1:1": is a multicast address;`}},
		{"listen with a zone", []string{"--listen=[fe80::1%lo]:1"}, nil, []string{`--listen "[fe80::1%lo]:1": has a host that has a zone`}},
		{"listen on nothing", []string{"--listen="}, nil, []string{`--listen: names no address;`}},
		{"listen twice", []string{"--listen=192.0.2.10:1,[::ffff:192.0.2.10]:1"}, nil, []string{
			`--listen "[::ffff:192.0.2.10]:1": takes what 192.0.2.10:1 takes already; leave one of the two --listen out`,
		}},
		{"listen on all and on one", []string{"--listen=:1", "--listen=192.0.2.10:1"}, nil, []string{`--listen "192.0.2.10:1": takes what [::]:1 takes already;`}},
		{"listen on IPv4 and on all", []string{"--listen=0.0.0.0:1", "--listen=[::]:1"}, nil, []string{`--listen "[::]:1": takes what 0.0.0.0:1 takes already;`}},

		{"relay address elsewhere", []string{"--relay-address=203.0.113.7"}, nil, []string{
			`--relay-address "203.0.113.7": is no address of this host, which has 192.0.2.10; give --relay-address an address of this host, and --external-address the one that is seen from outside`,
		}},
		{"relay address no address", []string{"--relay-address=192.0.2.10:1"}, nil, []string{`--relay-address "192.0.2.10:1": is not an IP address; give --relay-address`}},
		{"relay address unspecified", []string{"--relay-address=0.0.0.0", "--relay-address=::"}, nil, []string{
			`--relay-address "0.0.0.0": is not the address of one host;`, `--relay-address "::": is not the address of one host;`,
		}},
		{"relay address multicast", []string{"--relay-address=ff02::1"}, nil, []string{`--relay-address "ff02::1": is not the address of one host;`}},
		{"relay address broadcast", []string{"--relay-address=255.255.255.255"}, nil, []string{`--relay-address "255.255.255.255": is not the address of one host;`}},
		{"two relay addresses of a family", []string{"--relay-address=192.0.2.10", "--relay-address=127.0.0.1"}, nil, []string{
			`--relay-address "127.0.0.1": is the second of its family; give --relay-address at most one IPv4 and one IPv6 address`,
		}},
		{"external address of another family", []string{"--relay-address=192.0.2.10", "--external-address=2001:db8::7"}, nil, []string{
			`--external-address "2001:db8::7": stands for no relay address, since none is of its family; give --relay-address`,
		}},
		{"external address of another family than the listener's", []string{"--listen=192.0.2.10:1", "--external-address=2001:db8::7"}, nil, []string{
			`--external-address "2001:db8::7": stands for no relay address`,
		}},
		{"external address loopback", []string{"--external-address=127.0.0.1"}, nil, []string{`--external-address "127.0.0.1": is loopback`}},
		{"two external addresses of a family", []string{"--external-address=203.0.113.7,203.0.113.8"}, nil, []string{`--external-address "203.0.113.8": is the second of its family;`}},

		{"alternate address of nobody", []string{"--alternate-address=localhost"}, nil, []string{
			`--alternate-address "localhost": is neither an IP address nor one with a port; give --alternate-address IP, IP:PORT or [IPv6]:PORT`,
		}},
		{"alternate address unspecified", []string{"--alternate-address=0.0.0.0:1"}, nil, []string{`--alternate-address "0.0.0.0:1": is not the address of one host;`}},
		{"alternate address with port 0", []string{"--alternate-address=192.0.2.11:0"}, nil, []string{`--alternate-address "192.0.2.11:0": has port 0`}},
		{"alternate address elsewhere", []string{"--alternate-address=203.0.113.7"}, nil, []string{
			`--alternate-address "203.0.113.7": is no address of this host, which has 192.0.2.10; give --alternate-address a second address`,
		}},
		{"alternate address is the listener's", []string{"--listen=192.0.2.10:3478", "--alternate-address=192.0.2.10"}, nil, []string{
			`--alternate-address "192.0.2.10": has nothing to be the alternate of: no other address of its family is listened on; give --listen`,
		}},
		{"alternate address is the relay address", []string{"--relay-address=192.0.2.10", "--alternate-address=192.0.2.10"}, nil, []string{
			`--alternate-address "192.0.2.10": is the address it is to be the alternate of;`,
		}},
		{"alternate address of another family", []string{"--listen=192.0.2.10:3478", "--alternate-address=2001:db8::10"}, nil, []string{
			`--alternate-address "2001:db8::10": has nothing to be the alternate of`,
		}},
		{"alternate address of another reach", []string{"--listen=192.0.2.10:3478", "--alternate-address=127.0.0.1"}, nil, []string{
			`--alternate-address "127.0.0.1": is loopback and 192.0.2.10 is public, so who reaches one may not reach the other;`,
		}},
		{"alternate address with the listener's port", []string{"--listen=127.0.0.1:3478", "--alternate-address=127.0.0.2:3478"}, nil, []string{
			`--alternate-address "127.0.0.2:3478": has the port of --listen, and discovery takes two; leave the port out`,
		}},
		{"alternate address of a port not known", []string{"--listen=127.0.0.1:0", "--alternate-address=127.0.0.2"}, nil, []string{
			`--alternate-address "127.0.0.2": needs a listener whose port is known in advance; give --listen a port`,
		}},
		{"alternate address among the relay ports", []string{"--listen=127.0.0.1:3478", "--alternate-address=127.0.0.2:50000"}, nil, []string{
			`--alternate-address "127.0.0.2:50000": takes port 50000, which is among the --relay-ports; give --alternate-address another port`,
		}},
		{"alternate address behind a 1:1 NAT", []string{"--listen=127.0.0.1:3478", "--alternate-address=127.0.0.2", "--external-address=203.0.113.7"}, nil, []string{
			`--alternate-address "127.0.0.2": is not known outside, where --external-address stands for one address alone`,
		}},
		{"two alternate addresses of a family", []string{"--listen=127.0.0.1:3478", "--alternate-address=127.0.0.2,127.0.0.3"}, nil, []string{
			`--alternate-address "127.0.0.3": is the second of its family;`,
		}},
		{"http on the alternate address", []string{"--listen=127.0.0.1:3478", "--alternate-address=127.0.0.2:8080"}, nil, []string{
			`--http "127.0.0.1:8080": takes what 127.0.0.1:8080 takes already;`,
		}},

		{"relay ports one number", []string{"--relay-ports=50000"}, nil, []string{
			`--relay-ports "50000": is not two port numbers with a - between; give --relay-ports MIN-MAX, such as 49152-65535`,
		}},
		{"relay ports empty", []string{"--relay-ports="}, nil, []string{`--relay-ports: is not two port numbers`}},
		{"relay ports too high", []string{"--relay-ports=50000-65536"}, nil, []string{`--relay-ports "50000-65536": is not two port numbers`}},
		{"relay ports signed", []string{"--relay-ports=+50000-60000"}, nil, []string{`--relay-ports "+50000-60000": is not two port numbers`}},
		{"relay ports inverted", []string{"--relay-ports=60000-50000"}, nil, []string{`--relay-ports "60000-50000": ends before it begins;`}},
		{"relay ports privileged", []string{"--relay-ports=1023-60000"}, nil, []string{`--relay-ports "1023-60000": begins below 1024`}},
		{"relay ports single", []string{"--relay-ports=50000-50000"}, nil, []string{`--relay-ports "50000-50000": is one port`}},
		{"relay ports that are listened on", []string{"--relay-ports=3000-4000"}, nil, []string{
			`--relay-ports "3000-4000": holds port 3478, which is listened on; leave it out of --relay-ports, or change --listen`,
		}},

		{"realm empty", []string{"--realm="}, nil, []string{`--realm: is not 1 to 127 bytes long;`}},
		{"realm long", []string{"--realm=" + strings.Repeat("x", 128)}, nil, []string{`--realm "` + strings.Repeat("x", 64) + `…": is not 1 to 127 bytes long;`}},
		{"realm quoted", []string{`--realm=a"b`}, nil, []string{`--realm "a\"b": holds a quote or a backslash;`}},
		{"realm not printable", []string{"--realm=a\nb"}, nil, []string{`--realm "a\nb": holds a control character or is not UTF-8;`}},

		{"no secret file", []string{"--secret-file=/nowhere"}, nil, []string{`--secret-file: file does not exist; give --secret-file the name of a file;`}},
		{"secret file is a directory", []string{"--secret-file=/dir"}, nil, []string{`--secret-file: is a directory; give --secret-file`}},
		{"short secret", []string{"--secret-file=/short"}, nil, []string{`--secret-file "/short": line 1: secret is shorter than 32 bytes; `}},
		{"example secret", []string{"--secret-file=/example"}, nil, []string{`--secret-file "/example": line 1: secret is an example`}},
		{"empty secret file", []string{"--secret-file=/empty"}, nil, []string{`--secret-file "/empty": no secret given; `}},
		{"short secret in the environment", nil, []string{"HAIRPIN_SECRETS=" + secretOne + ",north"}, []string{`HAIRPIN_SECRETS: entry 2: secret is shorter than 32 bytes; `}},
		{"secrets twice", nil, []string{"HAIRPIN_SECRETS=" + secretOne, "HAIRPIN_SECRET_FILE=/secrets"}, []string{
			`HAIRPIN_SECRET_FILE: says the same as HAIRPIN_SECRETS, which is set too; unset one of the two, or give --secret-file`,
		}},

		{"http elsewhere", []string{"--http=:8080"}, nil, []string{
			`--http ":8080": is not loopback, and no API keys say who may take credentials; give --api-keys-file, or --demo=false if nobody is to take them over HTTP`,
		}},
		{"http on a private address", []string{"--http=192.0.2.10:8080"}, nil, []string{`--http "192.0.2.10:8080": is not loopback`}},
		{"http on a name", []string{"--http=localhost:8080"}, nil, []string{`--http "localhost:8080": has a host that is not an IP address; give --http IP:PORT, such as 127.0.0.1:8080`}},
		{"http empty", []string{"--http="}, nil, []string{`--http: is not of the form`}},
		{"http on the port of TURN", []string{"--http=127.0.0.1:3478"}, nil, []string{`--http "127.0.0.1:3478": takes what [::]:3478 takes already; give --http another port than --listen`}},
		{"demo elsewhere", []string{"--http=0.0.0.0:8080", "--demo"}, nil, []string{
			`--demo "true": lets everyone who reaches 0.0.0.0:8080 take credentials, which makes an open relay; leave --demo out and give --api-keys-file, or let --http be on loopback`,
		}},
		{"demo elsewhere beside keys", []string{"--http=[::]:8080", "--demo"}, keyed, []string{`--demo "true": lets everyone who reaches [::]:8080 take credentials`}},
		{"demo behind a proxy", []string{"--demo", "--trusted-proxy=127.0.0.1"}, keyed, []string{
			`--demo "true": lets everyone whom the proxy serves take credentials, which makes an open relay; leave --demo out and give --api-keys-file`,
		}},
		{"join token keys without an algorithm", []string{"--join-token-key-file=/empty"}, nil, []string{
			`--join-token-key-file "/empty": is of no use without an algorithm: a token must not choose its own; give --join-token-algorithm`,
		}},
		{"nothing but an algorithm", []string{"--join-token-algorithm=ES256"}, nil, []string{
			`--join-token-issuer: is missing: tokens of others would do too; give`,
			`--join-token-audience: is missing: tokens for other services would do too; give`,
			`--join-token-key-file: is missing; give --join-token-key-file the public keys`,
		}},
		{"join tokens that say they are ours", []string{
			"--join-token-algorithm=ES256", "--join-token-issuer=hairpin", "--join-token-audience=x", "--join-token-key-file=/empty",
		}, nil, []string{
			`--join-token-issuer "hairpin": is the issuer of the server's own tokens;`,
			`--join-token-key-file: it is neither PEM nor a JWK set; give`,
		}},
		{"no join token keys file", []string{
			"--join-token-algorithm=HS256", "--join-token-issuer=i", "--join-token-audience=a", "--join-token-key-file=/nowhere",
		}, nil, []string{`--join-token-key-file: file does not exist; give --join-token-key-file`}},
		{"no API keys file", []string{"--api-keys-file=/nowhere"}, nil, []string{`--api-keys-file: file does not exist; give --api-keys-file the name of a file`}},
		{"long API keys file", []string{"--api-keys-file=/long"}, nil, []string{`--api-keys-file: is longer than 1048576 bytes;`}},
		{"bad API keys", []string{"--api-keys-file=/empty"}, nil, []string{`--api-keys-file: line 1: no name; line 2: no key; give --api-keys-file`}},
		{"bad API keys in the environment", nil, []string{"HAIRPIN_API_KEYS=x"}, []string{`HAIRPIN_API_KEYS: line 1: no name; line 2: no key; give --api-keys-file`}},
		{"API keys twice", nil, append([]string{"HAIRPIN_API_KEYS_FILE=/api-keys"}, keyed...), []string{`HAIRPIN_API_KEYS_FILE: says the same as HAIRPIN_API_KEYS`}},
		{"public host with port", []string{"--public-host=turn.example.org:3478"}, nil, []string{`--public-host "turn.example.org:3478": is neither a DNS name nor an IP address;`}},
		{"public host a URL", []string{"--public-host=https://turn.example.org"}, nil, []string{`--public-host "https://turn.example.org": is neither`}},
		{"origins", []string{"--allow-origin=*,null,https://a.example/,https://A.example,https://a.example:443,http://a.example:,ftp://a.example,https://*.a.example,https://u@a.example,https://"}, nil, []string{
			`--allow-origin "*": is no origin`, `--allow-origin "null": `, `--allow-origin "https://a.example/": `,
			`--allow-origin "https://A.example": `, `--allow-origin "https://a.example:443": `, `--allow-origin "http://a.example:": `,
			`--allow-origin "ftp://a.example": `, `--allow-origin "https://*.a.example": `, `--allow-origin "https://u@a.example": `, `--allow-origin "https://": `,
		}},
		{"trusted proxy everyone", []string{"--trusted-proxy=0.0.0.0/0,::/0"}, nil, []string{
			`--trusted-proxy "0.0.0.0/0": trusts everyone`, `--trusted-proxy "::/0": trusts everyone`,
		}},

		{"sfu without peers", []string{"--peer-profile=sfu"}, nil, []string{
			`--peer-profile "sfu": relays to listed peers only, and none is; give --allow-peer the addresses of the SFU`,
		}},
		{"unknown profile", []string{"--peer-profile=open"}, nil, []string{`--peer-profile "open": is none of public, lan, sfu; see --peer-profile`}},
		{"allow everyone", []string{"--allow-peer=0.0.0.0/0"}, nil, []string{
			`--allow-peer "0.0.0.0/0": opens private networks and metadata services too, which makes a proxy into them; give --allow-peer the networks that are meant`,
		}},
		{"allow nearly everyone", []string{"--peer-profile=sfu", "--allow-peer=128.0.0.0/1,8.0.0.0/7,2000::/3"}, nil, []string{
			`--allow-peer "128.0.0.0/1": opens`, `--allow-peer "8.0.0.0/7": opens`, `--allow-peer "2000::/3": opens`,
		}},
		{"allow and deny", []string{"--allow-peer=10.0.0.1", "--deny-peer=10.0.0.1/32"}, nil, []string{`--allow-peer "10.0.0.1/32": is denied too;`}},
		{"networks", []string{"--deny-peer=10.0.0.1/8,10.0.0.0/33,x,::ffff:10.0.0.0/104,fe80::1%lo,10.0.0.0-10.1.0.0"}, nil, []string{
			`--deny-peer "10.0.0.1/8": has an address beyond the mask, where 10.0.0.0/8 is the network; give --deny-peer an address, or a network such as 192.0.2.0/24`,
			`--deny-peer "10.0.0.0/33": is not a network;`, `--deny-peer "x": is not an IP address;`,
			`--deny-peer "::ffff:10.0.0.0/104": is an IPv4 network written as IPv6;`, `--deny-peer "fe80::1%lo": has a zone`, `--deny-peer "10.0.0.0-10.1.0.0": is not an IP address;`,
		}},

		{"unauthenticated rate below nothing", []string{"--unauthenticated-rate=-1"}, nil, []string{
			`--unauthenticated-rate "-1": is neither a whole number from 0 to 1000000000 nor auto;`,
		}},
		{"offload unknown", []string{"--offload=on"}, nil, []string{`--offload "on": is none of auto, off, native, generic;`}},
		{"short lifetime", []string{"--allocation-lifetime-max=9m"}, nil, []string{`--allocation-lifetime-max "9m": is not a time from 10m to 24h`}},
		{"short credentials", []string{"--credential-ttl=29s"}, nil, []string{`--credential-ttl "29s": is not a time from 30s to 24h`}},
		{"counts", []string{"--max-allocations=-1", "--max-channels=1000000001", "--signal-room-members=1", "--signal-rooms=0"}, nil, []string{
			`--max-allocations "-1": is not a whole number from 0 to 1000000000;`, `--max-channels "1000000001": `,
			`--signal-rooms "0": is not a whole number from 1`, `--signal-room-members "1": is not a whole number from 2`,
		}},
		{"bad variable behind a good flag", []string{"--max-channels=3"}, []string{"HAIRPIN_MAX_CHANNELS=x"}, []string{`HAIRPIN_MAX_CHANNELS "x": is not a whole number`}},
		{"everything at once", []string{"--listen=x", "--relay-ports=9-3", "--peer-profile=sfu", "--http=:80", "--config=/nowhere"}, nil, []string{
			`--config "/nowhere": file does not exist;`, `--listen "x": `, `--relay-ports "9-3": `, `--http ":80": `, `--peer-profile "sfu": `,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(fstest.MapFS{
				"dir/in":  {},
				"short":   {Data: []byte("north\n"), Mode: 0o600},
				"example": {Data: []byte(strings.Repeat("x", 40)), Mode: 0o600},
				"empty":   {Mode: 0o600},
				"long":    {Data: make([]byte, maxAPIKeysBytes+1), Mode: 0o600},
			}, tt.environ...)
			_, err := serveFlagsOf(t, tt.args...).load(h).resolve(h)
			got := faultTexts(t, err)
			if len(got) != len(tt.want) {
				t.Errorf("%d faults, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range min(len(got), len(tt.want)) {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], tt.want[i])
				}
			}
		})
	}
}

// passwordOf tells secrets apart, which do not compare.
func passwordOf(t *testing.T, s settings) string {
	t.Helper()
	secrets, err := credentials.NewSecrets(s.Secrets...)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := secrets.Mint("alice", credentials.DefaultTTL, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return credential.Password
}

func TestNoFlagsResolve(t *testing.T) {
	h := testHost(nil)
	c := serveFlagsOf(t).load(h)
	s, err := c.resolve(h)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Secrets) != 1 || !s.RandomSecret {
		t.Errorf("%d secrets, random: %v", len(s.Secrets), s.RandomSecret)
	}
	again, err := c.resolve(h)
	if err != nil || passwordOf(t, s) == passwordOf(t, again) {
		t.Errorf("the random secret is the same twice; %v", err)
	}
	s.Secrets, s.secretsFrom = nil, ""
	want := settings{
		Listen:  []netip.AddrPort{netip.MustParseAddrPort("[::]:3478")},
		MinPort: 49152, MaxPort: 65535,
		RandomSecret: true,
		HTTP:         netip.MustParseAddrPort("127.0.0.1:8080"),
		Demo:         true,
		Own:          []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("fe80::1")},
		LogLevel:     slog.LevelInfo,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestResolve(t *testing.T) {
	h := testHost(configFile(`
listen: ["192.0.2.10:3478", "[2001:db8::10]:3478", "192.0.2.10:3479"]
external_address: ["::ffff:203.0.113.7"]
relay_ports: 50000-50001
secret_file: /secrets
http: 192.0.2.10:8080
public_host: 203.0.113.9
api_keys_file: /api-keys
allow_peer: [10.0.0.0/8, fc00::/7, 192.0.2.20]
deny_peer: ["2001:db8::20"]
trusted_proxy: [203.0.113.8, 198.51.100.0/24]
log_level: warn
`))
	s, err := serveFlagsOf(t, "--config", configName).load(h).resolve(h)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := h.checkKeys(s.APIKeys())
	if err != nil || keys != 1 || s.apiKeyCount != 1 {
		t.Errorf("%d API keys, %v; counted %d", keys, err, s.apiKeyCount)
	}
	if len(s.Secrets) != 2 || s.RandomSecret {
		t.Errorf("%d secrets, random: %v", len(s.Secrets), s.RandomSecret)
	}
	s.Secrets, s.secretsFrom, s.APIKeys, s.apiKeyCount = nil, "", nil, 0
	want := settings{
		Listen:         []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:3478"), netip.MustParseAddrPort("[2001:db8::10]:3478"), netip.MustParseAddrPort("192.0.2.10:3479")},
		RelayAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}, ExternalAddresses: []netip.Addr{netip.MustParseAddr("203.0.113.7")},
		MinPort: 50000, MaxPort: 50001,
		HTTP:         netip.MustParseAddrPort("192.0.2.10:8080"),
		AllowPeer:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("192.0.2.20/32")},
		DenyPeer:     []netip.Prefix{netip.MustParsePrefix("2001:db8::20/128")},
		TrustedProxy: []netip.Prefix{netip.MustParsePrefix("203.0.113.8/32"), netip.MustParsePrefix("198.51.100.0/24")},
		Own: []netip.Addr{
			netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("203.0.113.9"),
			netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("fe80::1"),
		},
		LogLevel: slog.LevelWarn,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// TestDemo is the whole of who may take credentials without a key.
func TestDemo(t *testing.T) {
	const nobody = "there are no API keys and no demo"
	for _, tt := range []struct {
		args    string
		keys    bool
		demo    bool
		warning string
	}{
		{"", false, true, ""},
		{"--http=[::1]:0", false, true, ""},
		{"--http=127.8.9.1:80", false, true, ""},
		{"--demo", false, true, ""},
		{"--demo=auto", false, true, ""},
		{"--demo=false", false, false, nobody},
		{"", true, false, ""},
		{"--demo", true, true, "this machine needs no key"},
		{"--demo=false", true, false, ""},
		{"--http=:8080", true, false, ""},
		{"--http=:8080 --demo=false", true, false, ""},
		{"--http=:8080 --demo=false", false, false, nobody},
		{"--trusted-proxy=127.0.0.1", true, false, ""},
		{"--trusted-proxy=127.0.0.1", false, false, nobody},
	} {
		var environ []string
		if tt.keys {
			environ = append(environ, "HAIRPIN_API_KEYS=alice:"+apiKeyOne)
		}
		h := testHost(nil, environ...)
		s, err := serveFlagsOf(t, strings.Fields(tt.args)...).load(h).resolve(h)
		warnings := strings.Join(s.Warnings, "\n")
		if err != nil || s.Demo != tt.demo || !strings.HasPrefix(warnings, tt.warning) || tt.warning == "" && warnings != "" {
			t.Errorf("%q, keys %v: demo %v, want %v; %v; warnings %q", tt.args, tt.keys, s.Demo, tt.demo, err, warnings)
		}
	}
}

// TestEnvironmentOrFile holds the two ways to give secrets to the order of the layers.
func TestEnvironmentOrFile(t *testing.T) {
	h := testHost(configFile("secret_file: /secrets\n"), "HAIRPIN_SECRETS="+secretTwo)
	for _, tt := range []struct {
		args    []string
		secrets int
		warning string
	}{
		{nil, 1, ""},
		{[]string{"--config", configName}, 1, "/hairpin.yaml:1:1: secret_file is not read, since HAIRPIN_SECRETS is set"},
		{[]string{"--secret-file=/secrets"}, 2, "HAIRPIN_SECRETS is not used, since --secret-file is given"},
		{[]string{"--config", configName, "--secret-file="}, 1, ""},
	} {
		s, err := serveFlagsOf(t, tt.args...).load(h).resolve(h)
		if err != nil || len(s.Secrets) != tt.secrets || strings.Join(s.Warnings, "\n") != tt.warning {
			t.Errorf("%q: %d secrets, want %d; %v; %q", tt.args, len(s.Secrets), tt.secrets, err, s.Warnings)
		}
	}
}

func TestWarnings(t *testing.T) {
	addrs := func() ([]netip.Addr, error) { return nil, errors.New("not permitted") }
	for _, tt := range []struct {
		args  []string
		addrs func() ([]netip.Addr, error)
		want  string
	}{
		{[]string{"--realm=ninebytes"}, nil, `realm "ninebytes" is longer than 8 bytes, which makes`},
		{[]string{"--allow-loopback-for-tests"}, nil, "allow_loopback_for_tests is on: whoever has a credential reaches every service"},
		{[]string{"--relay-address=203.0.113.7"}, addrs, "cannot see the addresses of this host, so relay addresses are not checked: not permitted"},
	} {
		h := testHost(nil)
		if tt.addrs != nil {
			h.addrs = tt.addrs
		}
		s, err := serveFlagsOf(t, tt.args...).load(h).resolve(h)
		if err != nil || len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], tt.want) {
			t.Errorf("%q: %v; %q", tt.args, err, s.Warnings)
		}
	}
}

func TestLoopbackForTests(t *testing.T) {
	h := testHost(nil)
	s, err := serveFlagsOf(t, "--listen=127.0.0.1:0,127.0.0.1:0", "--relay-address=127.0.0.9", "--external-address=127.0.0.1", "--allow-loopback-for-tests").load(h).resolve(h)
	if err != nil || len(s.Listen) != 2 {
		t.Errorf("%v; %v", s.Listen, err)
	}
}

// TestThisHost resolves with real files and the real interfaces.
func TestThisHost(t *testing.T) {
	dir := t.TempDir()
	secrets := filepath.Join(dir, "secrets")
	if err := os.WriteFile(secrets, []byte(secretOne+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := thisHost(testHost(nil).checkKeys)
	h.environ = nil
	flags := serveFlagsOf(t, "--secret-file", secrets, "--relay-address=127.0.0.1")
	s, err := flags.load(h).resolve(h)
	if err != nil || len(s.Secrets) != 1 || len(s.Warnings) > 0 {
		t.Fatalf("%d secrets; %v; %q", len(s.Secrets), err, s.Warnings)
	}
	if err := os.Chmod(secrets, 0o640); err != nil {
		t.Fatal(err)
	}
	s, err = flags.load(h).resolve(h)
	want := []string{"others can read " + secrets + " (mode 0640); chmod 600 mends it"}
	if runtime.GOOS == "windows" {
		want = nil
	}
	if err != nil || !slices.Equal(s.Warnings, want) {
		t.Errorf("%v; %q", err, s.Warnings)
	}
	h.open = func(string) (fs.File, error) {
		return nil, &fs.PathError{Op: "open", Path: secretTwo, Err: fs.ErrPermission}
	}
	if _, err = flags.load(h).resolve(h); err == nil || strings.Contains(err.Error(), secretTwo) {
		t.Errorf("got %v", err)
	}
}
