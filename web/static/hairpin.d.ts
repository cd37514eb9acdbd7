/**
 * From the server's `ice-servers` message to what RTCPeerConnection is given.
 *
 * @param {RTCIceServer[]} iceServers
 * @param {{ relayOnly?: boolean, transport?: Transport }} [choice]
 * @returns {RTCConfiguration}
 */
export function iceConfiguration(iceServers: RTCIceServer[], { relayOnly, transport }?: {
    relayOnly?: boolean;
    transport?: Transport;
}): RTCConfiguration;
/**
 * Keeps the URLs reached over transport, and the servers that have one left.
 *
 * @param {RTCIceServer[]} iceServers
 * @param {Transport} transport
 * @returns {RTCIceServer[]}
 */
export function filterServers(iceServers: RTCIceServer[], transport: Transport): RTCIceServer[];
/**
 * @param {RTCIceServer[]} iceServers
 * @returns {string[]} every turn: and turns: URL
 */
export function relayURLs(iceServers: RTCIceServer[]): string[];
/**
 * The transport of a STUN (RFC 7064) or TURN (RFC 7065) URI, with the defaults of RFC 7065 section 3.1: a secure scheme
 * means TLS over TCP unless it says otherwise.
 *
 * @param {string} url
 * @returns {'udp' | 'tcp'}
 */
export function transportOf(url: string): "udp" | "tcp";
/**
 * @param {Report} report
 * @returns {Totals}
 */
export function totalsOf(report: Report): Totals;
/**
 * @param {Totals} now
 * @param {Totals | null} before null the first time: nothing can be said of rates then
 * @param {Pair | null} pair
 * @returns {Stats}
 */
export function compareTotals(now: Totals, before: Totals | null, pair: Pair | null): Stats;
/**
 * Round trip and jitter come as one sample's; here they are drawn towards it instead. Rates are smooth by their window.
 *
 * @param {Stats} latest
 * @param {Stats | null} before
 * @returns {Stats}
 */
export function smoothStats(latest: Stats, before: Stats | null): Stats;
/**
 * @param {Report} report
 * @returns {Pair | null} null before a pair is selected
 */
export function selectedPair(report: Report): Pair | null;
/**
 * The verdict is the worst number's. The bitrate does not count: a camera that is off, or a picture that is still, needs none.
 *
 * @param {{ roundTripMs: number | null, lossPercent: number | null, jitterMs: number | null }} numbers
 * @returns {Verdict}
 */
export function judge({ roundTripMs, lossPercent, jitterMs }: {
    roundTripMs: number | null;
    lossPercent: number | null;
    jitterMs: number | null;
}): Verdict;
/**
 * @param {keyof typeof THRESHOLDS} name
 * @param {number | null} value
 * @returns {Verdict}
 */
export function grade(name: keyof typeof THRESHOLDS, value: number | null): Verdict;
/**
 * How long to wait before the next attempt: doubled each time up to a bound, half of it by chance, so that a restarted
 * server is not met by everybody at once.
 *
 * @param {number} attempts made so far without success
 * @param {number} chance from 0 to 1
 * @returns {number} milliseconds
 */
export function retryDelay(attempts: number, chance: number): number;
/**
 * Another member wrote these bytes: everything is checked and bounded.
 *
 * @param {unknown} data
 * @returns {{ type: 'hello', name: string, media: MediaState } | { type: 'media', media: MediaState } | null}
 */
export function parseControl(data: unknown): {
    type: "hello";
    name: string;
    media: MediaState;
} | {
    type: "media";
    media: MediaState;
} | null;
/**
 * Who is which end of the DTLS association stays what it was, ICE restarts included (RFC 8842 section 5.3). To an offer that
 * leaves it open Firefox answers `active`, even where it was not, and the other browser then refuses the answer; so the offer
 * is read as naming what the other side is.
 *
 * @param {RTCSessionDescriptionInit} description from the other side
 * @param {Pick<RTCPeerConnection, 'currentLocalDescription' | 'currentRemoteDescription'>} now
 * @returns {RTCSessionDescriptionInit} what to set
 */
export function keepDTLSRole({ type, sdp }: RTCSessionDescriptionInit, { currentLocalDescription, currentRemoteDescription }: Pick<RTCPeerConnection, "currentLocalDescription" | "currentRemoteDescription">): RTCSessionDescriptionInit;
/**
 * A call is as well as its best member: one failed path among many must not look like a failed call. Alone in a room is
 * connected, for nothing is amiss.
 *
 * @param {MemberState[]} members
 * @returns {RoomState}
 */
