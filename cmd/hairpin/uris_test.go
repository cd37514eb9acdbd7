package main

import (
	"slices"
	"testing"
)

func TestCheckURI(t *testing.T) {
	tests := []struct {
		uri  string
		good bool
	}{
		{"stun:stun.example.org", true},
		{"stun:stun.example.org:3478", true},
		{"stuns:stun.example.org:5349", true},
		{"turn:turn.example.org", true},
		{"turn:192.0.2.1:3478?transport=udp", true},
		{"turn:[2001:db8::1]:3478?transport=tcp", true},
		{"turn:[2001:db8::1]", true},
		{"turns:turn.example.org:443?transport=tcp", true},
		{"", false},
		{"turn.example.org", false},
		{"http://turn.example.org", false},
		{"turn://turn.example.org", false},
		{"turn:", false},
		{"turn::3478", false},
		{"turn:user@turn.example.org", false},
		{"turn:turn.example.org:0", false},
		{"turn:turn.example.org:65536", false},
		{"turn:turn.example.org:", false},
		{"turn:2001:db8::1", false},
		{"turn:[fe80::1%eth0]:3478", false},
		{"turn:turn.example.org?transport=sctp", false},
		{"turn:turn.example.org?", false},
		{"stun:stun.example.org?transport=udp", false},
		{"turn:turn.example.org/path", false},
		{"turn:turn example.org", false},
		{"TURN:turn.example.org", false},
		{"turn:türn.example.org", false},
	}
	for _, tt := range tests {
		if err := checkURI(tt.uri); (err == nil) != tt.good {
			t.Errorf("checkURI(%q) = %v", tt.uri, err)
		}
	}
}

func TestURIsOfHost(t *testing.T) {
	tests := []struct {
		host string
		want []string
	}{
		{"turn.example.org", []string{
			"stun:turn.example.org:3478",
			"turn:turn.example.org:3478?transport=udp", "turn:turn.example.org:3478?transport=tcp",
		}},
		{"2001:db8::1", []string{
			"stun:[2001:db8::1]:3478",
			"turn:[2001:db8::1]:3478?transport=udp", "turn:[2001:db8::1]:3478?transport=tcp",
		}},
		{"[2001:db8::1]", []string{
			"stun:[2001:db8::1]:3478",
			"turn:[2001:db8::1]:3478?transport=udp", "turn:[2001:db8::1]:3478?transport=tcp",
		}},
		{"", nil},
		{"turn.example.org:3478", nil},
		{"turn:turn.example.org", nil},
	}
	for _, tt := range tests {
		got, err := urisOfHost(tt.host)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("urisOfHost(%q) = %q, %v", tt.host, got, err)
		}
		for _, uri := range got {
			if err := checkURI(uri); err != nil {
				t.Errorf("%s: %v", uri, err)
			}
		}
	}
}
