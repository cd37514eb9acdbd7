import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareTotals, judge, selectedPair, totalsOf } from '../../static/stats.js'

/**
 * A report as getStats gives it.
 *
 * @param {...Record<string, unknown>} entries
 */
const report = (...entries) => new Map(entries.map((entry, index) => [String(entry.id ?? index), entry]))

const pair = { id: 'P', type: 'candidate-pair', timestamp: 2000, localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.042 }
const local = { id: 'L', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp' }
const remote = { id: 'R', type: 'remote-candidate', candidateType: 'srflx', protocol: 'udp' }
const transport = { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }
const audio = { type: 'inbound-rtp', kind: 'audio', bytesReceived: 1000, packetsReceived: 50, packetsLost: 0, jitter: 0.002 }
const video = { type: 'inbound-rtp', kind: 'video', bytesReceived: 9000, packetsReceived: 40, packetsLost: 10, jitter: 0.008 }
const sent = { type: 'outbound-rtp', kind: 'video', bytesSent: 5000 }

test('the selected pair, as Chromium and as Firefox name it', () => {
  const wanted = { local: 'relay', remote: 'srflx', protocol: 'tcp' }
  assert.deepEqual(selectedPair(report(pair, local, remote, transport)), wanted)
  assert.deepEqual(selectedPair(report({ ...pair, selected: true }, local, remote)), wanted)
})

test('a direct pair has the protocol of its candidate', () => {
  const host = { ...local, candidateType: 'host', relayProtocol: undefined }
  assert.equal(selectedPair(report(pair, host, remote, transport))?.protocol, 'udp')
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
    packetsReceived: 90,
    packetsLost: 10,
    roundTripMs: 42,
    jitterMs: 8,
  })
})

test('totals of an empty report', () => {
  const totals = totalsOf(report())
  assert.equal(totals.roundTripMs, null)
  assert.equal(totals.jitterMs, null)
  assert.equal(totals.bytesReceived, 0)
})

const before = { at: 1000, bytesReceived: 0, bytesSent: 0, packetsReceived: 0, packetsLost: 0, roundTripMs: 1, jitterMs: 1 }

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
    [150, 1, 30, 'good'],
    [151, 0, 5, 'fair'],
    [20, 1.1, 5, 'fair'],
    [20, null, 31, 'fair'],
    [301, 0, 5, 'bad'],
    [20, 5.1, 5, 'bad'],
    [200, 0, 51, 'bad'],
  ]
  for (const [roundTripMs, lossPercent, jitterMs, verdict] of cases) {
    assert.equal(judge({ roundTripMs, lossPercent, jitterMs }), verdict, `${roundTripMs} ms ${lossPercent} % ${jitterMs} ms`)
  }
})