export function roomState(members: MemberState[]): RoomState;
/**
 * Means over the time since the last report; of the picture only where one came.
 *
 * @param {Pick<Connection, 'state' | 'history' | 'restarts' | 'timeToConnectMs'>} connection
 * @returns {Record<string, number | string> | null} null while there is nothing to say
 */
export function qualityReport({ state, history, restarts, timeToConnectMs }: Pick<Connection, "state" | "history" | "restarts" | "timeToConnectMs">): Record<string, number | string> | null;
/**
 * The signaling endpoint of a server, from the address of any page of it.
 *
 * @param {string} [url] ws:, wss:, http: or https: address, or a path; a path of its own is kept
 */
export function signalingURL(url?: string): string;
/**
 * Joins a room. Who is there already is in room.members when it returns; `member` events tell of those who come later.
 *
 * @param {JoinOptions} options
 * @returns {Promise<Room>}
 * @throws {JoinError} when the server does not let us in; with a DOMException when media are asked for and refused
 */
export function join(options: JoinOptions): Promise<Room>;
/**
 * Hairpin's browser library: a call among the members of a room, each connected to each, through any Hairpin server. One
 * module without dependencies; copy it, or import it from a server.
 *
 *     import { join } from '/hairpin.js'
 *
 *     const room = await join({ room: 'blue', name: 'Ann', media: { audio: true, video: true } })
 *     const show = (member) => { video.srcObject = member.stream }
 *     for (const member of room.members.values()) show(member)
 *     room.addEventListener('member', (event) => show(event.detail))
 *
 * Why it exists: negotiating is easy to get almost right. Here both sides may offer at any time (perfect negotiation, W3C
 * WebRTC section 10.7), candidates wait in order for their description, credentials are renewed before they expire, a lost
 * path is sought anew, and a lost socket comes back as the same member. What a call then does is told in numbers.
 *
 * Words, smallest to largest: a track is one sound or picture; a connection is the RTCPeerConnection to one other member, with
 * three data channels (control, messages, bulk); a member is a person of the room other than ourselves; a room is all of them,
 * and the socket to the server that introduces them.
 *
 * Who owns what: tracks that the caller hands in stay the caller's; tracks that the library opens (constraints given to join,
 * devices chosen, screens shared) are stopped by it. A member's stream is the same object for the life of that member.
 *
 * Everything another member or the server sends is checked and bounded before use. Nothing is stored, nothing is logged but
 * by console.warn, and no key or credential ever is.
 */
