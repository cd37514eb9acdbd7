package control

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hairpin/turnserver/relay"

	"github.com/pion/stun/v3"
)

// allocation is what the control plane knows of an allocation beyond what the relay
// table does. Server.mu guards it.
type allocation struct {
	*relay.Allocation
	timer timer

	user    string
	credEnd time.Time // when the newest credential it was refreshed with expires
	made    time.Time
	port    claim

	// What the answer to its Allocate request was, for retransmissions.
	txid     [stun.TransactionIDSize]byte
	lifetime time.Duration
	token    *reservationToken
	noSecond bool // an additional address family was asked for and not given
}

// claim is a port that is held, and the pool to give it back to.
type claim struct {
	pool *ports
	port uint16
}

func (c claim) release(now time.Time) { c.pool.release(c.port, now) }

// wish is what an Allocate request asks for, checked.
type wish struct {
	family       byte
	address      relay.Address // of that family; unset where there is a token
	even, next   bool          // EVEN-PORT, and its R bit
	token        *reservationToken
	lifetime     time.Duration
	secondFamily bool // ADDITIONAL-ADDRESS-FAMILY
}

// Values of attributes (RFC 8656 §18.5, §18.8).
const (
	familyIPv4   = 0x01
	familyIPv6   = 0x02
	protocolUDP  = 17
	evenPortNext = 0x80
)

// allocate answers an Allocate request, in the order of RFC 8656 §7.2.
func (q *request) allocate() Reason {
	if a := q.lookup(); a != nil {
		if a.txid == q.TransactionID && a.user == q.user {
			q.allocated(a)
			return None
		}
		return q.fail(codeAllocationMismatch, AllocationExists)
	}
	w, refusal := q.wish()
	if refusal != None {
		return refusal
	}
	if refusal := q.checkQuota(); refusal != None {
		return refusal
	}
	opened, token, refusal := q.obtain(&w)
	if refusal != None {
		return refusal
	}
	a, err := q.server.lendLocked(q, &w, opened, token)
	if err != nil {
		opened.giveUp(q.now)
		if token != nil {
			q.server.lapseLocked(q.server.reservations[*token], q.now)
		}
		return q.fail(codeInsufficientCapacity, NoPort)
	}
	q.allocated(a)
	return None
}

// wish reads what an Allocate request asks for (RFC 8656 §7.2, steps 3 to 9).
func (q *request) wish() (w wish, refusal Reason) {
	transport, ok := q.attribute(stun.AttrRequestedTransport)
	switch {
	case !ok || len(transport) != 4:
		return w, q.fail(codeBadRequest, BadRequest)
	case transport[0] != protocolUDP:
		return w, q.fail(codeUnsupportedTransport, UnsupportedTransport)
	}
	if _, ok := q.attribute(stun.AttrDontFragment); ok && !q.server.config.DontFragment {
		return w, q.refuseAttributes(binary.BigEndian.AppendUint16(nil, uint16(stun.AttrDontFragment)))
	}
	lifetime, ok := q.lifetime()
	if !ok {
		return w, q.fail(codeBadRequest, BadRequest)
	}
	w.lifetime = lifetime
	if refusal := q.wishPort(&w); refusal != None {
		return w, refusal
	}
	return w, q.wishFamily(&w)
}

// wishPort reads EVEN-PORT and RESERVATION-TOKEN (steps 5 and 8).
func (q *request) wishPort(w *wish) Reason {
	even, haveEven := q.attribute(stun.AttrEvenPort)
	token, haveToken := q.attribute(stun.AttrReservationToken)
	switch {
	case haveEven && len(even) != 1, haveToken && len(token) != len(reservationToken{}), haveEven && haveToken:
		return q.fail(codeBadRequest, BadRequest)
	case haveToken:
		w.token = (*reservationToken)(token)
	case haveEven:
		w.even, w.next = true, even[0]&evenPortNext != 0
	}
	return None
}

// wishFamily reads REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY (steps 5 to
// 9). The latter is comprehension-optional; the second address is not given, and the
// answer says so.
func (q *request) wishFamily(w *wish) Reason {
	w.family = familyIPv4
	requested, haveRequested := q.attribute(stun.AttrRequestedAddressFamily)
	additional, haveAdditional := q.attribute(attrAdditionalAddressFamily)
	switch {
	case haveRequested && haveAdditional, w.token != nil && (haveRequested || haveAdditional),
		haveRequested && len(requested) != 4, haveAdditional && len(additional) != 4:
		return q.fail(codeBadRequest, BadRequest)
	case haveAdditional && (additional[0] != familyIPv6 || w.next):
		return q.fail(codeBadRequest, BadRequest)
	case haveRequested:
		w.family = requested[0]
	}
	w.secondFamily = haveAdditional
	if w.token != nil {
		return None // the reservation has an address
	}
	return q.chooseAddress(w)
}

// lifetime returns the lifetime to grant for what the request asks, the credential's
// own end aside: at least the default, at most the server's maximum (RFC 8656 §7.2).
func (q *request) lifetime() (time.Duration, bool) {
	value, ok := q.attribute(stun.AttrLifetime)
	if !ok {
		return DefaultLifetime, true
	}
	if len(value) != 4 {
		return 0, false
	}
	asked := time.Duration(binary.BigEndian.Uint32(value)) * time.Second
	return max(DefaultLifetime, min(asked, q.server.config.MaxLifetime)), true
}

