package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hairpin/credentials"
	"hairpin/signaling"
	"hairpin/signaling/jointoken"
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/offload"
	"hairpin/turnserver/relay"
	"hairpin/web"
	"hairpin/web/selftest"
)

// httpShutdown is how long requests that are under way may take to end.
const httpShutdown = 5 * time.Second

func newServe(d deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the relay, the credential API, signaling and the pages",
		Args:  cobra.NoArgs,
	}
	flags := addServeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		host := thisHost(countKeys)
		config := flags.load(host)
		s, err := config.resolve(host)
		if flags.PrintConfig {
			if err := config.print(d.stdout, s); err != nil {
				return err
			}
		}
		switch {
		case err != nil:
			return printConfigFaults(d.stderr, err)
		case flags.PrintConfig:
			return nil
		}
		return serve(cmd.Context(), d, flags, config, s)
	}
	return cmd
}

// countKeys checks API keys and returns how many there are.
func countKeys(r io.Reader) (int, error) {
	keys, err := web.ParseKeys(r)
	return len(keys), err
}

// service is everything that "hairpin serve" runs.
type service struct {
	flags  *serveFlags
	config *loadedConfig
	level  *slog.LevelVar
	log    *slog.Logger

	secrets  *credentials.Secrets
	keys     *web.Keys
	turn     *turnserver.Server
	hub      *signaling.Hub
	quality  *qualityMetrics
	started  time.Time
	listener net.Listener // HTTP
	http     *http.Server
	ice      web.ICE
	tests    *selftest.Store

	tokens                 *jointoken.Verifier
	ownTokens, otherTokens *jointoken.Trust // the latter nil where nobody else mints

	roomUsers roomUsers
	selfUser  string // whose credential the server tests itself with; nobody can guess it
	fitted    fitted
}

// serve runs until ctx is done.
func serve(ctx context.Context, d deps, flags *serveFlags, config *loadedConfig, s settings) error {
	v := &service{
		flags: flags, config: config, level: new(slog.LevelVar), selfUser: "self-test-" + rand.Text(), started: time.Now(),
		tests: selftest.NewStore(selftest.DefaultLimits(), nil), roomUsers: newRoomUsers(),
	}
	v.level.Set(s.LogLevel)
	v.log = newLogger(d.stderr, config.LogFormat, v.level)
	for _, warning := range s.Warnings {
		v.log.Warn(warning)
	}
	v.fitted = fit(config, v.log)
	hangups, stopHangups := notifyHangups()
	defer stopHangups()
	if err := v.build(s); err != nil {
		return err
	}
	v.announce(d.stdout)
	stopChecking := v.checkSelf(ctx, s)
	defer stopChecking()
	return v.run(ctx, hangups)
}

func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// build binds every address and makes every part; nothing is served yet.
func (v *service) build(s settings) (err error) {
	if v.secrets, err = credentials.NewSecrets(s.Secrets...); err != nil {
		return usageError(err, "give other secrets with --secret-file")
	}
	keys, err := readKeys(s)
	if err != nil {
		return usageError(err, "mend the file given with --api-keys-file")
	}
	v.keys = web.NewKeys(keys...)
	if v.listener, err = listenHTTP(s.HTTP); err != nil {
		return usageError(err, "choose another address with --http")
	}
	if err := v.buildTURN(s); err != nil {
		_ = v.listener.Close()
		return err
	}
	if err := v.buildHTTP(s); err != nil {
		v.turn.Close()
		_ = v.listener.Close()
		return usageError(err, "")
	}
	return nil
}

// buildTURN binds the relay. What only discovery listens on is not for calls.
func (v *service) buildTURN(s settings) error {
	config := v.turnConfig(s)
	var err error
	if config.Discovery, err = discoverySets(s.Discovery, config.Relays); err != nil {
		return usageError(err, "give --listen or --relay-address the address that goes with it")
	}
	if v.turn, err = turnserver.New(config); err != nil {
		if kernel := (*offload.Error)(nil); errors.As(err, &kernel) {
			return usageError(err, kernel.Hint())
		}
		return usageError(err, "choose other addresses with --listen, --alternate-address, --relay-address and --relay-ports")
	}
	v.ice = iceURIs(v.config.PublicHost, v.turn.Addrs().UDP[:len(s.Listen)], config.Relays)
	if len(v.ice.TURN) == 0 {
		v.turn.Close()
		return usageError(errors.New("no relay address has the family of the addresses listened on, so clients cannot be told where the server is"),
			"give its name with --public-host, or another --relay-address")
	}
	return nil
}

// listenHTTP listens on one family where an address of it is given: package net takes
// 0.0.0.0 for both.
func listenHTTP(addr netip.AddrPort) (net.Listener, error) {
	if addr.Addr().Is4() {
		return net.Listen("tcp4", addr.String())
	}
	return net.Listen("tcp", addr.String())
}

func readKeys(s settings) ([]web.Key, error) {
	if s.APIKeys == nil {
		return nil, nil
	}
	return web.ParseKeys(s.APIKeys())
}