/**
 * @typedef {'any' | 'udp' | 'tcp'} Transport how this browser reaches the relay
 * @typedef {'joining' | 'connected' | 'reconnecting' | 'failed' | 'left'} RoomState
 * @typedef {'connecting' | 'connected' | 'reconnecting' | 'failed'} MemberState
 * @typedef {'audio' | 'video'} Kind
 *
 * @typedef {object} JoinOptions
 * @property {string} room name of the room
 * @property {string} [url] address of the signaling endpoint, or of the server's pages; by default that of the server this
 *   module came from
 * @property {string} [token] join token or key, for servers that ask for one
 * @property {string} [name] what others see
 * @property {MediaStream | MediaStreamConstraints | null} [media] what to send: tracks of the caller's, or what to ask the
 *   browser for; null or nothing to receive only
 * @property {boolean} [stopTracks] whether the tracks of a stream given as media become the library's, which stops them when
 *   they are no longer needed
 * @property {boolean} [relayOnly] never connect directly
 * @property {Transport} [transport] how the relay is reached
 * @property {Limits} [limits] of what is sent
 * @property {string[]} [codecs] MIME types in order of preference, such as video/VP9; others follow in the browser's order
 * @property {AbortSignal} [signal] gives up joining
 *
 * @typedef {object} Limits 0 or nothing lifts one
 * @property {number} [maxBitrateKbps] of the video sent to each member
 * @property {number} [maxHeight] of the video sent, in pixels
 *
 * @typedef {object} MediaState what a member says it sends
 * @property {boolean} audio
 * @property {boolean} video
 * @property {boolean} screen whether the picture is of a screen
 *
 * @typedef {{ type: string, [key: string]: any }} Message of signaling
 *
 * @typedef {object} Refusal
 * @property {string} reason stable code
 * @property {string} message a sentence for developers
 *
 * @typedef {object} RelayError what a STUN or TURN server answered, or that it did not
 * @property {string} url
 * @property {number} code a STUN error code, or 701 when the server was not reached
 * @property {string} text
 *
 * @typedef {object} Failure why there is no path to a member
 * @property {'no-relay' | 'no-path' | 'timeout'} reason
 * @property {RelayError[]} errors one for each server that failed
 * @property {string[]} relays the TURN URLs that were tried
 *
 * @typedef {object} Pair the selected candidate pair
 * @property {string} local candidate type (RFC 8445): host, srflx, prflx or relay
 * @property {string} remote
 * @property {string} protocol udp or tcp; towards the relay, where the local candidate is one, and then tls too
 * @property {'direct' | 'nat' | 'relay'} kind of path: between hosts, through an address translator, through a relay
 * @property {string} localAddress empty where the browser hides it
 * @property {string} remoteAddress
 *
 * @typedef {ReadonlyMap<string, any>} Report an RTCStatsReport, which behaves as a Map of id to dictionary
 *
 * @typedef {object} Totals what has been counted since the connection began
 * @property {number} at milliseconds
 * @property {number} bytesReceived
 * @property {number} bytesSent
 * @property {number} videoBytesReceived
 * @property {number} packetsReceived
 * @property {number} packetsLost
 * @property {number | null} roundTripMs the latest, not a total
 * @property {number | null} jitterMs the latest, not a total
 * @property {number} frameHeight of the picture received; 0 without one
 * @property {number} framesPerSecond
 *
 * @typedef {'good' | 'warning' | 'critical' | 'unknown'} Verdict
 *
 * @typedef {object} Stats smoothed over a few seconds; null where nothing can be said yet
 * @property {number} at milliseconds, of the browser's statistics clock
 * @property {number | null} roundTripMs
 * @property {number | null} lossPercent of the packets sent to us
 * @property {number | null} jitterMs
 * @property {number | null} bitrateKbps received
 * @property {number | null} sendBitrateKbps
 * @property {number | null} videoKbps received, of the picture alone
 * @property {number} frameHeight of the picture received; 0 without one
 * @property {number} framesPerSecond
 * @property {Pair | null} pair
 * @property {Verdict} verdict the worst of round trip, loss and jitter
 */
/** Below the first is good, above the second is critical; for the bitrate, of video, it is the other way round. */
export const THRESHOLDS: Readonly<{
    roundTripMs: readonly number[];
    lossPercent: readonly number[];
    jitterMs: readonly number[];
    videoKbps: readonly number[];
}>;
/** A token bucket, so that a burst of ICE candidates to a full room stays under the server's limit of messages a second. */
export class Pace {
    /**
     * @param {number} perSecond messages a second in the long run
     * @param {number} burst messages at once
     */
    constructor(perSecond: number, burst: number);
    /**
     * @param {number} now milliseconds of a clock that never goes back
     * @returns {number} 0 when a message may go now, else the milliseconds to wait before asking again
     */
    take(now: number): number;
    #private;
}
/**
 * @typedef {object} Outgoing what we send, the same to every member; the room's, which changes it
 * @property {string} name ours
 * @property {Record<Kind, MediaStreamTrack | null>} tracks
 * @property {MediaStream} stream they are said to belong to
 * @property {Limits} limits
 * @property {string[]} codecs
 * @property {() => MediaState} state
 */
/**
 * The RTCPeerConnection to one other member: perfect negotiation, candidates trickled and held in order, ICE restarted when
 * the path is lost, data channels, statistics.
 *
 * Events: `state` (detail: MemberState), `stream` (a track came or went), `hello` and `media` (detail: what the member says
 * of itself), `data` (detail: { data, bulk }), `ready` (the data channels opened or closed), `channel` (detail: an
 * RTCDataChannel that is none of ours), `unanswered` (an offer got no answer in time).
 */
