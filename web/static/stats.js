/**
 * From RTCPeerConnection.getStats() to the few numbers people ask for. Pure functions.
 *
 * @typedef {ReadonlyMap<string, any>} Report an RTCStatsReport, which behaves as a Map of id to dictionary
 *
 * @typedef {object} Pair the selected candidate pair
 * @property {string} local candidate type (RFC 8445): host, srflx, prflx or relay
 * @property {string} remote
 * @property {string} protocol udp or tcp; towards the relay, where the local candidate is one, and then tls too
 *
 * @typedef {object} Totals what has been counted since the connection began
 * @property {number} at milliseconds
 * @property {number} bytesReceived
 * @property {number} bytesSent
 * @property {number} packetsReceived
 * @property {number} packetsLost
 * @property {number | null} roundTripMs the latest, not a total
 * @property {number | null} jitterMs the latest, not a total
 *
 * @typedef {'good' | 'fair' | 'bad' | 'unknown'} Verdict
 *
 * @typedef {object} Stats
 * @property {number | null} roundTripMs
 * @property {number | null} lossPercent of the packets sent to us
 * @property {number | null} jitterMs
 * @property {number | null} bitrateKbps received
 * @property {number | null} sendBitrateKbps
 * @property {Pair | null} pair
 * @property {Verdict} verdict
 */

/** Up to the first is good, beyond the second is bad. */
const ROUND_TRIP_MS = [150, 300]
const LOSS_PERCENT = [1, 5]
const JITTER_MS = [30, 50]

/**
 * @param {Report} report
 * @returns {Totals}
 */
export function totalsOf(report) {
  const entries = [...report.values()]
  const inbound = entries.filter(({ type }) => type === 'inbound-rtp')
  const outbound = entries.filter(({ type }) => type === 'outbound-rtp')
  const pair = findPair(report)
  return {
    at: pair?.timestamp ?? inbound[0]?.timestamp ?? 0,
    bytesReceived: sum(inbound, 'bytesReceived'),
    bytesSent: sum(outbound, 'bytesSent'),
    packetsReceived: sum(inbound, 'packetsReceived'),
    packetsLost: sum(inbound, 'packetsLost'),
    roundTripMs: milliseconds(pair?.currentRoundTripTime),
    jitterMs: milliseconds(worst(inbound, 'jitter')),
  }
}

/**
 * @param {Totals} now
 * @param {Totals | null} before null the first time: nothing can be said of rates then
 * @param {Pair | null} pair
 * @returns {Stats}
 */
export function compareTotals(now, before, pair) {
  const numbers = {
    roundTripMs: now.roundTripMs,
    jitterMs: now.jitterMs,
    lossPercent: before && lossPercent(now, before),
    bitrateKbps: before && kbps(now.bytesReceived - before.bytesReceived, now.at - before.at),
    sendBitrateKbps: before && kbps(now.bytesSent - before.bytesSent, now.at - before.at),
  }
  return { ...numbers, pair, verdict: judge(numbers) }
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
  }
}

/**
 * The verdict is the worst number's. The bitrate does not count: a camera that is off needs none.
 *
 * @param {{ roundTripMs: number | null, lossPercent: number | null, jitterMs: number | null }} numbers
 * @returns {Verdict}
 */
export function judge({ roundTripMs, lossPercent, jitterMs }) {
  const grades = [grade(roundTripMs, ROUND_TRIP_MS), grade(lossPercent, LOSS_PERCENT), grade(jitterMs, JITTER_MS)]
  if (grades.includes('bad')) return 'bad'
  if (grades.includes('fair')) return 'fair'
  return grades.includes('good') ? 'good' : 'unknown'
}

/**
 * @param {number | null} value
 * @param {number[]} limits
 * @returns {Verdict}
 */
function grade(value, [good, fair]) {
  if (value === null) return 'unknown'
  if (value <= good) return 'good'
  return value <= fair ? 'fair' : 'bad'
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
