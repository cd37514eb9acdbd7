package labtest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// maxSites is how many networks an Internet has addresses for.
const maxSites = 31

// Internet is a server's host, the router in the middle and the networks of clients
// around it, over both families. Its addresses are those of documentation (RFC 5737,
// RFC 3849).
type Internet struct {
	Server *Host // has the addresses of Servers

	lab   *Lab
	core  *Host
	sites int
}

// Servers returns the two addresses of an Internet's server in the family of six.
func Servers(six bool) [2]netip.Addr {
	if six {
		return [2]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}
	}
	return [2]netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
}

// Internet adds the server and the router, and no network of clients yet. Without the
// nft program it skips the test, or fails it where the environment has
// HAIRPIN_TEST_FULL=1.
func (l *Lab) Internet() *Internet {
	l.t.Helper()
	if _, err := exec.LookPath("nft"); err != nil && os.Getenv("HAIRPIN_TEST_FULL") != "1" {
		l.t.Skip("nft is needed")
	}
	i := &Internet{lab: l, Server: l.Host("server"), core: l.Router("core")}
	l.Link(
		End{Host: i.Server, Name: "public", Address: prefix("203.0.113.1/24"), More: prefixes("203.0.113.2/24", "2001:db8::1/64", "2001:db8::2/64")},
		End{Host: i.core, Name: "servers", Address: prefix("203.0.113.254/24"), More: prefixes("2001:db8::fe/64")},
	)
	i.Server.ip("route add default via 203.0.113.254", "route add default via 2001:db8::fe")
	return i
}

// Router adds a host that forwards.
func (l *Lab) Router(name string) *Host {
	l.t.Helper()
	h := l.Host(name)
	h.Sysctl("net/ipv4/ip_forward", "1")
	h.Sysctl("net/ipv6/conf/all/forwarding", "1")
	return h
}

// Lose makes the router in the middle lose packets at random, each way.
func (i *Internet) Lose(percent int) {
	i.lab.t.Helper()
	i.core.load("loss", "PERCENT="+strconv.Itoa(percent))
}

// Site is a client's place in a network.
type Site struct {
	Client *Host
	Boxes  []*Host // from the client outwards
	Four   netip.Addr
	Six    netip.Addr // the client's addresses

	core   *Host
	number int
}

// Attach adds a network with a client in it.
func (i *Internet) Attach(n Network) *Site {
	i.lab.t.Helper()
	return i.AttachHost(i.lab.Host(n.Name), n)
}

// AttachHost adds a network with a host in it that may already be in others. What it
// sends from an address goes by the network of that address, all else by the first.
func (i *Internet) AttachHost(client *Host, n Network) *Site {
	i.lab.t.Helper()
	if i.sites++; i.sites > maxSites {
		i.lab.t.Fatalf("no addresses are left for network %s", n.Name)
	}
	s := &Site{Client: client, core: i.core, number: i.sites}
	links := make([]link, len(n.Boxes)+1)
	for hop, box := range n.Boxes {
		s.Boxes = append(s.Boxes, i.lab.Router(fmt.Sprintf("%s, box %d", n.Name, hop)))
		links[hop] = addresses(box.Inside, s.number, hop)
	}
	links[len(n.Boxes)] = external(s.number)
	s.Four, s.Six = links[0].inner[0].Addr(), links[0].inner[1].Addr()
	s.connect(links)
	for hop, box := range n.Boxes {
		if box.Rules != "" {
			s.Boxes[hop].load(box.Rules, defines(links[hop], links[hop+1])...)
		}
	}
	if n.Boxes[0].Inside == Public {
		out := links[len(n.Boxes)]
		i.core.ip(route(links[0].inner[0].Masked().String(), out.inner[0]), route(links[0].inner[1].Masked().String(), out.inner[1]))
	}
	return s
}

// connect makes the links from the client to the middle, and the routes out.
func (s *Site) connect(links []link) {
	lab := s.Client.lab
	lab.t.Helper()
	lan := fmt.Sprintf("lan%d", s.number)
	inner := End{Host: s.Client, Name: lan}
	for hop, box := range s.Boxes {
		lab.Link(inner.at(links[hop].inner), End{Host: box, Name: "inside"}.at(links[hop].outer))
		inner = End{Host: box, Name: "outside"}
	}
	last := links[len(s.Boxes)]
	lab.Link(inner.at(last.inner), End{Host: s.core, Name: s.wan()}.at(last.outer))
	for hop, box := range s.Boxes {
		next := links[hop+1].outer
		box.ip(route("default", next[0]), route("default", next[1]))
	}
	for family, gateway := range links[0].outer[:2] {
		own := links[0].inner[family].Addr()
		s.Client.ip(
			fmt.Sprintf("%s metric %d", route("default", gateway), s.number),
			fmt.Sprintf("%s table %d", route("default", gateway), s.number),
		)
		lab.must(s.Client.Command("ip", familyFlag(own), "rule", "add", "from", own.String(), "table", strconv.Itoa(s.number)))
	}
}