export class Connection extends EventTarget {
    /**
     * @param {object} options
     * @param {(message: Message) => void} options.send signals to this member
     * @param {boolean} options.polite gives way when both offer at once; exactly one of two is polite
     * @param {RTCConfiguration} options.configuration
     * @param {Outgoing} options.outgoing
     */
    constructor({ send, polite, configuration, outgoing }: {
        send: (message: Message) => void;
        polite: boolean;
        configuration: RTCConfiguration;
        outgoing: Outgoing;
    });
    /** What the member sends us; the same object for the life of the connection. */
    stream: MediaStream;
    /** @type {MemberState} */
    state: MemberState;
    /** @type {Failure | null} */
    failure: Failure | null;
    /** Whether data can be sent: the channels are open, and the other side's library has said hello, so it reads them. */
    ready: boolean;
    /** ICE restarts so far. */
    restarts: number;
    /** @type {number | null} from the first description until the path was there */
    timeToConnectMs: number | null;
    /** @type {Stats[]} two minutes of them at most, the latest last */
    history: Stats[];
    /** Makes the first offer. The newcomer does, to everybody who was there. */
    initiate(): void;
    /** @param {Message} message an offer, answer or candidate of this member */
    receive(message: Message): void;
    /**
     * Takes up renewed credentials. A relay lends its addresses no longer than the credentials last that
     * asked for them, so new ones are asked for at once; media goes on meanwhile.
     *
     * @param {RTCConfiguration} configuration
     */
    configure(configuration: RTCConfiguration): void;
    /** Takes up what has changed of our tracks. */
    updateTracks(): void;
    /** Takes up what has changed of the limits. */
    updateLimits(): void;
    /** Seeks the path anew: the network has changed. Gives a connection that had failed another chance. */
    restart(): void;
    /** Says to the other side what we send. */
    tellMedia(): void;
    /**
     * Sends in order, then waits until the other side has taken most of it.
     *
     * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
     * @param {boolean} bulk on the channel that other messages may overtake
     * @returns {Promise<boolean>} false when it could not be sent: there is no open channel, or too much is waiting already
     */
    sendData(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>, bulk: boolean): Promise<boolean>;
    /** Takes a sample of the statistics, smooths it and keeps it. */
    sample(): Promise<void>;
    close(): void;
    #private;
}
/** Another member of the room. */
export class Member {
    /**
     * @param {string} id
     * @param {string} name
     * @param {Connection} connection
     */
    constructor(id: string, name: string, connection: Connection);
    /** @type {MediaState} what it says it sends */
    media: MediaState;
    /** Why the server ended the membership: removed, or empty. */
    leftReason: string;
    id: string;
    name: string;
    /** What the member sends us; the same object for the life of the member. */
    get stream(): MediaStream;
    get state(): MemberState;
    /** The selected candidate pair, as of the latest statistics. */
    get pair(): Pair | null;
    get failure(): Failure | null;
    /** Whether data can be sent to it. */
    get ready(): boolean;
    #private;
}
declare const Room_base: new () => RoomTarget;
/**
 * A room as one member sees it: who is there, and a connection to each. Made by {@link join}. Its events are those of
 * RoomEvents.
 */