// chooseAddress finds the address to lend a relayed transport address on (step 7).
func (q *request) chooseAddress(w *wish) Reason {
	for _, a := range q.server.config.Relays {
		if familyOf(a.Local) == w.family {
			w.address = a
			return None
		}
	}
	return q.fail(codeUnsupportedFamily, UnsupportedFamily)
}

// opened is a relay socket and what it holds.
type opened struct {
	socket  relay.Socket
	port    claim
	relayed netip.AddrPort
}

// giveUp closes the socket and gives its port back.
func (o opened) giveUp(now time.Time) {
	_ = o.socket.Close() // a relay socket has nothing to flush
	o.port.release(now)
}

// obtain returns the relay socket that was reserved, if the request has a token, or a
// new one, and reserves the next port if that was asked for.
func (q *request) obtain(w *wish) (o opened, token *reservationToken, refusal Reason) {
	if w.token != nil {
		o, ok := q.server.redeemLocked(*w.token, q.user, q.now)
		if !ok {
			return o, nil, q.fail(codeInsufficientCapacity, NoReservation)
		}
		return o, nil, None
	}
	o, next, ok := q.open(w.address, w)
	switch {
	case !ok:
		return o, nil, q.fail(codeInsufficientCapacity, NoPort)
	case w.next:
		token = q.server.reserveLocked(q, next)
	}
	return o, token, None
}

// open opens a relay socket as wished for, and one on the next port if that is to be
// reserved: a port without a socket could be taken by another program. Where another
// program has a port already, others are tried.
func (q *request) open(address relay.Address, w *wish) (o, next opened, ok bool) {
	pool := q.server.pools[address.Local]
	var busy []uint16
	defer func() {
		for _, port := range busy {
			pool.release(port, q.now)
		}
	}()
	for range openTries {
		port, ok := takePort(pool, w, q.now)
		if !ok {
			break
		}
		o, err := q.openAt(address, port)
		if err == nil && w.next {
			if next, err = q.openAt(address, port+1); err != nil {
				_ = o.socket.Close()
			}
		}
		if err == nil {
			return o, next, true
		}
		busy = append(busy, port)
		if w.next {
			busy = append(busy, port+1)
		}
		if !q.server.config.PortBusy(err) {
			break
		}
	}
	return opened{}, opened{}, false
}

// openAt opens a relay socket on a port that has been taken out of the pool.
func (q *request) openAt(address relay.Address, port uint16) (opened, error) {
	socket, err := q.server.config.Open(netip.AddrPortFrom(address.Local, port))
	if err != nil {
		return opened{}, err
	}
	return opened{
		socket:  socket,
		port:    claim{q.server.pools[address.Local], port},
		relayed: netip.AddrPortFrom(address.Advertised, port),
	}, nil
}

// takePort takes a port out of the pool: two where the next one is to be reserved.
func takePort(pool *ports, w *wish, now time.Time) (uint16, bool) {
	switch {
	case w.next:
		return pool.takePair(now)
	case w.even:
		return pool.takeEven(now)
	default:
		return pool.take(now)
	}
}

// lendLocked makes the allocation. It fails if the table has the relayed address
// already, as it may where two local addresses are advertised as one.
func (s *Server) lendLocked(q *request, w *wish, o opened, token *reservationToken) (_ *allocation, err error) {
	a := &allocation{
		user: q.user, credEnd: q.expires, made: q.now, port: o.port,
		txid: q.TransactionID, token: token, noSecond: w.secondFamily,
	}
	a.lifetime = s.granted(a, q.now, w.lifetime)
	if a.Allocation, err = s.config.Table.Add(relay.Opening{
		FiveTuple: q.from.FiveTuple, Path: q.from.Path,
		Socket: o.socket, Relayed: o.relayed, Expires: q.now.Add(a.lifetime),
	}); err != nil {
		return nil, err
	}
	a.timer.owner = a
	s.wheel.schedule(&a.timer, q.now.Add(a.lifetime))
	s.allocations[q.from.FiveTuple] = a
	s.users[a.user]++
	s.addresses[quotaAddress(a.Client.Addr())]++
	s.eventLocked(a, Event{Kind: Allocated, At: q.now})
	return a, nil
}

// granted bounds a lifetime by the end of the credential, unless configured otherwise.
func (s *Server) granted(a *allocation, now time.Time, lifetime time.Duration) time.Duration {
	if s.config.KeepExpired {
		return lifetime
	}
	return min(lifetime, a.credEnd.Sub(now))
}

// allocated answers an Allocate request that succeeded.
func (q *request) allocated(a *allocation) {
	q.succeed()
	q.addAddress(stun.AttrXORRelayedAddress, a.Relayed)
	q.addLifetime(a.lifetime)
	if a.token != nil {
		q.reply.Add(stun.AttrReservationToken, a.token[:])
	}
	q.addAddress(stun.AttrXORMappedAddress, q.from.Client)
	if a.noSecond {
		q.reply.Add(attrAddressErrorCode, []byte{familyIPv6, 0, codeUnsupportedFamily / 100, codeUnsupportedFamily % 100})
	}
}

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return familyIPv4
	}
	return familyIPv6
}
