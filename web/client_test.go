package web

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClientAddr(t *testing.T) {
	trusted := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8"),
	}
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1"},
		{"IPv6", "[2001:db8::1]:1", nil, "2001:db8::1"},
		{"mapped", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"SEC-56: header from a stranger", "192.0.2.1:1", []string{"192.0.2.7"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"mapped proxy", "[::ffff:10.0.0.1]:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"IPv6 proxy and client", "[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"two proxies", "10.0.0.1:1", []string{"192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
		{"two headers", "10.0.0.1:1", []string{"192.0.2.7", "10.0.0.2"}, "192.0.2.7"},
		{"client lies", "10.0.0.1:1", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		{"client lies in a header", "10.0.0.1:1", []string{"198.18.0.1", "192.0.2.7"}, "192.0.2.7"},
		{"with a port", "10.0.0.1:1", []string{"192.0.2.7:4711"}, "192.0.2.7"},
		{"with brackets", "10.0.0.1:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"garbage", "10.0.0.1:1", []string{"192.0.2.7, unknown"}, "10.0.0.1"},
		{"garbage beyond a proxy", "10.0.0.1:1", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"none", "10.0.0.1:1", nil, "10.0.0.1"},
		{"proxies only", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address", "@", []string{"192.0.2.7"}, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			for _, value := range c.forwarded {
				r.Header.Add("X-Forwarded-For", value)
			}
			if got := ClientAddr(trusted)(r); got.String() != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}
