package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// checkURI tells whether a browser takes uri as the URL of an ICE server: a STUN URI
// (RFC 7064 §3.1) or a TURN URI (RFC 7065 §3.1).
func checkURI(uri string) error {
	scheme, rest, found := strings.Cut(uri, ":")
	if !found || !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) {
		return errors.New("its scheme is none of stun, stuns, turn and turns")
	}
	hostPort, query, hasQuery := strings.Cut(rest, "?")
	if hasQuery && (isSTUN(uri) || query != "transport=udp" && query != "transport=tcp") {
		return errors.New("only turn: and turns: take a query, ?transport=udp or ?transport=tcp")
	}
	return checkHostPort(hostPort)
}

func isSTUN(uri string) bool { return strings.HasPrefix(uri, "stun") }

func checkHostPort(hostPort string) error {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil { // The port may be left out.
		host, port, err = net.SplitHostPort(hostPort + ":3478")
	}
	if err != nil {
		return errors.New("it has no host, or an IPv6 address without brackets")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("its port is not a number from 1 to 65535")
	}
	return checkHost(host)
}

// checkHost takes what can stand as a host in a URI: an IP address, or a name of the
// letters that the DNS has.
func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return nil
	}
	notName := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_", r)
	}
	if host == "" || strings.ContainsFunc(host, notName) {
		return errors.New("its host is neither a DNS name nor an IP address")
	}
	return nil
}

// urisOfHost are the URIs of a server on the default port.
func urisOfHost(host string) ([]string, error) {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if err := checkHost(host); err != nil {
		return nil, err
	}
	hostPort := net.JoinHostPort(host, "3478")
	return []string{
		"stun:" + hostPort,
		fmt.Sprintf("turn:%s?transport=udp", hostPort),
		fmt.Sprintf("turn:%s?transport=tcp", hostPort),
	}, nil
}