export class Room extends Room_base {
    /** @param {JoinOptions} options */
    constructor(options: JoinOptions);
    /** Ours, given by the server; another one after a reconnection that could not resume. */
    id: string;
    /** @type {Map<string, Member>} */
    members: Map<string, Member>;
    /** @type {RoomState} */
    state: RoomState;
    /** Set by leave and by a refusal, after which nothing changes any more. */
    closed: boolean;
    /** @type {string[]} what the server lets us do: publish, moderate */
    capabilities: string[];
    /** How many may be in the room; 0 where the server does not say. */
    capacity: number;
    /** Whether nobody can join any more. */
    locked: boolean;
    /** What we send, for a preview: the same object as long as the room. */
    get stream(): MediaStream;
    /** Whether the picture we send is of a screen. */
    get sharing(): boolean;
    /** What we send, on or off. */
    get media(): MediaState;
    /** Leaves for good. */
    leave(): void;
    /**
     * In order, to one member or all. Strings and buffers of more than a few KiB should be awaited one by one: then the other
     * side's pace is kept. Bulk travels beside, so that messages may overtake it.
     *
     * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
     * @param {{ to?: string, bulk?: boolean }} [options]
     * @returns {Promise<string[]>} ids of those it could not be sent to
     */
    send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>, { to, bulk }?: {
        to?: string;
        bulk?: boolean;
    }): Promise<string[]>;
    /**
     * The latest statistics of a member, smoothed.
     *
     * @param {string} id
     * @returns {Promise<Stats | null>} null when nobody has that id
     */
    stats(id: string): Promise<Stats | null>;
    /**
     * The last two minutes of a member's statistics, a sample a second.
     *
     * @param {string} id
     * @returns {readonly Stats[]}
     */
    history(id: string): readonly Stats[];
    /**
     * Sends another track of this kind to everybody, or none. It stays the caller's. While a screen is shared, a new picture
     * waits until that ends.
     *
     * @param {Kind} kind
     * @param {MediaStreamTrack | null} track
     */
    replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void>;
    /**
     * Sends these tracks instead; a kind the stream lacks is no longer sent.
     *
     * @param {MediaStream} stream
     * @param {{ stopTracks?: boolean }} [options] as in JoinOptions
     */
    setMedia(stream: MediaStream, { stopTracks }?: {
        stopTracks?: boolean;
    }): void;
    /**
     * Silence, or a black picture, until it is lifted.
     *
     * @param {Kind} kind
     * @param {boolean} [muted]
     */
    mute(kind: Kind, muted?: boolean): void;
    /**
     * Takes another microphone or camera. Rejects with what getUserMedia rejects with.
     *
     * @param {Kind} kind
     * @param {string} [deviceId] of enumerateDevices; the browser's choice without one
     */
    useDevice(kind: Kind, deviceId?: string): Promise<void>;
    /**
     * Sends a screen in place of the camera, until it is stopped here or in the browser. Needs a click just before. Rejects
     * with what getDisplayMedia rejects with.
     *
     * @param {DisplayMediaStreamOptions} [options]
     */
    shareScreen(options?: DisplayMediaStreamOptions): Promise<void>;
    /** Back to the camera. */
    stopScreen(): void;
    /** @param {Limits} limits of what is sent to each member, from now on */
    setLimits(limits: Limits): void;
    /**
     * Gives direct paths up, or seeks them again. Members are met anew for it, with a pause of a second or two: browsers do not
     * leave a path that works, whatever policy they are given later.
     *
     * @param {boolean} relayOnly
     */
    setRelayOnly(relayOnly: boolean): void;
    /** Seeks all paths anew, and the server: for pages that know of a change before the browser does. */
    reconnect(): void;
    /** @param {boolean} locked whether newcomers are refused; for moderators */
    lock(locked?: boolean): void;
    /** @param {string} id who has to go; for moderators */
    remove(id: string): void;
    /**
     * Enters the room; join calls it.
     *
     * @returns {Promise<void>} settles with the members and the ICE servers known; rejects with a JoinError
     */
    enter(): Promise<void>;
    #private;
}
/** Why the server did not let us in. */
export class JoinError extends Error {
    /** @param {Refusal} refusal */
    constructor({ reason, message }: Refusal);
    /** Stable code, such as room-full. */
    reason: string;
}
/**
 * how this browser reaches the relay
 */
export type Transport = "any" | "udp" | "tcp";
export type RoomState = "joining" | "connected" | "reconnecting" | "failed" | "left";
export type MemberState = "connecting" | "connected" | "reconnecting" | "failed";
export type Kind = "audio" | "video";
export type JoinOptions = {
    /**
     * name of the room
     */
    room: string;
    /**
     * address of the signaling endpoint, or of the server's pages; by default that of the server this
     * module came from
     */
    url?: string | undefined;
    /**
     * join token or key, for servers that ask for one
     */
    token?: string | undefined;
    /**
     * what others see
     */
    name?: string | undefined;
    /**
     * what to send: tracks of the caller's, or what to ask the
     * browser for; null or nothing to receive only
     */
    media?: MediaStream | MediaStreamConstraints | null | undefined;
    /**
     * whether the tracks of a stream given as media become the library's, which stops them when
     * they are no longer needed
     */
    stopTracks?: boolean | undefined;
    /**
     * never connect directly
     */
    relayOnly?: boolean | undefined;
    /**
     * how the relay is reached
     */
    transport?: Transport | undefined;
    /**
     * of what is sent
     */
    limits?: Limits | undefined;
    /**
     * MIME types in order of preference, such as video/VP9; others follow in the browser's order
     */
    codecs?: string[] | undefined;
    /**
     * gives up joining
     */
    signal?: AbortSignal | undefined;
};
/**
 * 0 or nothing lifts one
 */
export type Limits = {
    /**
     * of the video sent to each member
     */
    maxBitrateKbps?: number | undefined;
    /**
     * of the video sent, in pixels
     */
    maxHeight?: number | undefined;
};
/**
 * what a member says it sends
 */
export type MediaState = {
    audio: boolean;
    video: boolean;
    /**
     * whether the picture is of a screen
     */
    screen: boolean;
};
/**
 * of signaling
 */
export type Message = {
    type: string;
    [key: string]: any;
};
export type Refusal = {
    /**
     * stable code
     */
    reason: string;
    /**
     * a sentence for developers
     */
    message: string;
};
/**
 * what a STUN or TURN server answered, or that it did not
 */