// turnConfig is the relay's part of the configuration.
func (v *service) turnConfig(s settings) turnserver.Config {
	_, httpPort := addrOf(v.listener)
	return turnserver.Config{
		Listen:              s.Listen,
		Relays:              relays(s),
		MinPort:             s.MinPort,
		MaxPort:             s.MaxPort,
		Realm:               v.config.Realm,
		Credentials:         v.secrets,
		Policy:              peerPolicy(v.config, s),
		OwnPorts:            []uint16{httpPort},
		UnauthenticatedRate: unauthenticatedRate(v.config.UnauthenticatedRate),
		Quota:               v.fitted.quota,
		Streams:             v.fitted.streams,
		MaxLifetime:         v.config.AllocationLifetimeMax,
		KeepExpired:         !v.config.StrictExpiry,
		DrainTimeout:        v.config.DrainTimeout,
		LegacyChannels:      v.config.LegacyChannels,
		Offload:             offload.Mode(v.config.Offload),
		SelfUser:            v.selfUser,
		Observe:             v.allocationSeen,
		Refused:             v.refusalSeen,
		Logger:              v.log.With("part", "turn"),
	}
}

// unauthenticatedRate is what the server calls a rate that may be left to it, or lifted.
func unauthenticatedRate(configured *int) int {
	switch {
	case configured == nil:
		return 0
	case *configured == 0:
		return -1
	}
	return *configured
}

func peerPolicy(c *loadedConfig, s settings) control.PolicyConfig {
	return control.PolicyConfig{
		Profile:       control.Profile(c.PeerProfile),
		Allow:         s.AllowPeer,
		Deny:          s.DenyPeer,
		Own:           s.Own,
		AllowLoopback: c.AllowLoopbackForTests,
	}
}

func quota(c *loadedConfig) control.Quota {
	q := control.DefaultQuota()
	q.Allocations = c.MaxAllocations
	q.PerUser = c.MaxAllocationsPerUser
	q.PerAddress = c.MaxAllocationsPerAddress
	q.Permissions = c.MaxPermissions
	q.Channels = c.MaxChannels
	if q.PerUser == 0 {
		q.Reservations = 0 // who may hold any number of ports may hold them in advance
	}
	return q
}

// announce says where to go.
func (v *service) announce(stdout io.Writer) {
	addrs := v.turn.Addrs()
	page := "http://" + v.pageHost() + "/"
	v.log.Info("ready", "http", v.listener.Addr().String(), "udp", addrs.UDP[0].String(), "tcp", addrs.TCP[0].String())
	if v.config.LogFormat == "json" {
		return
	}
	fmt.Fprintf(stdout, "\nHairpin is running. Stop it with Ctrl-C.\n\n")
	fmt.Fprintf(stdout, "  Call page     %s   open it twice\n", page)
	fmt.Fprintf(stdout, "  Test page     %stest   what works from this browser\n", page)
	fmt.Fprintf(stdout, "  STUN, TURN    %s   over UDP and TCP\n", v.ice.TURN[0])
	fmt.Fprintf(stdout, "  ICE servers   %sv1/ice-servers\n\n", page)
}

// pageHost returns where a browser finds the pages.
func (v *service) pageHost() string {
	addr, port := addrOf(v.listener)
	switch {
	case !addr.IsUnspecified():
		return v.listener.Addr().String()
	case v.config.PublicHost != "":
		return net.JoinHostPort(v.config.PublicHost, portText(port))
	default:
		return net.JoinHostPort("127.0.0.1", portText(port))
	}
}

// run serves until ctx is done, and then stops in order: the relay drains while HTTP
// and signaling go on, so that live calls are not cut and health can be asked for.
func (v *service) run(ctx context.Context, hangups <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopReloading := v.reloadOn(hangups)
	defer stopReloading()
	again := context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) }) // a second one kills
	defer again()
	served := make(chan error, 1)
	go func() {
		err := v.http.Serve(v.listener)
		cancel()
		served <- err
	}()
	err := v.turn.Run(ctx)
	cancel()
	stopping, done := context.WithTimeout(context.Background(), httpShutdown)
	defer done()
	hubErr := v.hub.Shutdown(stopping)
	httpErr := v.http.Shutdown(stopping)
	if httpErr != nil {
		_ = v.http.Close() // what has not ended by now is cut
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	v.log.Info("stopped")
	return errors.Join(err, hubErr, httpErr)
}

// relays pairs the local relay addresses with those advertised for them.
func relays(s settings) []relay.Address {
	local := s.RelayAddresses
	if len(local) == 0 {
		local = outgoingAddresses()
	}
	all := make([]relay.Address, 0, len(local))
	for _, l := range local {
		a := relay.Address{Local: l, Advertised: l}
		for _, external := range s.ExternalAddresses {
			if external.Is4() == l.Is4() {
				a.Advertised = external
			}
		}
		all = append(all, a)
	}
	return all
}
