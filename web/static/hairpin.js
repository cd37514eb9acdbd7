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

/* ─── Types ──────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

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

/* ─── Numbers, with their reasons ────────────────────────────────────────────────────────────────────────────────────────── */

/** Below the first is good, above the second is critical; for the bitrate, of video, it is the other way round. */
export const THRESHOLDS = Object.freeze({
  roundTripMs: Object.freeze([150, 300]),
  lossPercent: Object.freeze([1, 5]),
  jitterMs: Object.freeze([30, 50]),
  videoKbps: Object.freeze([1000, 500]),
})

/** Well below what the server takes from one socket: 30 messages a second, 200 at once. */
const MESSAGES_PER_SECOND = 20
const MESSAGE_BURST = 100

/** First and longest wait before the next attempt to reach the server, in milliseconds. */
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 15_000

/** How long one attempt to get into the room may take. */
const ATTEMPT_DEADLINE_MS = 10_000

/** What waits for the socket to come back; a member that is away for longer negotiates anew in any case. */
const MAX_QUEUED_MESSAGES = 256

/** The server sends the ICE servers right after the members; without them only direct paths are left to try. */
const ICE_SERVERS_DEADLINE_MS = 10_000

/** How long a first path may take to come. Longer than the browser's own ICE timeouts, which say more. */
const PATH_DEADLINE_MS = 40_000

/** How long a restart of ICE may take, and how many in a row are tried. */
const RESTART_DEADLINE_MS = 15_000
const MAX_RESTARTS = 3

/** A path may be back by itself: a restart is the answer to a longer silence only. */
const DISCONNECTED_GRACE_MS = 3000

/** An offer without an answer for so long makes us doubt that the socket is still one. */
const ANSWER_DEADLINE_MS = 5000

/** A hostile member must not make us hold candidates without end; no honest one has as many. */
const MAX_HELD_CANDIDATES = 256

/** Ids of the data channels, which both sides open by themselves: beyond those that browsers give out first. */
const CHANNELS = Object.freeze({ control: 100, messages: 101, bulk: 102 })

/** Above the first, send waits until the channel is down to the second; at the third it refuses. In bytes. */
const HIGH_WATER = 1 << 20
const LOW_WATER = 256 << 10
const MAX_BUFFERED = 8 << 20

const MAX_NAME_LENGTH = 64
const MAX_CONTROL_LENGTH = 1024

/** Statistics: one sample a second, rates over so many of them, and two minutes kept. */
const SAMPLE_MS = 1000
const WINDOW_SAMPLES = 4
const HISTORY_SAMPLES = 120

/** Share of the latest sample in a smoothed number. */
const SMOOTHING = 0.4

/** How often the server is told how the connections do. */
const REPORT_MS = 10_000

/* ─── ICE servers ────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/**
 * From the server's `ice-servers` message to what RTCPeerConnection is given.
 *
 * @param {RTCIceServer[]} iceServers
 * @param {{ relayOnly?: boolean, transport?: Transport }} [choice]
 * @returns {RTCConfiguration}
 */
export function iceConfiguration(iceServers, { relayOnly = false, transport = 'any' } = {}) {
  return {
    iceServers: filterServers(iceServers, transport),
    iceTransportPolicy: relayOnly ? 'relay' : 'all',
    // One transport for everything: one allocation for each member rather than one for each track.
    bundlePolicy: 'max-bundle',
  }
}

/**
 * Keeps the URLs reached over transport, and the servers that have one left.
 *
 * @param {RTCIceServer[]} iceServers
 * @param {Transport} transport
 * @returns {RTCIceServer[]}
 */
export function filterServers(iceServers, transport) {
  if (transport === 'any') return iceServers
  return iceServers
    .map((server) => ({ ...server, urls: urlsOf(server).filter((url) => transportOf(url) === transport) }))
    .filter((server) => server.urls.length > 0)
}

/**
 * @param {RTCIceServer[]} iceServers
 * @returns {string[]} every turn: and turns: URL
 */
export function relayURLs(iceServers) {
  return iceServers.flatMap(urlsOf).filter((url) => /^turns?:/i.test(url))
}

/**
 * The transport of a STUN (RFC 7064) or TURN (RFC 7065) URI, with the defaults of RFC 7065 section 3.1: a secure scheme
 * means TLS over TCP unless it says otherwise.
 *
 * @param {string} url
 * @returns {'udp' | 'tcp'}
 */
export function transportOf(url) {
  const [address, query = ''] = url.toLowerCase().split('?')
  const named = new URLSearchParams(query).get('transport')
  if (named) return named === 'tcp' ? 'tcp' : 'udp'
  return /^(turns|stuns):/.test(address) ? 'tcp' : 'udp'
}

/**
 * @param {RTCIceServer} server
 * @returns {string[]}
 */
function urlsOf({ urls }) {
  return Array.isArray(urls) ? urls : [urls]
}

/* ─── Statistics ─────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/**
 * @param {Report} report
 * @returns {Totals}
 */
export function totalsOf(report) {
  const entries = [...report.values()]
  const inbound = entries.filter(({ type }) => type === 'inbound-rtp')
  const outbound = entries.filter(({ type }) => type === 'outbound-rtp')
  const answered = entries.filter(({ type }) => type === 'remote-inbound-rtp')
  const video = inbound.filter(({ kind }) => kind === 'video')
  const pair = findPair(report)
  return {
    at: pair?.timestamp ?? inbound[0]?.timestamp ?? 0,
    bytesReceived: sum(inbound, 'bytesReceived'),
    bytesSent: sum(outbound, 'bytesSent'),
    videoBytesReceived: sum(video, 'bytesReceived'),
    packetsReceived: sum(inbound, 'packetsReceived'),
    packetsLost: sum(inbound, 'packetsLost'),
    // Not every browser measures the pair; all are told by RTCP.
    roundTripMs: milliseconds(pair?.currentRoundTripTime ?? worst(answered, 'roundTripTime')),
    jitterMs: milliseconds(worst(inbound, 'jitter')),
    frameHeight: worst(video, 'frameHeight') ?? 0,
    framesPerSecond: worst(video, 'framesPerSecond') ?? 0,
  }
}

/**
 * @param {Totals} now
 * @param {Totals | null} before null the first time: nothing can be said of rates then
 * @param {Pair | null} pair
 * @returns {Stats}
 */
export function compareTotals(now, before, pair) {
  const elapsed = before ? now.at - before.at : 0
  const numbers = {
    roundTripMs: now.roundTripMs,
    jitterMs: now.jitterMs,
    lossPercent: before && lossPercent(now, before),
    bitrateKbps: before && kbps(now.bytesReceived - before.bytesReceived, elapsed),
    sendBitrateKbps: before && kbps(now.bytesSent - before.bytesSent, elapsed),
    videoKbps: before && kbps(now.videoBytesReceived - before.videoBytesReceived, elapsed),
  }
  const { at, frameHeight, framesPerSecond } = now
  return { at, ...numbers, frameHeight, framesPerSecond, pair, verdict: judge(numbers) }
}

/**
 * Round trip and jitter come as one sample's; here they are drawn towards it instead. Rates are smooth by their window.
 *
 * @param {Stats} latest
 * @param {Stats | null} before
 * @returns {Stats}
 */
export function smoothStats(latest, before) {
  const roundTripMs = blend(latest.roundTripMs, before?.roundTripMs)
  const jitterMs = blend(latest.jitterMs, before?.jitterMs)
  return { ...latest, roundTripMs, jitterMs, verdict: judge({ ...latest, roundTripMs, jitterMs }) }
}

/**
 * @param {number | null} latest
 * @param {number | null | undefined} before
 */
function blend(latest, before) {
  if (latest === null || before === null || before === undefined) return latest
  return before + SMOOTHING * (latest - before)
}

/**
 * @param {Report} report
 * @returns {Pair | null} null before a pair is selected
 */
export function selectedPair(report) {
  const pair = findPair(report)
  const local = pair && report.get(pair.localCandidateId)
  const remote = pair && report.get(pair.remoteCandidateId)
  if (!local || !remote) return null
  return {
    local: local.candidateType,
    remote: remote.candidateType,
    protocol: local.relayProtocol ?? local.protocol ?? 'udp',
    kind: pathKind(local.candidateType, remote.candidateType),
    localAddress: local.address ?? '',
    remoteAddress: remote.address ?? '',
  }
}

