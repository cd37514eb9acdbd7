package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"hairpin/credentials"
	"hairpin/signaling"
	"hairpin/turnserver/probe"
	"hairpin/web"
)

// buildHTTP makes the API, the pages and signaling.
func (v *service) buildHTTP(s settings) (err error) {
	v.buildJoinTokens(s)
	v.quality = newQualityMetrics()
	v.hub, err = signaling.NewHub(signaling.Config{
		Limits:         signalLimits(v.config),
		AllowedOrigins: v.config.AllowOrigin,
		OriginOptional: s.Demo,
		Authorize:      v.authorizer(s),
		ICEServers:     v.iceServers,
		Removed:        v.endUser,
		Report:         v.quality.observe,
		ClientAddr:     web.ClientAddr(s.TrustedProxy),
		Logger:         v.log.With("part", "signaling"),
	})
	if err != nil {
		return err
	}
	config := web.Config{
		Mint:            v.mint,
		DefaultTTL:      v.config.CredentialTTL,
		ICE:             v.ice,
		Keys:            v.keys,
		Demo:            demoMode(s),
		AllowedOrigins:  v.config.AllowOrigin,
		TrustedProxies:  s.TrustedProxy,
		Signal:          v.hub,
		SelfTests:       v.tests,
		Ready:           v.ready,
		Draining:        v.turn.Draining,
		Rooms:           &web.Rooms{Mint: v.mintJoinToken, List: v.listRooms, Server: v.figures},
		Collectors:      append(v.quality.collectors(), newCollector(v.turn, v.hub)),
		MetricsAnywhere: v.config.MetricsOpen,
		Logger:          v.log.With("part", "http"),
	}
	if v.config.PublicHost != "" && !s.Demo { // a request by that name came through a proxy
		config.PublicHosts = []string{v.config.PublicHost}
	}
	handler, err := web.New(config)
	if err != nil {
		return err
	}
	v.http = web.NewHTTPServer(handler, config.Logger)
	return nil
}

// demoMode opens the demo to this machine; the configuration has made sure that HTTP is
// only there.
func demoMode(s settings) web.Demo {
	if s.Demo {
		return web.DemoLocal
	}
	return web.DemoOff
}

func signalLimits(c *loadedConfig) signaling.Limits {
	l := signaling.DefaultLimits()
	l.Rooms = c.SignalRooms
	l.Members = c.SignalRoomMembers
	l.JoinRate = float64(c.SignalJoinsPerSecond)
	l.JoinBurst = max(l.JoinBurst, c.SignalJoinsPerSecond)
	l.MessageRate = float64(c.SignalMessagesPerSecond)
	l.MessageBurst = max(l.MessageBurst, c.SignalMessagesPerSecond)
	l.ByteRate = float64(c.SignalBytesPerSecond)
	l.ByteBurst = max(l.ByteBurst, c.SignalBytesPerSecond)
	l.OutboxMessages = c.SignalOutbox
	l.SocketsPerAddress = c.SignalSocketsPerAddress
	l.Sockets = c.SignalSockets
	l.Grace = c.SignalResumeGrace
	l.RemovedFor = c.SignalRemovalTime
	return l
}

// mint issues a credential.
func (v *service) mint(user string, ttl time.Duration) (credentials.Credential, error) {
	return v.secrets.Mint(user, ttl, time.Now())
}

// iceServers makes what a member of a room connects with.
func (v *service) iceServers(m signaling.Member) (signaling.ICEServers, error) {
	c, err := v.mint(v.roomUsers.of(m), v.config.CredentialTTL)
	if err != nil {
		return signaling.ICEServers{}, err
	}
	return signaling.ICEServers{
		Servers: []signaling.ICEServer{
			{URLs: v.ice.STUN},
			{URLs: v.ice.TURN, Username: c.Username, Credential: signaling.Secret(c.Password)},
		},
		TTL:       c.TTL,
		ExpiresAt: c.ExpiresAt,
	}, nil
}

// ready relays a packet through this very server.
func (v *service) ready(ctx context.Context) error {
	c, err := v.mint(v.selfUser, time.Minute)
	if err != nil {
		return err
	}
	at := v.turn.Addrs().UDP[0]
	if at.Addr().IsUnspecified() {
		// A listener on [::] takes IPv4 too, and IPv6 may be off.
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	login := probe.Login{Username: c.Username, Password: c.Password, Realm: v.config.Realm}
	if err := probe.Loop(ctx, at, login); err != nil {
		return fmt.Errorf("relay through %v: %w", at, err)
	}
	return nil
}