export type RelayError = {
    url: string;
    /**
     * a STUN error code, or 701 when the server was not reached
     */
    code: number;
    text: string;
};
/**
 * why there is no path to a member
 */
export type Failure = {
    reason: "no-relay" | "no-path" | "timeout";
    /**
     * one for each server that failed
     */
    errors: RelayError[];
    /**
     * the TURN URLs that were tried
     */
    relays: string[];
};
/**
 * the selected candidate pair
 */
export type Pair = {
    /**
     * candidate type (RFC 8445): host, srflx, prflx or relay
     */
    local: string;
    remote: string;
    /**
     * udp or tcp; towards the relay, where the local candidate is one, and then tls too
     */
    protocol: string;
    /**
     * of path: between hosts, through an address translator, through a relay
     */
    kind: "direct" | "nat" | "relay";
    /**
     * empty where the browser hides it
     */
    localAddress: string;
    remoteAddress: string;
};
/**
 * an RTCStatsReport, which behaves as a Map of id to dictionary
 */
export type Report = ReadonlyMap<string, any>;
/**
 * what has been counted since the connection began
 */
export type Totals = {
    /**
     * milliseconds
     */
    at: number;
    bytesReceived: number;
    bytesSent: number;
    videoBytesReceived: number;
    packetsReceived: number;
    packetsLost: number;
    /**
     * the latest, not a total
     */
    roundTripMs: number | null;
    /**
     * the latest, not a total
     */
    jitterMs: number | null;
    /**
     * of the picture received; 0 without one
     */
    frameHeight: number;
    framesPerSecond: number;
};
export type Verdict = "good" | "warning" | "critical" | "unknown";
/**
 * smoothed over a few seconds; null where nothing can be said yet
 */
export type Stats = {
    /**
     * milliseconds, of the browser's statistics clock
     */
    at: number;
    roundTripMs: number | null;
    /**
     * of the packets sent to us
     */
    lossPercent: number | null;
    jitterMs: number | null;
    /**
     * received
     */
    bitrateKbps: number | null;
    sendBitrateKbps: number | null;
    /**
     * received, of the picture alone
     */
    videoKbps: number | null;
    /**
     * of the picture received; 0 without one
     */
    frameHeight: number;
    framesPerSecond: number;
    pair: Pair | null;
    /**
     * the worst of round trip, loss and jitter
     */
    verdict: Verdict;
};
/**
 * what we send, the same to every member; the room's, which changes it
 */
export type Outgoing = {
    /**
     * ours
     */
    name: string;
    tracks: Record<Kind, MediaStreamTrack | null>;
    /**
     * they are said to belong to
     */
    stream: MediaStream;
    limits: Limits;
    codecs: string[];
    state: () => MediaState;
};
/**
 * each event's detail
 */
export type RoomEvents = {
    /**
     * somebody came
     */
    member: Member;
    /**
     * somebody went
     */
    left: Member;
    /**
     * a track of theirs came, went, paused or goes on
     */
    stream: Member;
    /**
     * name, state, media or ready changed
     */
    update: Member;
    /**
     * data of theirs
     */
    message: {
        member: Member;
        data: string | ArrayBuffer;
        bulk: boolean;
    };
    state: RoomState;
    /**
     * a fresh sample of all members' statistics is there
     */
    stats: null;
    /**
     * what we send has changed
     */
    media: MediaState;
    /**
     * a screen is shared, or no longer
     */
    screen: boolean;
    /**
     * one of ours was unplugged, or plugged in
     * again; lost is its label, or empty, and track is what is sent now
     */
    device: {
        kind: Kind;
        lost: string;
        track: MediaStreamTrack | null;
    };
    /**
     * nobody can join any more, or everybody can again
     */
    locked: boolean;
    /**
     * a data channel that the other side opened by itself
     */
    channel: {
        member: Member;
        channel: RTCDataChannel;
    };
    /**
     * the server is lost; milliseconds until it is tried again. Calls go on meanwhile
     */
    down: number;
    /**
     * the server refused something. Where room.closed is true then, the call is over
     */
    error: Refusal;
    /**
     * the members are known; join waits for it
     */
    entered: null;
};
/**
 * an EventTarget that knows its events
 */
export type RoomTarget = Omit<EventTarget, "addEventListener"> & {
    addEventListener<K extends keyof RoomEvents>(type: K, listener: (event: CustomEvent<RoomEvents[K]>) => void, options?: AddEventListenerOptions): void;
};
export {};