/**
 * @param {string} local candidate type
 * @param {string} remote
 */
function pathKind(local, remote) {
  if (local === 'relay' || remote === 'relay') return 'relay'
  return local === 'host' && remote === 'host' ? 'direct' : 'nat'
}

/**
 * The verdict is the worst number's. The bitrate does not count: a camera that is off, or a picture that is still, needs none.
 *
 * @param {{ roundTripMs: number | null, lossPercent: number | null, jitterMs: number | null }} numbers
 * @returns {Verdict}
 */
export function judge({ roundTripMs, lossPercent, jitterMs }) {
  const grades = [grade('roundTripMs', roundTripMs), grade('lossPercent', lossPercent), grade('jitterMs', jitterMs)]
  if (grades.includes('critical')) return 'critical'
  if (grades.includes('warning')) return 'warning'
  return grades.includes('good') ? 'good' : 'unknown'
}

/**
 * @param {keyof typeof THRESHOLDS} name
 * @param {number | null} value
 * @returns {Verdict}
 */
export function grade(name, value) {
  if (value === null) return 'unknown'
  const [first, second] = THRESHOLDS[name]
  const sign = first < second ? 1 : -1
  if (sign * value < sign * first) return 'good'
  return sign * value <= sign * second ? 'warning' : 'critical'
}

/**
 * Chromium names the pair on its transport; Firefox marks the pair itself.
 *
 * @param {Report} report
 */
function findPair(report) {
  const entries = [...report.values()]
  const transport = entries.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)
  if (transport) return report.get(transport.selectedCandidatePairId)
  return entries.find(({ type, selected }) => type === 'candidate-pair' && selected)
}

/**
 * Packets that came late lower the count of lost ones, which must not show as a loss below nothing.
 *
 * @param {Totals} now
 * @param {Totals} before
 */
function lossPercent(now, before) {
  const lost = Math.max(0, now.packetsLost - before.packetsLost)
  const received = Math.max(0, now.packetsReceived - before.packetsReceived)
  return lost + received === 0 ? null : (100 * lost) / (lost + received)
}

/**
 * @param {number} bytes
 * @param {number} elapsedMs
 */
function kbps(bytes, elapsedMs) {
  return elapsedMs > 0 ? Math.max(0, (bytes * 8) / elapsedMs) : null
}

/** @param {number | undefined} seconds */
function milliseconds(seconds) {
  return seconds === undefined ? null : seconds * 1000
}

/**
 * @param {any[]} entries
 * @param {string} key
 * @returns {number}
 */
function sum(entries, key) {
  return entries.reduce((total, entry) => total + (entry[key] ?? 0), 0)
}

/**
 * @param {any[]} entries
 * @param {string} key
 * @returns {number | undefined} undefined when no entry has it
 */
function worst(entries, key) {
  const values = entries.map((entry) => entry[key]).filter((value) => value !== undefined)
  return values.length > 0 ? Math.max(...values) : undefined
}

/* ─── Pace ───────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** A token bucket, so that a burst of ICE candidates to a full room stays under the server's limit of messages a second. */
export class Pace {
  #perSecond
  #burst
  #tokens
  #last = 0

  /**
   * @param {number} perSecond messages a second in the long run
   * @param {number} burst messages at once
   */
  constructor(perSecond, burst) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /**
   * @param {number} now milliseconds of a clock that never goes back
   * @returns {number} 0 when a message may go now, else the milliseconds to wait before asking again
   */
  take(now) {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#last) * this.#perSecond) / 1000)
    this.#last = now
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000)
    this.#tokens -= 1
    return 0
  }
}

/**
 * How long to wait before the next attempt: doubled each time up to a bound, half of it by chance, so that a restarted
 * server is not met by everybody at once.
 *
 * @param {number} attempts made so far without success
 * @param {number} chance from 0 to 1
 * @returns {number} milliseconds
 */
export function retryDelay(attempts, chance) {
  const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempts)
  return wait / 2 + chance * (wait / 2)
}

/* ─── Signaling ──────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Refusals that time mends: trying again is right, giving up is not. */
const PASSING = new Set(['internal', 'rate-limited', 'shutting-down', 'slow-reader', 'too-many-joins'])

/** Refusals of a resumption, after which we join as somebody new. */
const NOT_RESUMED = new Set(['resume-unknown', 'resume-denied', 'resume-missed'])

/** RFC 6455's "going away": the server stops, and the membership with it. */
const GOING_AWAY = 1001

/** Ours, for a socket that is given up before it is closed. */
const ABANDONED = 4000

/**
 * One membership of the room, as the server counts it. It may outlive several sockets.
 */
class Membership {
  /** @type {string[]} what was sent, the latest last */
  #sent = []
  /** How many were dropped from the front of it. */
  #dropped = 0
  /** Messages got, over all sockets. */
  received = 0

  /**
   * @param {string} clientId
   * @param {string} secret for the next resumption
   */
  constructor(clientId, secret) {
    this.clientId = clientId
    this.secret = secret
  }

