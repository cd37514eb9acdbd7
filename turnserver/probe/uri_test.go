package probe

import (
	"errors"
	"testing"
)

func TestParseURI(t *testing.T) {
	tests := []struct {
		in   string
		want URI
	}{
		{"stun:stun.example.org", URI{"stun", "stun.example.org", 3478, "udp"}},
		{"stuns:stun.example.org", URI{"stuns", "stun.example.org", 5349, "tcp"}},
		{"turn:turn.example.org", URI{"turn", "turn.example.org", 3478, "udp"}},
		{"turns:turn.example.org", URI{"turns", "turn.example.org", 5349, "tcp"}},
		{"TURN:turn.example.org:80", URI{"turn", "turn.example.org", 80, "udp"}},
		{"turn:192.0.2.1:443?transport=tcp", URI{"turn", "192.0.2.1", 443, "tcp"}},
		{"turns:192.0.2.1?transport=udp", URI{"turns", "192.0.2.1", 5349, "udp"}},
		{"turn:[2001:DB8::1]", URI{"turn", "2001:db8::1", 3478, "udp"}},
		{"turn:[2001:db8::1]:65535", URI{"turn", "2001:db8::1", 65535, "udp"}},
		{"stun:a_b.local.", URI{"stun", "a_b.local.", 3478, "udp"}},
	}
	for _, tt := range tests {
		got, err := ParseURI(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v", tt.in, got, err)
		}
		if again, err := ParseURI(got.String()); err != nil || again != got {
			t.Errorf("%s: reads back as %+v, %v", got, again, err)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	tests := []struct{ in, fault string }{
		{"", "begins with none of stun:, stuns:, turn: and turns:"},
		{"turn.example.org", "begins with none of stun:, stuns:, turn: and turns:"},
		{"http://turn.example.org", "begins with none of stun:, stuns:, turn: and turns:"},
		{"turn", "names no host"},
		{"turn:", "names no host"},
		{"turn:?transport=udp", "names no host"},
		{"turn:///x", "has slashes before the host, as these URIs do not"},
		{"turn://turn.example.org", "has slashes before the host, as these URIs do not"},
		{"turn:alice@turn.example.org", "holds a user, as these URIs do not"},
		{"stun:stun.example.org?transport=udp", "has a query, as only turn: and turns: have"},
		{"turn:turn.example.org?transport=tls", "has a query other than ?transport=udp and ?transport=tcp"},
		{"turn:turn.example.org?", "has a query other than ?transport=udp and ?transport=tcp"},
		{"turn:turn.example.org:0", "has a port that is not a number from 1 to 65535"},
		{"turn:turn.example.org:65536", "has a port that is not a number from 1 to 65535"},
		{"turn:turn.example.org:+80", "has a port that is not a number from 1 to 65535"},
		{"turn:turn.example.org:", "has a port that is not a number from 1 to 65535"},
		{"turn:2001:db8::1", "has no host, or an IPv6 address without brackets"},
		{"turn:[fe80::1%eth0]", "has an IPv6 address with a zone, as these URIs do not"},
		{"turn:[192.0.2.1]", "has brackets around what is no IPv6 address"},
		{"turn:[turn.example.org]", "has a host that is neither an IP address nor a DNS name"},
		{"turn:türn.example.org", "has a host that is neither an IP address nor a DNS name"},
		{"turn:a..b", "has a host that is neither an IP address nor a DNS name"},
		{"turn:a b", "has a host that is neither an IP address nor a DNS name"},
		{"turn:turn.example.org/path", "has a host that is neither an IP address nor a DNS name"},
	}
	for _, tt := range tests {
		_, err := ParseURI(tt.in)
		var refused *URIError
		if !errors.As(err, &refused) || refused.Fault != tt.fault || refused.Hint == "" {
			t.Errorf("%q: got %+v, want %q", tt.in, err, tt.fault)
		}
	}
}

// FuzzParseURI: what is read is written so that it reads back the same.
func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"stun:a", "turns:[::1]:1?transport=udp", "turn:192.0.2.1:3478?transport=tcp", "turn:[::ffff:1.2.3.4]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			var refused *URIError
			if !errors.As(err, &refused) || refused.Fault == "" {
				t.Fatalf("%q: error %v", s, err)
			}
			return
		}
		if again, err := ParseURI(u.String()); err != nil || again != u {
			t.Fatalf("%q: %v reads back as %v: %v", s, u, again, err)
		}
	})
}
