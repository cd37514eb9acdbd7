package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/probe"
)

// secure sets the transport of a plan, and what is expected of the server's certificate.
func (o *benchOptions) secure(u probe.URI, p *bench.Plan) error {
	p.Transport = bench.Transport(u.Transport)
	if !u.Secure() {
		if o.caFile != "" {
			return usageError(errors.New("--ca-file is of use with turns: and stuns: only"), "")
		}
		return nil
	}
	p.Transport = bench.TLS
	p.TLS = &tls.Config{ServerName: u.Host, MinVersion: tls.VersionTLS12}
	if o.caFile == "" {
		return nil
	}
	roots, err := readRoots(o.caFile)
	p.TLS.RootCAs = roots
	return err
}

// resolve returns the first address of the server, and refuses one that is public
// unless that was agreed to: a load is an attack on who did not ask for it.
func (o *benchOptions) resolve(ctx context.Context, u probe.URI) (netip.AddrPort, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil || len(addresses) == 0 {
		return netip.AddrPort{}, unreachableError(fmt.Errorf("the server's name leads nowhere: %w", err), "check the URI, or give an IP address")
	}
	address := addresses[0].Unmap()
	if isPublic(address) && !o.allowPublic && !isOwn(address) {
		return netip.AddrPort{}, usageError(fmt.Errorf("%v is a public address", address),
			"to load a server of others without their consent is an attack; with it, add --allow-public")
	}
	return netip.AddrPortFrom(address, u.Port), nil
}

// sharedSpace is for providers' own networks (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func isPublic(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !sharedSpace.Contains(a)
}

// isOwn reports whether an address is this machine's.
func isOwn(a netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(of net.Addr) bool {
		prefix, err := netip.ParsePrefix(of.String())
		return err == nil && prefix.Addr().Unmap() == a
	})
}