  /** @param {string} message */
  keep(message) {
    this.#sent.push(message)
    if (this.#sent.length <= MAX_QUEUED_MESSAGES) return
    this.#sent.shift()
    this.#dropped++
  }

  /**
   * @param {number} taken how many the server has
   * @returns {string[] | null} the others, which are to be sent again; null where one of them is no longer known
   */
  missing(taken) {
    if (!Number.isInteger(taken) || taken < this.#dropped) return null
    return this.#sent.splice(taken - this.#dropped)
  }
}

/**
 * The WebSocket to `/v1/signal`: joins, sends, receives; resumes when the socket is lost, and joins anew where that is refused.
 *
 * Events: `message` (detail: the server's message), `down` (detail: milliseconds until the next attempt), `resumed`, and
 * `refused` (detail: Refusal), after which it stays closed. Every `room-users` message starts a new membership.
 */
class Signaling extends EventTarget {
  #url
  #join
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {Membership | null} null before the first join, and where the server does not resume */
  #membership = null
  /** Whether the socket there is now leads into the room. */
  #inside = false
  /** @type {string[]} */
  #queue = []
  #pace = new Pace(MESSAGES_PER_SECOND, MESSAGE_BURST)
  #closed = false
  /** Whether any attempt ever led into the room: the first failure is told at once, later ones are retried. */
  #everJoined = false
  #attempts = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #paceTimer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #attemptTimer

  /**
   * @param {string} url ws: or wss: address
   * @param {{ roomId: string, name?: string, token?: string }} join
   */
  constructor(url, join) {
    super()
    this.#url = url
    this.#join = join
  }

  open() {
    if (this.#closed || this.#socket) return
    clearTimeout(this.#retryTimer)
    const socket = openSocket(this.#url)
    if (!socket) return this.#lost(null, 0)
    this.#socket = socket
    this.#attemptTimer = setTimeout(() => this.#abandon(socket), ATTEMPT_DEADLINE_MS)
    /** @type {Refusal | null} */
    let refusal = null
    socket.onopen = () => socket.send(JSON.stringify(this.#firstMessage()))
    socket.onmessage = ({ data }) => {
      const message = parseObject(data)
      if (message?.type === 'error' && typeof message.reason === 'string') refusal = refusalOf(message)
      if (message) this.#onMessage(message)
    }
    socket.onclose = ({ code, reason }) => {
      // A close frame repeats the reason, should the error message before it have been lost.
      const said = code >= 4400 && reason ? { reason, message: '' } : null
      this.#lost(closes(refusal) ? refusal : said, code)
    }
  }

  /**
   * Sends in order, at the pace the server allows. While the socket is lost messages wait for the resumption; with a
   * membership that has ended they are dropped.
   *
   * @param {Message} message
   */
  send(message) {
    if (this.#queue.length >= MAX_QUEUED_MESSAGES) this.#queue.shift()
    this.#queue.push(JSON.stringify(message))
    this.#flush()
  }

  /** Tries again at once, on a new socket: the network has changed, or the socket is only said to be open. */
  reopen() {
    if (this.#closed || !this.#everJoined) return
    this.#attempts = 0
    if (this.#socket) this.#abandon(this.#socket)
    this.open()
  }

  /** Ends the membership and joins as somebody new. */
  rejoin() {
    if (this.#closed || !this.#everJoined) return
    const socket = this.#socket
    this.#membership = null
    this.#queue = []
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'leave' }))
    this.reopen()
  }

  /**
   * Gives a socket up that need not know yet that it is lost.
   *
   * @param {WebSocket} socket
   */
  #abandon(socket) {
    socket.onopen = socket.onclose = socket.onmessage = null
    // Neither 1000 nor 1001, which would end the membership.
    socket.close(ABANDONED)
    this.#lost(null, ABANDONED)
  }

  /** Leaves the room for good. */
  close() {
    this.#closed = true
    this.#forget()
    const socket = this.#socket
    this.#socket = null
    if (!socket) return
    socket.onclose = socket.onmessage = null
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'leave' }))
    socket.close(1000)
  }

  #firstMessage() {
    const member = this.#membership
    if (!member) return { type: 'join', ...this.#join, resume: true }
    const { clientId, secret, received } = member
    return { type: 'resume', roomId: this.#join.roomId, clientId, secret, received }
  }

  /** @param {Message} message */
  #onMessage(message) {
    switch (message.type) {
      case 'room-users':
        this.#enter()
        this.#queue = []
        this.#membership = message.resume?.secret ? new Membership(message.clientId, message.resume.secret) : null
        break
      case 'resumed':
        return this.#onResumed(message)
      default:
        if (!this.#inside) return
        if (this.#membership) this.#membership.received++
    }
    this.#emit('message', message)
  }

  #enter() {
    clearTimeout(this.#attemptTimer)
    this.#inside = this.#everJoined = true
    this.#attempts = 0
  }

  /** @param {Message} message */
  #onResumed({ secret, received }) {
    const member = this.#membership
    const missing = member?.missing(received)
    if (!member || !missing) {
      // The server lacks what is no longer known here: a new membership is the only whole one.
      this.#membership = null
      if (this.#socket) this.#abandon(this.#socket)
      return
    }
    member.secret = String(secret)
    this.#enter()
    this.#queue.unshift(...missing)
    this.#flush()
    this.#emit('resumed', null)
  }

  #flush() {
    while (this.#queue.length > 0 && this.#inside && this.#socket?.readyState === WebSocket.OPEN) {
      const wait = this.#pace.take(performance.now())
      if (wait > 0) {
        clearTimeout(this.#paceTimer)
        this.#paceTimer = setTimeout(() => this.#flush(), wait)
        return
      }
      const message = /** @type {string} */ (this.#queue.shift())
      this.#membership?.keep(message)
      this.#socket.send(message)
    }
  }

  /**
   * @param {Refusal | null} refusal why the server closed; null where only the socket was lost
   * @param {number} code of the close frame
   */
  #lost(refusal, code) {
    this.#socket = null
    this.#inside = false
    clearTimeout(this.#paceTimer)
    clearTimeout(this.#attemptTimer)
    if (refusal || code === GOING_AWAY) this.#membership = null
    if (!refusal && !this.#everJoined) return this.#refuse({ reason: 'unreachable', message: '' })
    if (refusal && !PASSING.has(refusal.reason) && !NOT_RESUMED.has(refusal.reason)) return this.#refuse(refusal)
    this.#retry()
  }

  #retry() {
    if (!this.#membership) this.#queue = []
    const wait = retryDelay(this.#attempts++, Math.random())
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.open(), wait)
    this.#emit('down', wait)
  }

  /** @param {Refusal} refusal */
  #refuse(refusal) {
    this.#closed = true
    this.#forget()
    this.#emit('refused', refusal)
  }

  #forget() {
    this.#queue = []
    clearTimeout(this.#paceTimer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#attemptTimer)
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/**
 * @param {string} url
 * @returns {WebSocket | null} null where the browser does not even try, such as to ports it holds to be unsafe
 */
function openSocket(url) {
  try {
    return new WebSocket(url)
  } catch {
    return null
  }
}

/** Refusals of one message, after which a member stays. What is not listed is why the socket closes, if it does. */
const STAYING = new Set([
  'unknown-type', 'bad-message', 'already-joined', 'unknown-target', 'bad-candidate', 'bad-sdp', 'sdp-too-large',
  'sdp-not-dtls', 'sdp-no-fingerprint', 'sdp-no-ice', 'publish-denied', 'not-moderator', 'bad-quality', 'too-many-reports',
  'member-behind', 'ice-unavailable',
])

/** @param {Refusal | null} refusal the last one before the socket closed */
function closes(refusal) {
  return refusal !== null && !STAYING.has(refusal.reason)
}

/**
 * @param {Message} message
 * @returns {Refusal}
 */
function refusalOf({ reason, message }) {
  return { reason: String(reason).slice(0, 64), message: typeof message === 'string' ? message.slice(0, 500) : '' }
}

/**
 * @param {unknown} data
 * @returns {Message | null} null when it is no JSON object
 */
function parseObject(data) {
  try {
    const value = typeof data === 'string' ? JSON.parse(data) : null
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}

/* ─── What members tell each other over the control channel ──────────────────────────────────────────────────────────────── */

/**
 * Another member wrote these bytes: everything is checked and bounded.
 *
 * @param {unknown} data
 * @returns {{ type: 'hello', name: string, media: MediaState } | { type: 'media', media: MediaState } | null}
 */
export function parseControl(data) {
  if (typeof data !== 'string' || data.length > MAX_CONTROL_LENGTH) return null
  const message = parseObject(data)
  const media = mediaStateOf(message?.media)
  if (message?.type === 'media') return { type: 'media', media }
  if (message?.type !== 'hello' || typeof message.name !== 'string') return null
  return { type: 'hello', name: message.name.slice(0, MAX_NAME_LENGTH), media }
}

/**
 * @param {any} value
 * @returns {MediaState}
 */
function mediaStateOf(value) {
  return { audio: value?.audio === true, video: value?.video === true, screen: value?.screen === true }
}

/* ─── Connection ─────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** @type {readonly Kind[]} */
const KINDS = ['audio', 'video']

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
  /** What the member sends us; the same object for the life of the connection. */
  stream = new MediaStream()
  /** @type {MemberState} */
  state = 'connecting'
  /** @type {Failure | null} */
  failure = null
  /** Whether data can be sent: the channels are open, and the other side's library has said hello, so it reads them. */
  ready = false
  /** ICE restarts so far. */
  restarts = 0
  /** @type {number | null} from the first description until the path was there */
  timeToConnectMs = null
  /** @type {Stats[]} two minutes of them at most, the latest last */
  history = []

  #pc
  #configuration
  #send
  #polite
  #outgoing
  /** Settles when the messages so far have been handled, one after the other. */
  #inbox = Promise.resolve()
  /** @type {RTCIceCandidateInit[]} */
  #held = []
  #makingOffer = false
  #ignoringOffer = false
  #settingAnswer = false
  /** Restarts since the path was last there. */
  #attempts = 0
  /** Whether a relayed transport address was ever gathered. */
  #relayed = false
  /** @type {Map<string, RelayError>} */
  #errors = new Map()
  /** @type {Record<keyof typeof CHANNELS, RTCDataChannel> | null} */
  #channels = null
  #greeted = false
  /** @type {Totals[]} */
  #totals = []
  /** When the first description was sent or received, by performance.now(). */
  #began = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #answerDeadline

  /**
   * @param {object} options
   * @param {(message: Message) => void} options.send signals to this member
   * @param {boolean} options.polite gives way when both offer at once; exactly one of two is polite
   * @param {RTCConfiguration} options.configuration
   * @param {Outgoing} options.outgoing
   */
  constructor({ send, polite, configuration, outgoing }) {
    super()
    // Given here rather than by setConfiguration, which in Chromium makes a fresh connection offer nothing and break.
    this.#pc = new RTCPeerConnection(configuration)
    this.#configuration = configuration
    this.#send = send
    this.#polite = polite
    this.#outgoing = outgoing
    this.#watch()
    this.#arm(PATH_DEADLINE_MS, () => this.#fail('timeout'))
  }

  /** Makes the first offer. The newcomer does, to everybody who was there. */
  initiate() {
    this.#enqueue(async () => {
      this.#openChannels()
      for (const kind of KINDS) {
        const track = this.#outgoing.tracks[kind]
        if (track) this.#addTrack(track)
        else this.#preferCodecs(this.#pc.addTransceiver(kind, { direction: 'recvonly' }), kind)
      }
    })
  }

  /** @param {Message} message an offer, answer or candidate of this member */
  receive(message) {
    this.#enqueue(async () => {
      if (message.type === 'candidate') await this.#onCandidate(message.candidate)
      else await this.#onDescription(message.type === 'offer' ? message.offer : message.answer)
    })
  }

  /**
   * Takes up renewed credentials. A relay lends its addresses no longer than the credentials last that
   * asked for them, so new ones are asked for at once; media goes on meanwhile.
   *
   * @param {RTCConfiguration} configuration
   */
  configure(configuration) {
    this.#configuration = configuration
    this.#pc.setConfiguration(configuration)
    if (this.#relayed && this.state === 'connected') this.#restartIce()
  }

  /** Takes up what has changed of our tracks. */
  updateTracks() {
    this.#enqueue(() => this.#attachTracks())
  }

  /** Takes up what has changed of the limits. */
  updateLimits() {
    this.#enqueue(() => this.#applyLimits())
  }

  /** Seeks the path anew: the network has changed. Gives a connection that had failed another chance. */
  restart() {
    this.#attempts = 0
    this.#restart()
  }

  /** Says to the other side what we send. */
  tellMedia() {
    const control = this.#channels?.control
    if (control?.readyState === 'open') control.send(JSON.stringify({ type: 'media', media: this.#outgoing.state() }))
  }

  /**
   * Sends in order, then waits until the other side has taken most of it.
   *
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
   * @param {boolean} bulk on the channel that other messages may overtake
   * @returns {Promise<boolean>} false when it could not be sent: there is no open channel, or too much is waiting already
   */
  async sendData(data, bulk) {
    const channel = this.#channels?.[bulk ? 'bulk' : 'messages']
    if (!this.ready || channel?.readyState !== 'open' || channel.bufferedAmount > MAX_BUFFERED) return false
    channel.send(/** @type {any} */ (data))
    if (channel.bufferedAmount > HIGH_WATER) await drained(channel)
    return true
  }

  /** Takes a sample of the statistics, smooths it and keeps it. */
  async sample() {
    const report = await this.#pc.getStats()
    const totals = totalsOf(report)
    const latest = compareTotals(totals, this.#totals[0] ?? null, selectedPair(report))
    this.#totals.push(totals)
    if (this.#totals.length > WINDOW_SAMPLES) this.#totals.shift()
    this.history.push(smoothStats(latest, this.history.at(-1) ?? null))
    if (this.history.length > HISTORY_SAMPLES) this.history.shift()
  }

  close() {
    clearTimeout(this.#deadline)
    clearTimeout(this.#answerDeadline)
    this.#pc.close()
  }

  #watch() {
    const pc = this.#pc
    pc.onnegotiationneeded = () => this.#offer()
    pc.onicecandidate = ({ candidate }) => this.#onLocalCandidate(candidate)
    pc.onicecandidateerror = (event) => this.#onRelayError(event)
    pc.onicegatheringstatechange = () => this.#onGathering()
    pc.onconnectionstatechange = () => this.#onConnectionState()
    pc.onsignalingstatechange = () => this.#onSignalingState()
    pc.ontrack = ({ track }) => this.#onTrack(track)
    pc.ondatachannel = ({ channel }) => this.#emit('channel', channel)
  }

  /** @param {() => Promise<void>} work */
  #enqueue(work) {
    this.#inbox = this.#inbox.then(async () => {
      if (this.#pc.signalingState !== 'closed') await work()
    }).catch((error) => console.warn('signaling of one member failed:', error.message))
  }

  async #offer() {
    // Chromium asks for an offer when a fresh connection is configured; an empty one breaks it.
    if (this.#pc.getTransceivers().length === 0 && !this.#channels) return
    try {
      this.#makingOffer = true
      await this.#pc.setLocalDescription()
      this.#sendDescription()
    } catch (error) {
      console.warn('no offer:', error)
    } finally {
      this.#makingOffer = false
    }
  }

  #sendDescription() {
    const description = this.#pc.localDescription
    if (!description) return
    this.#began ||= performance.now()
    this.#send({ type: description.type, [description.type]: description })
  }

  /**
   * Perfect negotiation (W3C WebRTC section 10.7): of two offers that cross, the impolite side's wins.
   *
   * @param {RTCSessionDescriptionInit} description
   */
  async #onDescription(description) {
    const pc = this.#pc
    const ready = !this.#makingOffer && (pc.signalingState === 'stable' || this.#settingAnswer)
    this.#ignoringOffer = !this.#polite && description.type === 'offer' && !ready
    if (this.#ignoringOffer) return
    this.#began ||= performance.now()
    this.#settingAnswer = description.type === 'answer'
    try {
      await pc.setRemoteDescription(keepDTLSRole(description, pc))
    } finally {
      this.#settingAnswer = false
    }
    await this.#addHeld()
    if (description.type !== 'offer') return
    // A client without data channels is not asked to have them.
    if (/^m=application /m.test(description.sdp ?? '')) this.#openChannels()
    await this.#attachTracks()
    await pc.setLocalDescription()
    this.#sendDescription()
  }

  /** Nobody may wait for ever for an answer that was lost. */
  #onSignalingState() {
    clearTimeout(this.#answerDeadline)
    if (this.#pc.signalingState === 'stable') this.#enqueue(() => this.#applyLimits())
    if (this.#pc.signalingState !== 'have-local-offer') return
    this.#answerDeadline = setTimeout(() => this.#emit('unanswered'), ANSWER_DEADLINE_MS)
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #onCandidate(candidate) {
    if (!candidate) return
    if (this.#pc.remoteDescription) return this.#addCandidate(candidate)
    if (this.#held.length < MAX_HELD_CANDIDATES) this.#held.push(candidate)
  }

  async #addHeld() {
    for (const candidate of this.#held.splice(0)) await this.#addCandidate(candidate)
  }

  /**
   * A candidate that cannot be used, be it of an ignored offer or of an older ICE generation, is one path less and no fault.
   *
   * @param {RTCIceCandidateInit} candidate
   */
  async #addCandidate(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate)
    } catch (error) {
      if (!this.#ignoringOffer) console.warn('candidate not used:', error)
    }
  }

  /** Puts our tracks where there is a place for them; a kind without one is offered anew. */
  async #attachTracks() {
    const { tracks, stream } = this.#outgoing
    for (const kind of KINDS) {
      const track = tracks[kind]
      const transceiver = this.#pc.getTransceivers().find(({ receiver }) => receiver.track.kind === kind)
      if (!transceiver) {
        if (track) this.#addTrack(track)
      } else if (transceiver.sender.track !== track) {
        await transceiver.sender.replaceTrack(track)
        if (!track) continue
        transceiver.sender.setStreams(stream)
        transceiver.direction = 'sendrecv'
        this.#preferCodecs(transceiver, kind)
      }
    }
    await this.#applyLimits()
    this.tellMedia()
  }

  /**
   * By addTrack and not addTransceiver: when offers cross, the track then moves to the place that the other offer has for it.
   *
   * @param {MediaStreamTrack} track
   */
  #addTrack(track) {
    const sender = this.#pc.addTrack(track, this.#outgoing.stream)
    const transceiver = this.#pc.getTransceivers().find((one) => one.sender === sender)
    if (transceiver) this.#preferCodecs(transceiver, track.kind)
  }

  /**
   * @param {RTCRtpTransceiver} transceiver
   * @param {string} kind
   */
  #preferCodecs(transceiver, kind) {
    const wanted = this.#outgoing.codecs.map((type) => type.toLowerCase()).filter((type) => type.startsWith(kind))
    if (wanted.length === 0) return
    const known = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? []
    const rank = (/** @type {{ mimeType: string }} */ { mimeType }) => {
      const index = wanted.indexOf(mimeType.toLowerCase())
      return index < 0 ? wanted.length : index
    }
    transceiver.setCodecPreferences(known.toSorted((a, b) => rank(a) - rank(b)))
  }

  async #applyLimits() {
    const { maxBitrateKbps = 0, maxHeight = 0 } = this.#outgoing.limits
    const sender = this.#pc.getSenders().find(({ track }) => track?.kind === 'video')
    const parameters = sender?.getParameters()
    const encoding = parameters?.encodings[0]
    // Before the first negotiation there is nothing to limit; it is made up for then.
    if (!sender || !parameters || !encoding) return
    const height = sender.track?.getSettings().height ?? 0
    const scale = maxHeight > 0 && height > maxHeight ? height / maxHeight : 1
    const bitrate = maxBitrateKbps > 0 ? maxBitrateKbps * 1000 : undefined
    if (encoding.maxBitrate === bitrate && (encoding.scaleResolutionDownBy ?? 1) === scale) return
    if (bitrate) encoding.maxBitrate = bitrate
    else delete encoding.maxBitrate
    encoding.scaleResolutionDownBy = scale
    await sender.setParameters(parameters)
  }

  /** @param {RTCIceCandidate | null} candidate */
  #onLocalCandidate(candidate) {
    if (candidate?.type === 'relay') this.#relayed = true
    if (candidate) this.#send({ type: 'candidate', candidate })
  }

  /** @param {RTCPeerConnectionIceErrorEvent} event */
  #onRelayError({ url, errorCode, errorText }) {
    this.#errors.set(url, { url, code: errorCode, text: errorText })
  }

  /** Relay-only without a relay cannot come to anything; saying so need not wait for ICE to time out. */
  #onGathering() {
    if (this.#pc.iceGatheringState !== 'complete' || this.#relayed) return
    if (this.#configuration.iceTransportPolicy === 'relay') this.#fail('no-relay')
  }

  #onConnectionState() {
    switch (this.#pc.connectionState) {
      case 'connected':
        this.#attempts = 0
        this.timeToConnectMs ??= performance.now() - this.#began
        return this.#setState('connected')
      case 'disconnected':
        if (this.state === 'failed') return
        this.#setState('reconnecting')
        return this.#arm(DISCONNECTED_GRACE_MS, () => this.#restart())
      case 'failed':
        if (this.state !== 'failed') this.#restart()
    }
  }

  /** One attempt to find a path again; the next follows when it fails, or when it takes too long. */
  #restart() {
    if (this.#pc.signalingState === 'closed') return
    // A path that never was is less likely to come than one that was there.
    const everConnected = this.timeToConnectMs !== null
    if (this.#attempts >= (everConnected ? MAX_RESTARTS : 1)) return this.#fail('no-path')
    this.#attempts++
    if (this.#pc.connectionState !== 'connected') {
      this.#setState(everConnected ? 'reconnecting' : 'connecting')
      this.#arm(RESTART_DEADLINE_MS, () => this.#restart())
    }
    this.#restartIce()
  }

  #restartIce() {
    this.restarts++
    this.#errors.clear()
    this.#pc.restartIce()
  }

  /** @param {Failure['reason']} reason */
  #fail(reason) {
    if (this.state === 'failed') return
    const relays = relayURLs(this.#configuration.iceServers ?? [])
    this.failure = { reason, errors: [...this.#errors.values()], relays }
    this.#setState('failed')
  }

  /** @param {MemberState} state */
  #setState(state) {
    clearTimeout(this.#deadline)
    this.state = state
    if (state !== 'failed') this.failure = null
    this.#emit('state', state)
  }

  /**
   * @param {number} milliseconds
   * @param {() => void} act
   */
  #arm(milliseconds, act) {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(act, milliseconds)
  }

  /** @param {MediaStreamTrack} track */
  #onTrack(track) {
    this.stream.addTrack(track)
    track.onmute = track.onunmute = () => this.#emit('stream')
    this.#emit('stream')
  }

  /** Both sides open them by the same ids, so none is opened twice when offers cross. */
  #openChannels() {
    if (this.#channels) return
    const open = (/** @type {keyof typeof CHANNELS} */ label) => {
      const channel = this.#pc.createDataChannel(`hairpin-${label}`, { negotiated: true, id: CHANNELS[label] })
      channel.binaryType = 'arraybuffer'
      channel.bufferedAmountLowThreshold = LOW_WATER
      return channel
    }
    const channels = { control: open('control'), messages: open('messages'), bulk: open('bulk') }
    this.#channels = channels
    channels.messages.onmessage = ({ data }) => this.#emit('data', { data, bulk: false })
    channels.bulk.onmessage = ({ data }) => this.#emit('data', { data, bulk: true })
    channels.control.onmessage = ({ data }) => this.#onControl(data)
    for (const channel of Object.values(channels)) channel.onopen = channel.onclose = () => this.#updateReady()
    channels.control.addEventListener('open', () => {
      const { name, state } = this.#outgoing
      channels.control.send(JSON.stringify({ type: 'hello', name: name.slice(0, MAX_NAME_LENGTH), media: state() }))
    })
  }

  /** @param {unknown} data */
  #onControl(data) {
    const message = parseControl(data)
    if (!message) return
    this.#emit(message.type, message)
    if (message.type === 'hello') this.#greeted = true
    this.#updateReady()
  }

  #updateReady() {
    const open = Object.values(this.#channels ?? {}).every(({ readyState }) => readyState === 'open')
    const ready = this.#greeted && open
    if (this.ready === ready) return
    this.ready = ready
    this.#emit('ready')
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/**
 * Who is which end of the DTLS association stays what it was, ICE restarts included (RFC 8842 section 5.3). To an offer that
 * leaves it open Firefox answers `active`, even where it was not, and the other browser then refuses the answer; so the offer
 * is read as naming what the other side is.
 *
 * @param {RTCSessionDescriptionInit} description from the other side
 * @param {Pick<RTCPeerConnection, 'currentLocalDescription' | 'currentRemoteDescription'>} now
 * @returns {RTCSessionDescriptionInit} what to set
 */
export function keepDTLSRole({ type, sdp }, { currentLocalDescription, currentRemoteDescription }) {
  const weAnswered = currentLocalDescription?.type === 'answer'
  const answer = weAnswered ? currentLocalDescription : currentRemoteDescription
  const answerer = /^a=setup:(active|passive)/m.exec(answer?.sdp ?? '')?.[1]
  if (type !== 'offer' || !answerer) return { type, sdp }
  const isActive = (answerer === 'active') !== weAnswered
  return { type, sdp: sdp?.replaceAll(/^a=setup:actpass/gm, `a=setup:${isActive ? 'active' : 'passive'}`) }
}

/**
 * @param {RTCDataChannel} channel
 * @returns {Promise<void>} settles when little is left to send, or when the channel has closed
 */
function drained(channel) {
  return new Promise((resolve) => {
    const done = () => {
      channel.removeEventListener('bufferedamountlow', done)
      channel.removeEventListener('close', done)
      resolve()
    }
    channel.addEventListener('bufferedamountlow', done)
    channel.addEventListener('close', done)
  })
}

/* ─── What we send ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/**
 * Our own tracks: camera and microphone, or a screen in the camera's place. Stops what the library opened.
 *
 * Events: `change` (what is sent has changed), `screen` (detail: whether one is shared now), `device` (detail: { kind, lost,
 * track }: a device was unplugged, and the track of the one that took its place, or null).
 */
class LocalMedia extends EventTarget {
  /** @type {Record<Kind, MediaStreamTrack | null>} what members are sent */
  tracks = { audio: null, video: null }
  /** The same, for a preview. */
  stream = new MediaStream()

  /** @type {Set<MediaStreamTrack>} opened here, so stopped here */
  #owned = new Set()
  /** @type {MediaStreamTrack | null} */
  #screen = null
  /** @type {MediaStreamTrack | null} what the screen is shown in place of */
  #camera = null
  /** @type {Set<Kind>} unplugged, and not replaced yet */
  #lost = new Set()
  #closed = false
  #onDevices = () => void this.#replug()

  constructor() {
    super()
    navigator.mediaDevices?.addEventListener('devicechange', this.#onDevices)
  }

  /** @returns {MediaState} */
  get state() {
    const { audio, video } = this.tracks
    return { audio: audio?.enabled ?? false, video: video?.enabled ?? false, screen: this.#screen !== null }
  }

  get sharing() {
    return this.#screen !== null
  }

  /**
   * @param {MediaStream} stream
   * @param {boolean} owned whether to stop its tracks at the end
   */
  setStream(stream, owned) {
    for (const kind of KINDS) {
      const track = stream.getTracks().find((one) => one.kind === kind) ?? null
      if (track && owned) this.#owned.add(track)
      this.setTrack(kind, track)
    }
  }

  /**
   * While a screen is shared, a new picture waits until it ends.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  setTrack(kind, track) {
    const before = kind === 'video' && this.#screen ? this.#camera : this.tracks[kind]
    if (before === track) return
    if (track) this.#lost.delete(kind)
    track?.addEventListener('ended', () => void this.#onEnded(kind, track))
    if (track && before) track.enabled = before.enabled
    if (kind === 'video' && this.#screen) this.#camera = track
    else this.#put(kind, track)
    this.#release(before)
  }

  /**
   * @param {Kind} kind
   * @param {boolean} on
   */
  enable(kind, on) {
    const track = this.tracks[kind]
    if (!track || track.enabled === on) return
    track.enabled = on
    this.#emit('change')
  }

  /**
   * @param {Kind} kind
   * @param {string} [deviceId] the browser's choice without one
   */
  async useDevice(kind, deviceId) {
    const wish = deviceId ? { deviceId: { exact: deviceId } } : true
    const opened = await navigator.mediaDevices.getUserMedia({ [kind]: wish })
    const track = opened.getTracks()[0]
    if (this.#closed) return track.stop()
    this.#owned.add(track)
    this.setTrack(kind, track)
  }

  /** @param {DisplayMediaStreamOptions} [options] */
  async shareScreen(options = { video: true, audio: false }) {
    const shared = await navigator.mediaDevices.getDisplayMedia(options)
    const track = shared.getVideoTracks()[0]
    if (this.#closed || this.#screen) return track.stop()
    // Letters rather than motion: blur costs a screen more than a low frame rate.
    track.contentHint = 'detail'
    track.addEventListener('ended', () => this.stopScreen())
    this.#camera = this.tracks.video
    this.#screen = track
    this.#put('video', track)
    this.#emit('screen', true)
  }

  /** Back to the camera, or to no picture where there was none. */
  stopScreen() {
    const screen = this.#screen
    if (!screen) return
    this.#screen = null
    screen.stop()
    this.#put('video', this.#camera)
    this.#camera = null
    this.#emit('screen', false)
  }

  close() {
    this.#closed = true
    navigator.mediaDevices?.removeEventListener('devicechange', this.#onDevices)
    this.#screen?.stop()
    for (const track of this.#owned) track.stop()
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  #put(kind, track) {
    const before = this.tracks[kind]
    if (before) this.stream.removeTrack(before)
    if (track) this.stream.addTrack(track)
    this.tracks[kind] = track
    this.#emit('change')
  }

  /** @param {MediaStreamTrack | null} track no longer sent */
  #release(track) {
    if (track && this.#owned.delete(track)) track.stop()
  }

  /**
   * A device was unplugged: another one takes its place, or one does as soon as there is one.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack} track
   */
  async #onEnded(kind, track) {
    const current = kind === 'video' && this.#screen ? this.#camera : this.tracks[kind]
    if (this.#closed || current !== track) return
    this.setTrack(kind, null)
    this.#lost.add(kind)
    await this.#reopen(kind)
    this.#emit('device', { kind, lost: track.label, track: this.tracks[kind] })
  }

  async #replug() {
    for (const kind of [...this.#lost]) {
      await this.#reopen(kind)
      if (!this.#lost.has(kind)) this.#emit('device', { kind, lost: '', track: this.tracks[kind] })
    }
  }

  /** @param {Kind} kind */
  async #reopen(kind) {
    try {
      await this.useDevice(kind)
    } catch {
      // There is no other; the next one plugged in is tried.
    }
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/* ─── Room ───────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Another member of the room. */
export class Member {
  /** @type {MediaState} what it says it sends */
  media = { audio: true, video: true, screen: false }
  /** Why the server ended the membership: removed, or empty. */
  leftReason = ''

  #connection

  /**
   * @param {string} id
   * @param {string} name
   * @param {Connection} connection
   */
  constructor(id, name, connection) {
    this.id = id
    this.name = name
    this.#connection = connection
  }

  /** What the member sends us; the same object for the life of the member. */
  get stream() {
    return this.#connection.stream
  }

  get state() {
    return this.#connection.state
  }

  /** The selected candidate pair, as of the latest statistics. */
  get pair() {
    return this.#connection.history.at(-1)?.pair ?? null
  }

  get failure() {
    return this.#connection.failure
  }

  /** Whether data can be sent to it. */
  get ready() {
    return this.#connection.ready
  }
}

/**
 * A call is as well as its best member: one failed path among many must not look like a failed call. Alone in a room is
 * connected, for nothing is amiss.
 *
 * @param {MemberState[]} members
 * @returns {RoomState}
 */
export function roomState(members) {
  if (members.length === 0 || members.includes('connected')) return 'connected'
  if (members.includes('reconnecting')) return 'reconnecting'
  if (members.includes('connecting')) return 'joining'
  return 'failed'
}

/**
 * @typedef {object} RoomEvents each event's detail
 * @property {Member} member somebody came
 * @property {Member} left somebody went
 * @property {Member} stream a track of theirs came, went, paused or goes on
 * @property {Member} update name, state, media or ready changed
 * @property {{ member: Member, data: string | ArrayBuffer, bulk: boolean }} message data of theirs
 * @property {RoomState} state
 * @property {null} stats a fresh sample of all members' statistics is there
 * @property {MediaState} media what we send has changed
 * @property {boolean} screen a screen is shared, or no longer
 * @property {{ kind: Kind, lost: string, track: MediaStreamTrack | null }} device one of ours was unplugged, or plugged in
 *   again; lost is its label, or empty, and track is what is sent now
 * @property {boolean} locked nobody can join any more, or everybody can again
 * @property {{ member: Member, channel: RTCDataChannel }} channel a data channel that the other side opened by itself
 * @property {number} down the server is lost; milliseconds until it is tried again. Calls go on meanwhile
 * @property {Refusal} error the server refused something. Where room.closed is true then, the call is over
 * @property {null} entered the members are known; join waits for it
 *
 * @typedef {Omit<EventTarget, 'addEventListener'> & {
 *   addEventListener<K extends keyof RoomEvents>(
 *     type: K, listener: (event: CustomEvent<RoomEvents[K]>) => void, options?: AddEventListenerOptions): void
 * }} RoomTarget an EventTarget that knows its events
 */
const RoomTarget = /** @type {{ new (): RoomTarget }} */ (/** @type {unknown} */ (EventTarget))

/**
 * A room as one member sees it: who is there, and a connection to each. Made by {@link join}. Its events are those of
 * RoomEvents.
 */
export class Room extends RoomTarget {
  /** Ours, given by the server; another one after a reconnection that could not resume. */
  id = ''
  /** @type {Map<string, Member>} */
  members = new Map()
  /** @type {RoomState} */
  state = 'joining'
  /** Set by leave and by a refusal, after which nothing changes any more. */
  closed = false
  /** @type {string[]} what the server lets us do: publish, moderate */
  capabilities = []
  /** How many may be in the room; 0 where the server does not say. */
  capacity = 0
  /** Whether nobody can join any more. */
  locked = false

  #options
  #signaling
  #local = new LocalMedia()
  /** @type {Outgoing} */
  #outgoing
  /** @type {Map<string, Connection>} */
  #connections = new Map()
  /** @type {RTCIceServer[] | null} null until the server has sent them for this membership */
  #iceServers = null
  /** @type {Message[]} what came before the ICE servers, in order */
  #waiting = []
  #offline = true
  #reporting = true
  #sampling = false
  #reportedAt = performance.now()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #iceServersDeadline
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #sampleTimer
  /** What ends with the room: listeners on the page. */
  #page = new AbortController()

  /** @param {JoinOptions} options */
  constructor(options) {
    super()
    const { url, room, name = '', token, limits = {}, codecs = [] } = options
    this.#options = options
    const { tracks, stream } = this.#local
    this.#outgoing = { name, tracks, stream, limits, codecs, state: () => this.#local.state }
    this.#signaling = new Signaling(signalingURL(url), { roomId: room, ...(name && { name }), ...(token && { token }) })
    this.#watchSignaling()
    this.#watchLocal()
    this.#watchNetwork()
  }

  /** What we send, for a preview: the same object as long as the room. */
  get stream() {
    return this.#local.stream
  }

  /** Whether the picture we send is of a screen. */
  get sharing() {
    return this.#local.sharing
  }

  /** What we send, on or off. */
  get media() {
    return this.#local.state
  }

  /** Leaves for good. */
  leave() {
    this.#signaling.close()
    this.#end('left')
  }

  /**
   * In order, to one member or all. Strings and buffers of more than a few KiB should be awaited one by one: then the other
   * side's pace is kept. Bulk travels beside, so that messages may overtake it.
   *
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
   * @param {{ to?: string, bulk?: boolean }} [options]
   * @returns {Promise<string[]>} ids of those it could not be sent to
   */
  async send(data, { to, bulk = false } = {}) {
    const ids = to === undefined ? [...this.members.keys()] : [to]
    const sent = await Promise.all(ids.map((id) => this.#connections.get(id)?.sendData(data, bulk) ?? false))
    return ids.filter((_, index) => !sent[index])
  }

  /**
   * The latest statistics of a member, smoothed.
   *
   * @param {string} id
   * @returns {Promise<Stats | null>} null when nobody has that id
   */
  async stats(id) {
    const connection = this.#connections.get(id)
    if (connection?.history.length === 0) await connection.sample()
    return connection?.history.at(-1) ?? null
  }

  /**
   * The last two minutes of a member's statistics, a sample a second.
   *
   * @param {string} id
   * @returns {readonly Stats[]}
   */
  history(id) {
    return this.#connections.get(id)?.history ?? []
  }

  /**
   * Sends another track of this kind to everybody, or none. It stays the caller's. While a screen is shared, a new picture
   * waits until that ends.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  async replaceTrack(kind, track) {
    this.#local.setTrack(kind, track)
  }

  /**
   * Sends these tracks instead; a kind the stream lacks is no longer sent.
   *
   * @param {MediaStream} stream
   * @param {{ stopTracks?: boolean }} [options] as in JoinOptions
   */
  setMedia(stream, { stopTracks = false } = {}) {
    this.#local.setStream(stream, stopTracks)
  }

  /**
   * Silence, or a black picture, until it is lifted.
   *
   * @param {Kind} kind
   * @param {boolean} [muted]
   */
  mute(kind, muted = true) {
    this.#local.enable(kind, !muted)
  }

  /**
   * Takes another microphone or camera. Rejects with what getUserMedia rejects with.
   *
   * @param {Kind} kind
   * @param {string} [deviceId] of enumerateDevices; the browser's choice without one
   */
  async useDevice(kind, deviceId) {
    await this.#local.useDevice(kind, deviceId)
  }

  /**
   * Sends a screen in place of the camera, until it is stopped here or in the browser. Needs a click just before. Rejects
   * with what getDisplayMedia rejects with.
   *
   * @param {DisplayMediaStreamOptions} [options]
   */
  async shareScreen(options) {
    await this.#local.shareScreen(options)
  }

  /** Back to the camera. */
  stopScreen() {
    this.#local.stopScreen()
  }

  /** @param {Limits} limits of what is sent to each member, from now on */
  setLimits(limits) {
    this.#outgoing.limits = limits
    for (const connection of this.#connections.values()) connection.updateLimits()
  }

  /**
   * Gives direct paths up, or seeks them again. Members are met anew for it, with a pause of a second or two: browsers do not
   * leave a path that works, whatever policy they are given later.
   *
   * @param {boolean} relayOnly
   */
  setRelayOnly(relayOnly) {
    if (relayOnly === (this.#options.relayOnly ?? false)) return
    this.#options = { ...this.#options, relayOnly }
    this.#signaling.rejoin()
  }

  /** Seeks all paths anew, and the server: for pages that know of a change before the browser does. */
  reconnect() {
    this.#signaling.reopen()
    for (const connection of this.#connections.values()) connection.restart()
  }

  /** @param {boolean} locked whether newcomers are refused; for moderators */
  lock(locked = true) {
    this.#signaling.send({ type: locked ? 'lock' : 'unlock' })
  }

  /** @param {string} id who has to go; for moderators */
  remove(id) {
    this.#signaling.send({ type: 'remove', targetClientId: id })
  }

  /**
   * Enters the room; join calls it.
   *
   * @returns {Promise<void>} settles with the members and the ICE servers known; rejects with a JoinError
   */
  enter() {
    const { signal } = this.#options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      signal?.addEventListener('abort', () => {
        this.leave()
        reject(signal.reason)
      }, { once: true, signal: this.#page.signal })
      this.addEventListener('entered', () => resolve(), { once: true })
      this.addEventListener('error', (event) => {
        if (this.closed) reject(new JoinError(detailOf(event)))
      }, { signal: this.#page.signal })
      this.#signaling.open()
    })
  }

  #watchSignaling() {
    const signaling = this.#signaling
    signaling.addEventListener('message', (event) => this.#onMessage(detailOf(event)))
    signaling.addEventListener('resumed', () => this.#onResumed())
    signaling.addEventListener('down', (event) => this.#onDown(detailOf(event)))
    signaling.addEventListener('refused', (event) => this.#onRefused(detailOf(event)))
  }

  #watchLocal() {
    const local = this.#local
    local.addEventListener('change', () => {
      for (const connection of this.#connections.values()) connection.updateTracks()
      this.#emit('media', local.state)
    })
    local.addEventListener('screen', (event) => this.#emit('screen', detailOf(event)))
    local.addEventListener('device', (event) => this.#emit('device', detailOf(event)))
  }

  #watchNetwork() {
    const { signal } = this.#page
    addEventListener('online', () => this.reconnect(), { signal })
    /** @type {any} */
    const network = /** @type {any} */ (navigator).connection
    let type = network?.type
    // The event also tells of better guesses at the speed, which change nothing.
    network?.addEventListener('change', () => {
      if (network.type !== type && navigator.onLine) this.reconnect()
      type = network.type
    }, { signal })
    this.#sampleTimer = setInterval(() => void this.#sample(), SAMPLE_MS)
  }

  /** @param {Message} message */
  #onMessage(message) {
    switch (message.type) {
      case 'room-users':
        return this.#onJoined(message)
      case 'ice-servers':
        return this.#onIceServers(Array.isArray(message.iceServers) ? message.iceServers : [])
      case 'room-locked':
      case 'room-unlocked':
        this.locked = message.type === 'room-locked'
        return this.#emit('locked', this.locked)
      case 'error':
        return this.#onError(refusalOf(message))
    }
    if (this.#iceServers) this.#onMemberMessage(message)
    else this.#waiting.push(message)
  }

  /** @param {Message} message about another member, or from one */
  #onMemberMessage(message) {
    switch (message.type) {
      case 'room-users':
        for (const id of message.users) this.#meet(id, message.names?.[id]).initiate()
        this.#update()
        return this.#emit('entered', null)
      case 'user-joined':
        this.#meet(message.clientId, message.name)
        return this.#update()
      case 'user-left':
        this.#part(message.clientId, message.reason)
        return this.#update()
      case 'offer':
      case 'answer':
      case 'candidate':
        this.#connections.get(message.clientId)?.receive(message)
    }
  }

  /**
   * Whoever was known before is met anew: for the others, the member we were has left. Nothing is offered or answered before
   * the ICE servers are there.
   *
   * @param {Message} message
   */
  #onJoined(message) {
    this.id = message.clientId
    this.capabilities = Array.isArray(message.capabilities) ? message.capabilities : []
    this.capacity = Number(message.capacity) || 0
    this.#offline = false
    this.#dropMembers()
    this.#awaitIceServers()
    this.#waiting.push(message)
    if (this.locked !== (message.locked === true)) {
      this.locked = message.locked === true
      this.#emit('locked', this.locked)
    }
  }

  #onResumed() {
    this.#offline = false
    for (const connection of this.#connections.values()) if (connection.state !== 'connected') connection.restart()
    this.#update()
  }

  #awaitIceServers() {
    this.#iceServers = null
    this.#waiting = []
    clearTimeout(this.#iceServersDeadline)
    this.#iceServersDeadline = setTimeout(() => {
      this.#onError({ reason: 'no-ice-servers', message: '' })
      this.#onIceServers([])
    }, ICE_SERVERS_DEADLINE_MS)
  }

  /** @param {RTCIceServer[]} iceServers the first ones, or renewed ones */
  #onIceServers(iceServers) {
    clearTimeout(this.#iceServersDeadline)
    this.#iceServers = iceServers
    for (const connection of this.#connections.values()) connection.configure(this.#configuration())
    for (const message of this.#waiting.splice(0)) this.#onMemberMessage(message)
  }

  #configuration() {
    return iceConfiguration(this.#iceServers ?? [], this.#options)
  }

  /**
   * @param {string} id
   * @param {unknown} [name]
   */
  #meet(id, name) {
    const connection = new Connection({
      send: (message) => this.#signaling.send({ ...message, targetClientId: id }),
      polite: this.id < id,
      configuration: this.#configuration(),
      outgoing: this.#outgoing,
    })
    const member = new Member(id, typeof name === 'string' ? name : '', connection)
    this.members.set(id, member)
    this.#connections.set(id, connection)
    this.#watch(member, connection)
    this.#emit('member', member)
    return connection
  }

  /**
   * @param {Member} member
   * @param {Connection} connection
   */
  #watch(member, connection) {
    connection.addEventListener('state', () => {
      this.#emit('update', member)
      this.#update()
    })
    connection.addEventListener('stream', () => this.#emit('stream', member))
    connection.addEventListener('ready', () => this.#emit('update', member))
    connection.addEventListener('unanswered', () => this.#signaling.reopen())
    connection.addEventListener('data', (event) => this.#emit('message', { member, ...detailOf(event) }))
    connection.addEventListener('channel', (event) => this.#emit('channel', { member, channel: detailOf(event) }))
    for (const type of ['hello', 'media']) {
      connection.addEventListener(type, (event) => {
        const { name = '', media } = detailOf(event)
        // What the server says of a name counts more than what its bearer says.
        member.name ||= name
        member.media = media
        this.#emit('update', member)
      })
    }
  }

  /**
   * @param {string} id
   * @param {unknown} [reason]
   */
  #part(id, reason) {
    const member = this.members.get(id)
    if (!member) return
    if (reason === 'removed') member.leftReason = reason
    this.members.delete(id)
    this.#connections.get(id)?.close()
    this.#connections.delete(id)
    this.#emit('left', member)
  }

  #dropMembers() {
    for (const id of [...this.members.keys()]) this.#part(id)
  }

  /**
   * Calls go on without the server, so connections are kept until it is back.
   *
   * @param {number} retryMs
   */
  #onDown(retryMs) {
    this.#offline = true
    clearTimeout(this.#iceServersDeadline)
    this.#emit('down', retryMs)
    this.#update()
  }

  /** @param {Refusal} refusal */
  #onRefused(refusal) {
    this.#end('failed', refusal)
  }

  /**
   * @param {RoomState} state
   * @param {Refusal} [refusal]
   */
  #end(state, refusal) {
    if (this.closed) return
    this.closed = true
    clearTimeout(this.#iceServersDeadline)
    clearInterval(this.#sampleTimer)
    this.#dropMembers()
    this.#local.close()
    this.#setState(state)
    if (refusal) this.#emit('error', refusal)
    this.#page.abort()
  }

  /** @param {Refusal} refusal of one message, or of what we come back with */
  #onError(refusal) {
    // An older server does not take reports.
    if (refusal.reason === 'unknown-type') this.#reporting = false
    const quiet = ['unknown-type', 'unknown-target', 'bad-quality', 'too-many-reports']
    // What closes the socket is told when it has.
    if (!quiet.includes(refusal.reason) && (STAYING.has(refusal.reason) || refusal.reason === 'no-ice-servers')) {
      this.#emit('error', refusal)
    }
  }

  async #sample() {
    if (this.#sampling) return
    this.#sampling = true
    try {
      const connections = [...this.#connections.values()]
      await Promise.all(connections.map((connection) => connection.sample()))
      if (connections.length > 0) this.#emit('stats', null)
      this.#report()
    } catch (error) {
      console.warn('no statistics:', error)
    } finally {
      this.#sampling = false
    }
  }

  /** Tells the server how the connections do, so that its operator sees what its users see. */
  #report() {
    if (!this.#reporting || this.#offline || performance.now() - this.#reportedAt < REPORT_MS) return
    this.#reportedAt = performance.now()
    for (const [id, connection] of this.#connections) {
      const report = qualityReport(connection)
      if (report) this.#signaling.send({ type: 'quality', targetClientId: id, ...report })
    }
  }

  #update() {
    if (this.closed) return
    if (!this.#offline && this.#iceServers) this.#setState(roomState([...this.members.values()].map(({ state }) => state)))
    else this.#setState(this.id ? 'reconnecting' : 'joining')
  }

  /** @param {RoomState} state */
  #setState(state) {
    if (state === this.state) return
    this.state = state
    this.#emit('state', state)
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/**
 * Means over the time since the last report; of the picture only where one came.
 *
 * @param {Pick<Connection, 'state' | 'history' | 'restarts' | 'timeToConnectMs'>} connection
 * @returns {Record<string, number | string> | null} null while there is nothing to say
 */
export function qualityReport({ state, history, restarts, timeToConnectMs }) {
  const samples = history.slice(-REPORT_MS / SAMPLE_MS)
  const pair = samples.at(-1)?.pair
  if (state !== 'connected' || !pair) return null
  /** @type {Record<string, number | string>} */
  const report = { pairType: pair.kind, transport: pair.protocol, restarts }
  if (timeToConnectMs !== null) report.timeToConnectMs = Math.round(timeToConnectMs)
  const names = /** @type {const} */ ([
    ['roundTripMs', 'roundTripMs'],
    ['lossPercent', 'lossPercent'],
    ['jitterMs', 'jitterMs'],
    ['bitrateKbps', 'videoKbps'],
  ])
  for (const [name, key] of names) {
    const values = samples.map((sample) => sample[key]).filter((value) => value !== null)
    const mean = values.reduce((total, value) => total + value, 0) / values.length
    if (values.length > 0 && (key !== 'videoKbps' || mean > 0)) report[name] = Math.round(mean * 100) / 100
  }
  return report
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail
}

/* ─── Joining ────────────────────────────────────────────────────────────────────────────────────────────────────────────── */

/** Why the server did not let us in. */
export class JoinError extends Error {
  /** @param {Refusal} refusal */
  constructor({ reason, message }) {
    super(message || `joining failed: ${reason}`)
    this.name = 'JoinError'
    /** Stable code, such as room-full. */
    this.reason = reason
  }
}

/**
 * The signaling endpoint of a server, from the address of any page of it.
 *
 * @param {string} [url] ws:, wss:, http: or https: address, or a path; a path of its own is kept
 */
export function signalingURL(url) {
  const address = url ? new URL(url, globalThis.location?.href) : new URL('/', import.meta.url)
  if (address.pathname === '/') address.pathname = '/v1/signal'
  address.protocol = address.protocol.replace('http', 'ws')
  address.hash = ''
  return address.href
}

/**
 * Joins a room. Who is there already is in room.members when it returns; `member` events tell of those who come later.
 *
 * @param {JoinOptions} options
 * @returns {Promise<Room>}
 * @throws {JoinError} when the server does not let us in; with a DOMException when media are asked for and refused
 */
export async function join(options) {
  const { media = null } = options
  const given = media instanceof MediaStream
  const stream = media && !given ? await navigator.mediaDevices.getUserMedia(media) : /** @type {MediaStream | null} */ (media)
  const room = new Room(options)
  if (stream) room.setMedia(stream, { stopTracks: !given || options.stopTracks })
  await room.enter()
  return room
}
