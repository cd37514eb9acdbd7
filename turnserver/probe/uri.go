package probe

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The schemes of RFC 7064 §3.1 and RFC 7065 §3.1, and the transports below them.
const (
	schemeSTUN  = "stun"
	schemeSTUNS = "stuns"
	schemeTURN  = "turn"
	schemeTURNS = "turns"

	transportUDP = "udp"
	transportTCP = "tcp"
)

// maxHost is the length of the longest DNS name (RFC 1035 §2.3.4), in bytes.
const maxHost = 253

// URI is a STUN URI (RFC 7064) or a TURN URI (RFC 7065), taken apart and with what it
// leaves out filled in.
type URI struct {
	Scheme    string // "stun", "stuns", "turn" or "turns"
	Host      string // an IP address without brackets, or a DNS name
	Port      uint16 // 3478 by default, 5349 where it is secure
	Transport string // "udp" or "tcp": what is below TLS or DTLS, if there is any
}

// A URIError is why a URI is refused.
type URIError struct {
	URI   string
	Fault string // what is wrong, to follow the URI in a sentence
	Hint  string // what would be right
}

func (e *URIError) Error() string { return strconv.Quote(e.URI) + " " + e.Fault }

// ParseURI reads a STUN or TURN URI strictly. Its errors are of type *URIError.
func ParseURI(s string) (URI, error) {
	refuse := func(hint, format string, a ...any) (URI, error) {
		return URI{}, &URIError{URI: s, Fault: fmt.Sprintf(format, a...), Hint: hint}
	}
	scheme, rest, found := strings.Cut(s, ":")
	u := URI{Scheme: strings.ToLower(scheme)}
	switch u.Scheme {
	case schemeSTUN, schemeSTUNS, schemeTURN, schemeTURNS:
	default:
		return refuse("for example turn:turn.example.org:3478?transport=udp", "begins with none of stun:, stuns:, turn: and turns:")
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	switch {
	case !found || rest == "":
		return refuse("for example "+u.Scheme+":turn.example.org", "names no host")
	case strings.HasPrefix(rest, "/"):
		return refuse("write "+u.Scheme+":"+strings.TrimLeft(rest, "/"), "has slashes before the host, as these URIs do not")
	case strings.Contains(rest, "@"):
		return refuse("give the user with --username", "holds a user, as these URIs do not")
	}
	var fault, hint string
	if fault, hint = u.setTransport(query, hasQuery); fault == "" {
		fault, hint = u.setHostPort(rest)
	}
	if fault != "" {
		return refuse(hint, "%s", fault)
	}
	return u, nil
}

// setTransport reads the query of a TURN URI: nothing or transport=udp or tcp.
func (u *URI) setTransport(query string, has bool) (fault, hint string) {
	u.Transport = transportUDP
	if u.Secure() {
		u.Transport = transportTCP
	}
	switch {
	case !has:
		return "", ""
	case !u.Relays():
		return "has a query, as only turn: and turns: have", "leave out ?" + query
	}
	switch query {
	case "transport=" + transportUDP:
		u.Transport = transportUDP
	case "transport=" + transportTCP:
		u.Transport = transportTCP
	default:
		return "has a query other than ?transport=udp and ?transport=tcp", "TLS is turns:HOST?transport=tcp"
	}
	return "", ""
}

func (u *URI) setHostPort(hostPort string) (fault, hint string) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil { // the port may be left out
		host, port, err = net.SplitHostPort(hostPort + ":" + strconv.Itoa(int(u.defaultPort())))
	}
	if err != nil {
		return "has no host, or an IPv6 address without brackets", "for example " + u.Scheme + ":[2001:db8::1]:3478"
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || port[0] == '+' {
		return "has a port that is not a number from 1 to 65535", "the port may be left out"
	}
	u.Port, u.Host = uint16(number), host
	bracketed := strings.HasPrefix(hostPort, "[")
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "has an IPv6 address with a zone, as these URIs do not", "take an address that is not link-local"
		}
		if bracketed != address.Is6() {
			return "has brackets around what is no IPv6 address", "for example " + u.Scheme + ":" + host
		}
		u.Host = address.String()
		return "", ""
	}
	if bracketed || !isName(host) {
		return "has a host that is neither an IP address nor a DNS name", "write an internationalised name in its xn-- form"
	}
	return "", ""
}

// isName reports whether a host can be a DNS name. Underscores are common in private
// networks, whatever RFC 1123 says.
func isName(host string) bool {
	if len(host) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// Secure reports whether TLS or DTLS is spoken.
func (u URI) Secure() bool { return u.Scheme == schemeSTUNS || u.Scheme == schemeTURNS }

// Relays reports whether a TURN server is meant.
func (u URI) Relays() bool { return u.Scheme == schemeTURN || u.Scheme == schemeTURNS }

// stream reports whether bytes come without bounds between messages.
func (u URI) stream() bool { return u.Transport == transportTCP }

func (u URI) defaultPort() uint16 {
	if u.Secure() {
		return 5349
	}
	return 3478
}

// String returns the URI with nothing left out. ParseURI reads it back the same.
func (u URI) String() string {
	s := u.Scheme + ":" + net.JoinHostPort(u.Host, strconv.Itoa(int(u.Port)))
	if u.Relays() {
		s += "?transport=" + u.Transport
	}
	return s
}
