package control

// Reason is the stable code of a refusal: the same in logs, metrics, the HTTP API and
// to the prober. The zero value is no refusal.
type Reason uint8

// The reasons. Comments give the STUN error code that goes with each.
const (
	None Reason = iota

	// Requests that cannot be what they should (400, 420).
	BadRequest       // 400
	UnknownAttribute // 420
	UsernameTooLong  // 400
	BadChannel       // 400, a channel number out of range
	ChannelConflict  // 400, the number or the peer is bound otherwise
	NoPeer           // 400, XOR-PEER-ADDRESS is missing or malformed

	// Authentication (401, 438, 441).
	NoCredentials     // 401, the challenge every client gets first
	WrongRealm        // 401
	MalformedUsername // 401
	Expired           // 401
	ClockSkew         // 401, the credential expires later than any of ours may
	WrongSecret       // 401, no secret of ours signed it
	Revoked           // 401, the operator or a moderator took it back
	StaleNonce        // 438
	OtherUser         // 441, the allocation is another user's

	// Allocations (437, 440, 442, 443, 486, 508).
	NoAllocation         // 437
	AllocationExists     // 437
	UnsupportedFamily    // 440
	FamilyMismatch       // 443
	UnsupportedTransport // 442
	QuotaUser            // 486
	QuotaAddress         // 486
	QuotaServer          // 508
	NoPort               // 508, every port of the range is lent
	NoReservation        // 508, the token is unknown or has lapsed
	TooManyPermissions   // 508
	TooManyChannels      // 508
	Draining             // 508, the server is about to stop

	// Peers (403).
	PeerDeniedUnspecified // "this host" addresses
	PeerDeniedLoopback
	PeerDeniedLinkLocal
	PeerDeniedMetadata // a cloud's metadata service
	PeerDeniedPrivate  // RFC 1918 and unique local addresses
	PeerDeniedShared   // 100.64.0.0/10, carrier-grade NAT
	PeerDeniedMulticast
	PeerDeniedReserved
	PeerDeniedDocumentation
	PeerDeniedTranslated // an IPv6 address that stands for an IPv4 address
	PeerDeniedOwn        // an address of this server
	PeerDeniedConfigured // a range the operator denies
	PeerDeniedProfile    // the profile allows listed ranges only
	PeerDeniedPort       // port 0, or a port of this server that relays nothing

	reasons // their number
)

var reasonCodes = [reasons]string{
	None:                    "none",
	BadRequest:              "bad-request",
	UnknownAttribute:        "unknown-attribute",
	UsernameTooLong:         "username-too-long",
	BadChannel:              "bad-channel",
	ChannelConflict:         "channel-conflict",
	NoPeer:                  "no-peer",
	NoCredentials:           "no-credentials",
	WrongRealm:              "wrong-realm",
	MalformedUsername:       "malformed-username",
	Expired:                 "expired",
	ClockSkew:               "clock-skew",
	WrongSecret:             "wrong-secret",
	Revoked:                 "revoked",
	StaleNonce:              "stale-nonce",
	OtherUser:               "other-user",
	NoAllocation:            "no-allocation",
	AllocationExists:        "allocation-exists",
	UnsupportedFamily:       "unsupported-family",
	FamilyMismatch:          "family-mismatch",
	UnsupportedTransport:    "unsupported-transport",
	QuotaUser:               "quota-user",
	QuotaAddress:            "quota-address",
	QuotaServer:             "quota-server",
	NoPort:                  "no-port",
	NoReservation:           "no-reservation",
	TooManyPermissions:      "too-many-permissions",
	TooManyChannels:         "too-many-channels",
	Draining:                "draining",
	PeerDeniedUnspecified:   "peer-denied-unspecified",
	PeerDeniedLoopback:      "peer-denied-loopback",
	PeerDeniedLinkLocal:     "peer-denied-link-local",
	PeerDeniedMetadata:      "peer-denied-metadata",
	PeerDeniedPrivate:       "peer-denied-private",
	PeerDeniedShared:        "peer-denied-shared",
	PeerDeniedMulticast:     "peer-denied-multicast",
	PeerDeniedReserved:      "peer-denied-reserved",
	PeerDeniedDocumentation: "peer-denied-documentation",
	PeerDeniedTranslated:    "peer-denied-translated",
	PeerDeniedOwn:           "peer-denied-own",
	PeerDeniedConfigured:    "peer-denied-configured",
	PeerDeniedProfile:       "peer-denied-profile",
	PeerDeniedPort:          "peer-denied-port",
}

// String returns the stable code.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return reasonCodes[r]
}

// Reasons returns every reason there is, None aside.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := None + 1; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}
