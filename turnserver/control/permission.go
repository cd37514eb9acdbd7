package control

import (
	"encoding/binary"
	"net/netip"

	"hairpin/turnserver/wire"

	"github.com/pion/stun/v3"
)

// createPermission answers a CreatePermission request: all peers get a permission, or
// none does (RFC 8656 §10.2).
func (q *request) createPermission() Reason {
	a, refusal := q.own()
	if refusal != None {
		return refusal
	}
	var peers []netip.Addr
	for _, attr := range q.Attributes {
		if attr.Type != stun.AttrXORPeerAddress {
			continue
		}
		peer, ok := wire.ParseXORAddress(attr.Value, q.Raw)
		if !ok {
			return q.fail(codeBadRequest, NoPeer)
		}
		if refusal := q.checkPeer(a, peer.Addr()); refusal != None {
			return refusal
		}
		peers = append(peers, peer.Addr())
	}
	if peers == nil {
		return q.fail(codeBadRequest, NoPeer)
	}
	if q.tooManyPermissions(a, peers...) {
		return q.fail(codeInsufficientCapacity, TooManyPermissions)
	}
	until := q.now.Add(PermissionLifetime)
	for _, peer := range peers {
		a.Permit(q.now, peer, until)
	}
	q.succeed()
	return None
}

// checkPeer refuses a peer of the wrong family, or one that the policy forbids.
func (q *request) checkPeer(a *allocation, peer netip.Addr) Reason {
	if familyOf(peer) != familyOf(a.Relayed.Addr()) {
		return q.fail(codeFamilyMismatch, FamilyMismatch)
	}
	if reason := q.server.policy.Load().Check(peer); reason != None {
		return q.fail(codeForbidden, reason)
	}
	return None
}

// tooManyPermissions reports whether permitting the peers would exceed the bound.
func (q *request) tooManyPermissions(a *allocation, peers ...netip.Addr) bool {
	bound := q.server.quota.Permissions
	if bound == 0 {
		return false
	}
	fresh := make(map[netip.Addr]bool, len(peers))
	for _, peer := range peers {
		if !a.Permitted(q.now, peer) {
			fresh[peer] = true
		}
	}
	return len(fresh) > 0 && len(a.Permissions(q.now))+len(fresh) > bound
}

// channelBind answers a ChannelBind request (RFC 8656 §12.2).
func (q *request) channelBind() Reason {
	a, refusal := q.own()
	if refusal != None {
		return refusal
	}
	number, haveNumber := q.attribute(stun.AttrChannelNumber)
	value, _ := q.attribute(stun.AttrXORPeerAddress)
	peer, ok := wire.ParseXORAddress(value, q.Raw)
	switch {
	case !haveNumber || len(number) != 4:
		return q.fail(codeBadRequest, BadChannel)
	case !ok:
		return q.fail(codeBadRequest, NoPeer)
	}
	channel := binary.BigEndian.Uint16(number)
	if channel < wire.MinChannel || channel > q.server.maxChannel() {
		return q.fail(codeBadRequest, BadChannel)
	}
	if refusal := q.checkBinding(a, channel, peer); refusal != None {
		return refusal
	}
	a.Bind(q.now, channel, peer, q.now.Add(ChannelLifetime), q.now.Add(PermissionLifetime))
	q.succeed()
	return None
}

// maxChannel returns the highest channel number that may be bound.
func (s *Server) maxChannel() uint16 {
	if s.config.LegacyChannels {
		return wire.MaxLegacyChannel
	}
	return wire.MaxChannel
}

// reachable reports whether packets may go to a peer that the policy permits: towards
// this server's own addresses only the ports that it lends are peers.
func (q *request) reachable(peer netip.AddrPort) bool {
	lent := peer.Port() >= q.server.config.MinPort && peer.Port() <= q.server.config.MaxPort
	return peer.Port() != 0 && (lent || q.server.config.Table.Reachable(peer))
}

// checkBinding refuses a binding that conflicts with another, and peers as checkPeer
// does.
func (q *request) checkBinding(a *allocation, channel uint16, peer netip.AddrPort) Reason {
	if refusal := q.checkPeer(a, peer.Addr()); refusal != None {
		return refusal
	}
	if !q.reachable(peer) {
		return q.fail(codeForbidden, PeerDeniedPort)
	}
	boundPeer, channelBound := a.Bound(q.now, channel)
	boundChannel, peerBound := a.ChannelOf(q.now, peer)
	bound := q.server.quota.Channels
	switch {
	case channelBound && boundPeer != peer, peerBound && boundChannel != channel:
		return q.fail(codeBadRequest, ChannelConflict)
	case !channelBound && bound != 0 && len(a.Flows(q.now)) >= bound:
		return q.fail(codeInsufficientCapacity, TooManyChannels)
	case q.tooManyPermissions(a, peer.Addr()):
		return q.fail(codeInsufficientCapacity, TooManyPermissions)
	}
	return None
}
