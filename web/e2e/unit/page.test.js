import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adviceWords } from '../../static/advice.js'
import { compareTotals, totalsOf } from '../../static/hairpin.js'
import { loudness } from '../../static/meter.js'
import { pathHops } from '../../static/path.js'
import { plotLines, plotTop } from '../../static/plot.js'
import { deviceWords, fileWords, screenWords, sizeWords } from '../../static/words.js'

/**
 * @param {string} local
 * @param {string} remote
 * @param {string} [protocol]
 * @returns {import('../../static/hairpin.js').Pair}
 */
const pair = (local, remote, protocol = 'udp') => ({ local, remote, protocol, kind: 'direct', localAddress: '', remoteAddress: '' })

test('a path is drawn with all it passes', () => {
  /** @type {[import('../../static/hairpin.js').Pair, string][]} */
  const cases = [
    [pair('host', 'host'), 'You -UDP- Bob'],
    [pair('host', 'host', 'tcp'), 'You -TCP- Bob'],
    [pair('srflx', 'host'), 'You -UDP- Your NAT -UDP- Bob'],
    [pair('prflx', 'srflx'), 'You -UDP- Your NAT -UDP- Their NAT -UDP- Bob'],
    [pair('relay', 'host', 'tls'), 'You -TLS- Your relay -UDP- Bob'],
    [pair('relay', 'srflx'), 'You -UDP- Your relay -UDP- Their NAT -UDP- Bob'],
    [pair('host', 'relay'), 'You -UDP- Their relay -- Bob'],
    [pair('relay', 'relay', 'tcp'), 'You -TCP- Your relay -UDP- Their relay -- Bob'],
  ]
  for (const [given, drawn] of cases) {
    const words = pathHops(given, 'Bob').map(({ label, over }, index) => (index === 0 ? label : `-${over}- ${label}`))
    assert.equal(words.join(' '), drawn)
  }
  assert.deepEqual(pathHops(null, 'Bob'), [])
})

test('a plot keeps the latest sample at the right, and leaves gaps where nothing is known', () => {
  assert.deepEqual(plotLines([0, 100], 100, 3), ['120.0,56.0 240.0,0.0'])
  assert.deepEqual(plotLines([50, null, 200], 100, 3), ['0.0,28.0', '240.0,0.0'])
  assert.deepEqual(plotLines([null, null], 100, 3), [])
})

test('a plot shows the threshold and all that was seen', () => {
  assert.equal(plotTop([], 100), 125)
  assert.equal(plotTop([1, null, 2], 100), 125)
  assert.equal(Math.round(plotTop([1000], 100)), 1100)
})

test('loudness is measured as ears do', () => {
  assert.equal(loudness(new Float32Array(64)), 0)
  assert.equal(loudness(new Float32Array(64).fill(1)), 1)
  assert.ok(Math.abs(loudness(new Float32Array(64).fill(0.1)) - 2 / 3) < 1e-6, '−20 dB')
  assert.equal(loudness(new Float32Array(64).fill(1e-6)), 0)
})

const calm = { ...compareTotals(totalsOf(new Map()), null, null), roundTripMs: 20, lossPercent: 0, jitterMs: 5, bitrateKbps: 900, videoKbps: 800, frameHeight: 720 }
const bob = { name: 'Bob', media: { audio: true, video: true, screen: false }, ready: true, state: /** @type {const} */ ('connected'), pictured: true }

/**
 * @param {Partial<import('../../static/hairpin.js').Stats>} changed
 * @param {number} [count]
 */
const samples = (changed, count = 10) => Array.from({ length: count }, () => ({ ...calm, ...changed }))

test('each trouble has its advice', () => {
  /** @type {[Partial<import('../../static/hairpin.js').Stats>, RegExp][]} */
  const cases = [
    [{}, /^$/],
    [{ bitrateKbps: 0, videoKbps: 0 }, /^Nothing arrives from Bob/],
    [{ videoKbps: 0 }, /^No picture arrives from Bob/],
    [{ lossPercent: 9 }, /Relay only/],
    [{ lossPercent: 9, pair: { ...pair('relay', 'host'), kind: 'relay' } }, /lower bitrate/],
    [{ roundTripMs: 900 }, /answers come late/],
    [{ jitterMs: 90 }, /unevenly/],
    [{ videoKbps: 90, frameHeight: 180 }, /coarse/],
    [{ videoKbps: 90 }, /^$/],
  ]
  for (const [changed, words] of cases) assert.match(adviceWords(samples(changed), bob, 60), words)
})

test('advice waits for a trouble to last, and for a path', () => {
  assert.equal(adviceWords([...samples({}, 9), ...samples({ lossPercent: 50 }, 1)], bob, 60), '')
  assert.equal(adviceWords(samples({ lossPercent: 50 }, 3), bob, 60), '')
  assert.equal(adviceWords(samples({ lossPercent: 50 }), bob, 3), '')
  assert.equal(adviceWords(samples({ lossPercent: 50 }), { ...bob, state: 'reconnecting' }, 60), '')
  assert.equal(adviceWords(samples({ videoKbps: 0 }), { ...bob, media: { ...bob.media, video: false } }, 60), '', 'a camera that is off')
  assert.match(adviceWords(samples({}), { ...bob, ready: false }, 60), /Chat with Bob did not open/)
})

test('devices and screens in words', () => {
  assert.equal(deviceWords({ kind: 'audio', lost: 'Headset', track: null }),
    'The microphone “Headset” is gone. There is no other microphone: plug one in, and it is used at once.')
  const track = /** @type {MediaStreamTrack} */ (/** @type {unknown} */ ({ label: 'Cam' }))
  assert.equal(deviceWords({ kind: 'video', lost: '', track }), 'Your camera is “Cam” now.')
  assert.match(screenWords(Object.assign(new Error('x'), { name: 'NotAllowedError' })), /No screen was chosen/)
  assert.match(screenWords(new TypeError('x')), /cannot share/)
})

test('files in words', () => {
  const transfer = { id: '', name: 'x', size: 200, incoming: true, member: 'b', done: 99, blob: null }
  /** @type {[import('../../static/transfer.js').Transfer['state'], RegExp][]} */
  const cases = [
    ['offered', /Bob wants to send/], ['running', /From Bob: 49 %/], ['paused', /Waiting for Bob.*49 %/], ['done', /complete and verified/],
    ['cancelled', /Cancelled/], ['failed', /Offer it again/],
  ]
  for (const [state, words] of cases) assert.match(fileWords({ ...transfer, state }, 'Bob'), words)
  assert.match(fileWords({ ...transfer, state: 'running', incoming: false }, 'Bob'), /To Bob: 49 %/)
  assert.deepEqual([0, 999, 1000, 50_000_000, 2e9].map(sizeWords), ['0 B', '999 B', '1.0 kB', '50.0 MB', '2.0 GB'])
})
