import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compareTotals, filterServers, grade, iceConfiguration, judge, keepDTLSRole, Pace, parseControl, qualityReport, relayURLs, retryDelay, roomState,
  selectedPair, signalingURL, smoothStats, totalsOf, transportOf,
} from '../../static/hairpin.js'

/**
 * A report as getStats gives it.
 *
 * @param {...Record<string, unknown>} entries
 */
const report = (...entries) => new Map(entries.map((entry, index) => [String(entry.id ?? index), entry]))

const pair = { id: 'P', type: 'candidate-pair', timestamp: 2000, localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.042 }
const local = { id: 'L', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp' }
const remote = { id: 'R', type: 'remote-candidate', candidateType: 'srflx', protocol: 'udp', address: '192.0.2.7' }
const transport = { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }
const audio = { type: 'inbound-rtp', kind: 'audio', bytesReceived: 1000, packetsReceived: 50, packetsLost: 0, jitter: 0.002 }
const video = { type: 'inbound-rtp', kind: 'video', bytesReceived: 9000, packetsReceived: 40, packetsLost: 10, jitter: 0.008, frameHeight: 720, framesPerSecond: 24 }
const sent = { type: 'outbound-rtp', kind: 'video', bytesSent: 5000 }

test('the selected pair, as Chromium and as Firefox name it', () => {
  const wanted = {
    local: 'relay', remote: 'srflx', protocol: 'tcp', kind: 'relay', localAddress: '', remoteAddress: '192.0.2.7',
  }
  assert.deepEqual(selectedPair(report(pair, local, remote, transport)), wanted)
  assert.deepEqual(selectedPair(report({ ...pair, selected: true }, local, remote)), wanted)
})

test('a direct pair has the protocol of its candidate', () => {
  const host = { ...local, candidateType: 'host', relayProtocol: undefined }
  const found = selectedPair(report(pair, host, remote, transport))
  assert.deepEqual([found?.protocol, found?.kind], ['udp', 'nat'])
  const direct = selectedPair(report(pair, host, { ...host, id: 'R' }, transport))
  assert.equal(direct?.kind, 'direct')
})

test('no pair before one is selected', () => {
  assert.equal(selectedPair(report(pair, local, remote)), null)
  assert.equal(selectedPair(report()), null)
  assert.equal(selectedPair(report(pair, transport)), null)
})

test('totals add up audio and video', () => {
  assert.deepEqual(totalsOf(report(pair, local, remote, transport, audio, video, sent)), {
    at: 2000,
    bytesReceived: 10_000,
    bytesSent: 5000,
    videoBytesReceived: 9000,
    packetsReceived: 90,
    packetsLost: 10,
    roundTripMs: 42,
    jitterMs: 8,
    frameHeight: 720,
    framesPerSecond: 24,
  })
})

test('where the pair has no round trip, RTCP tells one', () => {
  const answered = { type: 'remote-inbound-rtp', roundTripTime: 0.05 }
  const { currentRoundTripTime, ...silent } = pair
  assert.equal(totalsOf(report(silent, local, remote, transport, answered)).roundTripMs, 50)
})

test('totals of an empty report', () => {
  const totals = totalsOf(report())
  assert.equal(totals.roundTripMs, null)
  assert.equal(totals.jitterMs, null)
  assert.equal(totals.bytesReceived, 0)
})

const before = {
  at: 1000, bytesReceived: 0, bytesSent: 0, videoBytesReceived: 0, packetsReceived: 0, packetsLost: 0, roundTripMs: 1, jitterMs: 1,
  frameHeight: 0, framesPerSecond: 0,
}

test('rates are those of the time between', () => {
  const now = { ...before, at: 3000, bytesReceived: 250_000, bytesSent: 125_000, packetsReceived: 98, packetsLost: 2 }
  const stats = compareTotals(now, before, null)
  assert.equal(stats.bitrateKbps, 1000)
  assert.equal(stats.sendBitrateKbps, 500)
  assert.equal(stats.lossPercent, 2)
})

test('nothing is said of rates the first time, or when no time has passed', () => {
  assert.equal(compareTotals(before, null, null).bitrateKbps, null)
  assert.equal(compareTotals(before, null, null).lossPercent, null)
  assert.equal(compareTotals(before, before, null).bitrateKbps, null)
})

test('late packets and fresh counters do not make numbers below nothing', () => {
  const earlier = { ...before, packetsLost: 5, packetsReceived: 10, bytesReceived: 100 }
  const late = compareTotals({ ...earlier, at: 2000, packetsLost: 3, packetsReceived: 20 }, earlier, null)
  assert.equal(late.lossPercent, 0)
  const fresh = compareTotals({ ...before, at: 2000 }, earlier, null)
  assert.equal(fresh.bitrateKbps, 0)
  assert.equal(fresh.lossPercent, null)
})

test('the verdict is the worst number’s', () => {
  /** @type {[number | null, number | null, number | null, string][]} */
  const cases = [
    [null, null, null, 'unknown'],
    [20, 0, 5, 'good'],
    [149.9, 0.9, 29.9, 'good'],
    [150, 0, 5, 'warning'],
    [300, 5, 50, 'warning'],
    [20, 1, 5, 'warning'],
    [20, null, 30, 'warning'],
    [301, 0, 5, 'critical'],
    [20, 5.1, 5, 'critical'],
    [200, 0, 51, 'critical'],
  ]
  for (const [roundTripMs, lossPercent, jitterMs, verdict] of cases) {
    assert.equal(judge({ roundTripMs, lossPercent, jitterMs }), verdict, `${roundTripMs} ms ${lossPercent} % ${jitterMs} ms`)
  }
})

test('of the bitrate, more is better', () => {
  /** @type {[number | null, string][]} */
  const cases = [[1001, 'good'], [1000, 'warning'], [500, 'warning'], [499, 'critical'], [null, 'unknown']]
  for (const [value, verdict] of cases) assert.equal(grade('videoKbps', value), verdict, `${value} kbit/s`)
})

const stats = { ...compareTotals(before, null, null), roundTripMs: 100, jitterMs: 10, lossPercent: 0 }

test('round trip and jitter are drawn towards the latest sample', () => {
  assert.equal(smoothStats(stats, null).roundTripMs, 100)
  const drawn = smoothStats({ ...stats, roundTripMs: 200, jitterMs: 20 }, stats)
  assert.deepEqual([drawn.roundTripMs, drawn.jitterMs], [140, 14])
  assert.equal(smoothStats({ ...stats, roundTripMs: 600 }, stats).verdict, 'warning', 'one outlier is not yet critical')
  assert.equal(smoothStats({ ...stats, roundTripMs: null }, stats).roundTripMs, null)
})

/** @type {import('../../static/hairpin.js').Pair} */
const relayed = { local: 'relay', remote: 'host', protocol: 'tcp', kind: 'relay', localAddress: '', remoteAddress: '' }

test('a report is of means, and silent about what is not known', () => {
  const history = [
    { ...stats, pair: relayed, roundTripMs: 10, lossPercent: null, videoKbps: 100 },
    { ...stats, pair: relayed, roundTripMs: 20, lossPercent: 2, videoKbps: 400 },
  ]
  const connection = { state: /** @type {const} */ ('connected'), history, restarts: 1, timeToConnectMs: 250.4 }
  assert.deepEqual(qualityReport(connection), {
    pairType: 'relay', transport: 'tcp', restarts: 1, timeToConnectMs: 250, roundTripMs: 15, lossPercent: 2, jitterMs: 10,
    bitrateKbps: 250,
  })
  const still = history.map((sample) => ({ ...sample, videoKbps: 0 }))
  assert.ok(!('bitrateKbps' in (qualityReport({ ...connection, history: still }) ?? {})))
  assert.equal(qualityReport({ ...connection, history: [] }), null)
  assert.equal(qualityReport({ ...connection, state: 'reconnecting' }), null)
})

test('a call is as well as its best member', () => {
  /** @type {[import('../../static/hairpin.js').MemberState[], string][]} */
  const cases = [
    [[], 'connected'],
    [['connecting'], 'joining'],
    [['connecting', 'failed'], 'joining'],
    [['failed', 'connected', 'connecting'], 'connected'],
    [['reconnecting', 'connecting', 'failed'], 'reconnecting'],
    [['failed', 'failed'], 'failed'],
  ]
  for (const [members, state] of cases) assert.equal(roomState(members), state, members.join())
})

test('a burst of messages, then so many a second', () => {
  const pace = new Pace(20, 3)
  for (let message = 0; message < 3; message++) assert.equal(pace.take(1000), 0)
  assert.equal(pace.take(1000), 50)
  assert.equal(pace.take(1050), 0)
  assert.equal(pace.take(1050), 50)
})

test('a long silence saves no more than the burst', () => {
  const pace = new Pace(20, 2)
  assert.deepEqual([1, 2, 3].map(() => pace.take(3_600_000)), [0, 0, 50])
})

test('attempts come more and more rarely, and never all at once', () => {
  assert.deepEqual([0, 1, 2].map((attempts) => retryDelay(attempts, 0)), [250, 500, 1000])
  assert.deepEqual([0, 1, 2].map((attempts) => retryDelay(attempts, 1)), [500, 1000, 2000])
  assert.equal(retryDelay(1000, 1), 15_000)
})

const servers = [
  { urls: 'stun:s.example' },
  { urls: ['turn:t.example?transport=udp', 'turn:t.example?transport=tcp', 'turns:t.example'], username: 'u', credential: 'c' },
]

test('the transport of a URL, RFC 7065 section 3.1', () => {
  const cases = {
    'stun:s.example': 'udp',
    'stuns:s.example': 'tcp',
    'turn:t.example': 'udp',
    'turn:t.example:3478?transport=udp': 'udp',
    'turn:t.example?transport=tcp': 'tcp',
    'TURN:[2001:db8::1]:3478?TRANSPORT=TCP': 'tcp',
    'turns:t.example': 'tcp',
    'turns:t.example?transport=udp': 'udp',
  }
  for (const [url, transport] of Object.entries(cases)) assert.equal(transportOf(url), transport, url)
})

test('servers are kept with the URLs of the wanted transport', () => {
  assert.deepEqual(filterServers(servers, 'any'), servers)
  assert.deepEqual(filterServers(servers, 'udp'), [
    { urls: ['stun:s.example'] },
    { urls: ['turn:t.example?transport=udp'], username: 'u', credential: 'c' },
  ])
  assert.deepEqual(filterServers(servers, 'tcp'), [
    { urls: ['turn:t.example?transport=tcp', 'turns:t.example'], username: 'u', credential: 'c' },
  ])
  assert.deepEqual(filterServers([{ urls: 'turn:t.example' }], 'tcp'), [])
})

test('relay only is a policy of ICE', () => {
  assert.equal(iceConfiguration(servers, { relayOnly: true }).iceTransportPolicy, 'relay')
  assert.equal(iceConfiguration(servers).iceTransportPolicy, 'all')
})

test('the relays among the servers', () => {
  assert.deepEqual(relayURLs(servers), servers[1].urls)
  assert.deepEqual(relayURLs([{ urls: 'stun:s.example' }]), [])
})

test('the signaling endpoint of any page of a server', () => {
  assert.equal(signalingURL('https://call.example/'), 'wss://call.example/v1/signal')
  assert.equal(signalingURL('http://127.0.0.1:8080'), 'ws://127.0.0.1:8080/v1/signal')
  assert.equal(signalingURL('wss://call.example/behind/proxy'), 'wss://call.example/behind/proxy')
})

const silent = { audio: false, video: false, screen: false }

test('what another member says of itself is checked and bounded', () => {
  const media = { audio: true, video: false, screen: true }
  assert.deepEqual(parseControl(JSON.stringify({ type: 'hello', name: 'Ann', media })), { type: 'hello', name: 'Ann', media })
  assert.deepEqual(parseControl('{"type":"media","media":{"audio":1,"video":"yes"}}'), { type: 'media', media: silent })
  assert.deepEqual(parseControl('{"type":"media"}'), { type: 'media', media: silent })
  const long = parseControl(JSON.stringify({ type: 'hello', name: 'x'.repeat(900) }))
  assert.equal(long?.type === 'hello' && long.name.length, 64)
})

test('what is no control message is none', () => {
  const cases = ['', 'null', '[]', '7', '"hello"', '{', '{}', '{"type":"hello"}', '{"type":"hello","name":7}', '{"type":"other"}',
    JSON.stringify({ type: 'hello', name: 'x'.repeat(2000) }), new ArrayBuffer(4), undefined]
  for (const data of cases) assert.equal(parseControl(data), null, String(data))
})

test('an offer leaves nobody a choice of the DTLS role that was settled before', () => {
  const describe = (/** @type {RTCSdpType} */ type, /** @type {string} */ setup) =>
    /** @type {RTCSessionDescription} */ ({ type, sdp: `v=0\r\na=setup:${setup}\r\na=mid:0\r\na=setup:${setup}\r\n` })
  const [open, active, passive] = ['actpass', 'active', 'passive'].map((setup) => describe('offer', setup))
  const settled = (/** @type {RTCSessionDescription} */ local, /** @type {RTCSessionDescription} */ remote) =>
    keepDTLSRole(open, { currentLocalDescription: local, currentRemoteDescription: remote })
  assert.deepEqual(settled(open, describe('answer', 'active')), active)
  assert.deepEqual(settled(open, describe('answer', 'passive')), passive)
  assert.deepEqual(settled(describe('answer', 'active'), open), passive)
  assert.deepEqual(settled(describe('answer', 'passive'), open), active)

  const first = { currentLocalDescription: null, currentRemoteDescription: null }
  assert.deepEqual(keepDTLSRole(open, first), open)
  const answer = describe('answer', 'active')
  assert.deepEqual(keepDTLSRole(answer, { currentLocalDescription: open, currentRemoteDescription: answer }), answer)
})
