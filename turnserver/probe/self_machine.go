package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/pion/stun/v3"
)

// machine is what Self asks of the world, so that tests can be it.
type machine struct {
	// answers asks a STUN server here for a Binding response.
	answers func(ctx context.Context, at netip.AddrPort) AddressDetails

	// mapped asks a STUN server who a socket on a port of a range is.
	mapped func(ctx context.Context, local netip.Addr, minPort, maxPort uint16, server netip.AddrPort) (ours, mapped netip.AddrPort, err error)

	// open opens a UDP port of a range and closes it.
	open func(local netip.Addr, minPort, maxPort uint16) error

	addrs         func() []netip.Addr                  // of the interfaces
	receiveBuffer func(asked int) (got int, err error) // bytes
	conntrack     func() (count, most int, on bool)    // entries
	synchronised  func() (synchronised, known bool)    // the clock, by the kernel's account
	date          func(ctx context.Context, from string) (theirs, ours time.Time, err error)
}

func thisMachine() machine {
	return machine{
		answers: askBinding, mapped: askMapped, open: openOne, addrs: interfaceAddrs,
		receiveBuffer: receiveBuffer, conntrack: conntrack, synchronised: clockSynchronised, date: askDate,
	}
}

func askBinding(ctx context.Context, at netip.AddrPort) AddressDetails {
	p := &prober{
		uri: URI{Scheme: schemeSTUN, Host: at.Addr().String(), Port: at.Port(), Transport: transportUDP},
		o:   Options{Wait: selfWait}.withDefaults(),
	}
	return p.tryAddress(ctx, at)
}

// portTries is how many ports of a range are tried where other programs hold some.
const portTries = 16

// listenInRange opens a UDP socket on a random port of a range.
func listenInRange(local netip.Addr, minPort, maxPort uint16, then func(at netip.AddrPort) error) (err error) {
	for range portTries {
		port := minPort + uint16(rand.N(uint32(maxPort-minPort)+1))
		if err = then(netip.AddrPortFrom(local, port)); err == nil {
			return nil
		}
	}
	return err
}

func openOne(local netip.Addr, minPort, maxPort uint16) error {
	return listenInRange(local, minPort, maxPort, func(at netip.AddrPort) error {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func askMapped(ctx context.Context, local netip.Addr, minPort, maxPort uint16, server netip.AddrPort) (ours, mapped netip.AddrPort, err error) {
	var conn net.Conn
	err = listenInRange(local, minPort, maxPort, func(at netip.AddrPort) (err error) {
		conn, err = (&net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(at)}).DialContext(ctx, transportUDP, server.String())
		ours = at
		return err
	})
	if err != nil {
		return ours, mapped, err
	}
	c := newClient(datagrams{conn}, selfWait)
	defer c.close()
	answer, err := c.exchange(ctx, stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint))
	if err != nil {
		return ours, mapped, err
	}
	mapped, ok := addressOf(answer, stun.AttrXORMappedAddress)
	if !ok {
		return ours, mapped, errSilent
	}
	return ours, mapped, nil
}

func interfaceAddrs() []netip.Addr {
	networks, _ := net.InterfaceAddrs() // what cannot be listed is not there
	var addrs []netip.Addr
	for _, n := range networks {
		if prefix, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs
}

// CheckTimeURL reports why a URL cannot be asked for the time.
func CheckTimeURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("is no https URL of a host")
	}
	return nil
}

// askDate asks a web server for the time, and takes neither a body nor a redirection.
func askDate(ctx context.Context, from string) (theirs, ours time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*selfWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, from, nil)
	if err != nil {
		return theirs, ours, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return theirs, ours, err
	}
	_ = response.Body.Close()
	ours = begun.Add(time.Since(begun) / 2)
	if theirs, err = http.ParseTime(response.Header.Get("Date")); err != nil {
		return theirs, ours, fmt.Errorf("%s gives no Date", from)
	}
	return theirs, ours, nil
}