func (s *Site) wan() string { return fmt.Sprintf("wan%d", s.number) }

// MTU sets how long packets may be, in bytes, between the outermost box and the middle.
func (s *Site) MTU(bytes int) {
	s.Client.lab.t.Helper()
	s.Boxes[len(s.Boxes)-1].ip(fmt.Sprintf("link set outside mtu %d", bytes))
	s.core.ip(fmt.Sprintf("link set %s mtu %d", s.wan(), bytes))
}

// link is the addresses of a link: the inner end's and the outer's, IPv4 first. What
// comes after the first two are more of the same.
type link struct{ inner, outer []netip.Prefix }

// addresses returns those of the network inside a box.
func addresses(kind Range, site, hop int) link {
	four, six := fmt.Sprintf("10.%d.%d.%%d/24", site, hop), fmt.Sprintf("fd00:%d:%d::%%d/64", site, hop)
	switch kind {
	case Carrier:
		four, six = fmt.Sprintf("100.64.%d.%%d/24", site), fmt.Sprintf("fd64:%d:%d::%%d/64", site, hop)
	case Public:
		base := site * 8
		return link{
			prefixes(fmt.Sprintf("192.0.2.%d/29", base+2), fmt.Sprintf("2001:db8:%d:1::2/64", site)),
			prefixes(fmt.Sprintf("192.0.2.%d/29", base+1), fmt.Sprintf("2001:db8:%d:1::1/64", site)),
		}
	}
	return link{
		prefixes(fmt.Sprintf(four, 2), fmt.Sprintf(six, 2)),
		prefixes(fmt.Sprintf(four, 1), fmt.Sprintf(six, 1)),
	}
}

// external returns the addresses between the outermost box, which has two of each
// family, and the middle.
func external(site int) link {
	four, six := fmt.Sprintf("198.51.100.%%d/29"), fmt.Sprintf("2001:db8:%d::%%d/64", site)
	base := site * 8
	return link{
		prefixes(fmt.Sprintf(four, base+2), fmt.Sprintf(six, 2), fmt.Sprintf(four, base+3), fmt.Sprintf(six, 3)),
		prefixes(fmt.Sprintf(four, base+1), fmt.Sprintf(six, 1)),
	}
}

// defines returns what the rules of a box between two links may use.
func defines(inside, outside link) []string {
	all := []string{
		"INSIDE4=" + inside.inner[0].Addr().String(), "INSIDE6=" + inside.inner[1].Addr().String(),
		"OUTSIDE4=" + outside.inner[0].Addr().String(), "OUTSIDE6=" + outside.inner[1].Addr().String(),
	}
	if len(outside.inner) > 2 {
		all = append(all, "OUTSIDE4B="+outside.inner[2].Addr().String(), "OUTSIDE6B="+outside.inner[3].Addr().String())
	}
	return all
}

// at returns the end with addresses.
func (e End) at(all []netip.Prefix) End {
	e.Address, e.More = all[0], all[1:]
	return e
}

func route(to string, via netip.Prefix) string {
	return fmt.Sprintf("route add %s via %s", to, via.Addr())
}

func familyFlag(a netip.Addr) string {
	if a.Is4() {
		return "-4"
	}
	return "-6"
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, prefix(text))
	}
	return all
}

// load gives a host the rules of a file, with values for the names in it.
func (h *Host) load(name string, defines ...string) {
	h.lab.t.Helper()
	text, err := rules(name)
	if err != nil {
		h.lab.t.Fatal(err)
	}
	var args []string
	for _, d := range defines {
		args = append(args, "-D", d)
	}
	cmd := h.Command("nft", append(args, "-f", "-")...)
	cmd.Stdin = strings.NewReader(text)
	h.lab.must(cmd)
}

// ip runs lines of the ip program on the host.
func (h *Host) ip(lines ...string) {
	h.lab.t.Helper()
	cmd := h.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	h.lab.must(cmd)
}
