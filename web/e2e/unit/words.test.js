import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bitrateWords, failureWords, mediaWords, numberWords, pairTitle, pairWords, refusalWords } from '../../static/words.js'

/** @param {string} name */
const fault = (name) => Object.assign(new Error('x'), { name })

test('every fault of the camera is explained, with what is left without it', () => {
  const cases = {
    NotAllowedError: /allow them in the address bar/,
    NotFoundError: /has no camera/,
    NotReadableError: /another program/,
    SecurityError: /HTTPS/,
    OtherError: /could not be opened/,
  }
  for (const [name, words] of Object.entries(cases)) {
    const said = mediaWords({ stream: null, error: fault(name) })
    assert.match(said, words)
    assert.match(said, /you can chat/)
  }
})

const any = { relayOnly: false, transport: /** @type {const} */ ('any') }
const relays = ['turn:t.example?transport=udp']

test('every failure of ICE is explained', () => {
  const unreached = { url: relays[0], code: 701, text: '' }
  /** @type {[import('../../static/hairpin.js').Failure, import('../../static/options.js').IceChoice, RegExp][]} */
  const cases = [
    [{ reason: 'no-relay', errors: [unreached], relays }, { ...any, relayOnly: true }, /turn:t\.example\S* did not answer\./],
    [{ reason: 'no-relay', errors: [{ ...unreached, code: 401 }], relays }, { ...any, relayOnly: true }, /did not accept our credentials/],
    [{ reason: 'no-relay', errors: [{ ...unreached, code: 486 }], relays }, { ...any, relayOnly: true }, /no more relay addresses/],
    [{ reason: 'no-relay', errors: [{ ...unreached, code: 508, text: 'Full' }], relays }, { ...any, relayOnly: true }, /answered 508 Full\./],
    [{ reason: 'no-relay', errors: [], relays: [] }, { relayOnly: true, transport: 'tcp' }, /offers no relay over TCP/],
    [{ reason: 'no-path', errors: [], relays }, any, /try “Reach the relay over TCP”/],
    [{ reason: 'no-path', errors: [], relays }, { ...any, transport: 'tcp' }, /blocks the way to the relay/],
    [{ reason: 'no-path', errors: [], relays: [] }, any, /no relay that could help/],
    [{ reason: 'timeout', errors: [], relays }, any, /in time/],
  ]
  for (const [failure, choice, words] of cases) assert.match(failureWords(failure, choice), words)
})

test('a refusal without words of ours is told in the server’s', () => {
  assert.match(refusalWords({ reason: 'room-full', message: '' }), /room is full/)
  assert.equal(refusalWords({ reason: 'new-reason', message: 'Too blue.' }), 'The server refused: Too blue.')
  assert.equal(refusalWords({ reason: 'new-reason', message: '' }), 'The server refused (new-reason).')
})

test('numbers, and the lack of them', () => {
  assert.equal(numberWords(null, 'ms'), '–')
  assert.equal(numberWords(1.26, '%', 1), '1.3 %')
  assert.equal(pairWords(null), '–')
  const pair = (/** @type {string} */ local, /** @type {string} */ remote, protocol = 'udp') =>
    /** @type {import('../../static/hairpin.js').Pair} */ ({ local, remote, protocol })
  assert.equal(pairWords(pair('relay', 'host', 'tls')), 'relay ⇄ host · TLS')
  assert.match(pairTitle(pair('relay', 'relay')), /Both sides/)
  assert.match(pairTitle(pair('host', 'relay')), /One side/)
  assert.match(pairTitle(pair('host', 'srflx')), /Direct/)
  assert.equal(bitrateWords(/** @type {any} */ ({ bitrateKbps: 99.6, sendBitrateKbps: 3 })), '↓ 100 ↑ 3 kbit/s')
})
