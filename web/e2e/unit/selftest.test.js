import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jitter, median } from '../../static/selftest/measure.js'
import { parseServers, planSteps, transportOf } from '../../static/selftest/plan.js'
import { judgeReflexive } from '../../static/selftest/reflexive.js'
import { isReport } from '../../static/selftest/report.js'
import { browserWords, serverWords, verdictWords } from '../../static/selftest/words.js'

test('one step for each relay, and one for all STUN servers', () => {
  const steps = planSteps([
    { urls: ['stun:a.example', 'turn:1.2.3.4:3478?transport=tcp'], username: 'u', credential: 'c' },
    { urls: 'stun:b.example' },
    { urls: 'turns:[2001:db8::1]:5349', username: 'u', credential: 'c' },
  ])
  assert.deepEqual(steps.map(({ name }) => name), ['Your address, as STUN servers see it', 'Relay over TCP, IPv4', 'Relay over TLS, IPv6'])
  assert.equal(steps[0].iceServers.length, 2)
  assert.deepEqual(steps[1].iceServers, [{ urls: ['turn:1.2.3.4:3478?transport=tcp'], username: 'u', credential: 'c' }])
})

test('a hundred servers do not make a hundred steps', () => {
  assert.equal(planSteps(Array.from({ length: 100 }, (_, i) => ({ urls: `turn:${i}.example` }))).length, 24)
})

test('transports of TURN URIs', () => {
  const wanted = { 'turn:a': 'udp', 'turn:a?transport=tcp': 'tcp', 'TURNS:a': 'tls', 'turns:a?transport=udp': 'dtls', 'turn:a?transport=udp': 'udp' }
  for (const [url, transport] of Object.entries(wanted)) assert.equal(transportOf(url), transport, url)
})

test('pasted servers', () => {
  assert.equal(parseServers('{"iceServers":[{"urls":"stun:a"}]}').length, 1)
  assert.equal(parseServers('{"urls":["turn:a"],"username":"u","credential":"c"}')[0].username, 'u')
  for (const wrong of ['', 'null', '[]', '[{}]', '[{"urls":[]}]', '[{"urls":[7]}]', '[{"urls":"http://a"}]', '{"iceServers":7}', '[{"urls":"turn:a","username":{}}]']) {
    assert.throws(() => parseServers(wrong), Error, wrong)
  }
})

/**
 * @param {string} type
 * @param {string} address
 * @param {number} port
 */
function candidate(type, address, port) {
  return /** @type {RTCIceCandidate} */ ({ type, address, port, protocol: 'udp' })
}

test('what reflexive candidates say of the NAT', () => {
  const host = candidate('host', '192.168.1.5', 4000)
  const one = candidate('srflx', '203.0.113.1', 5000)
  const error = { url: 'stun:a', code: 701, text: '' }
  const cases = /** @type {const} */ ([
    ['none', [host], [], 2],
    ['endpoint-independent', [host, one], [], 2],
    ['unknown', [host, one], [], 1],
    ['dependent', [host, one, candidate('srflx', '203.0.113.1', 5001)], [], 2],
    ['endpoint-independent', [host, one, candidate('srflx', '2001:db8::1', 5001)], [], 2],
    ['unknown', [host], [error], 2],
  ])
  for (const [mapping, candidates, errors, servers] of cases) {
    assert.equal(judgeReflexive([...candidates], [...errors], servers).mapping, mapping)
  }
  assert.equal(judgeReflexive([host], [error], 1).ok, false)
})

test('round trips', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(jitter([1]), 0)
  assert.equal(jitter([1, 3, 2]), 1.5)
})

/** @returns {import('../../static/selftest/report.js').Row} */
function failedRow() {
  const relay = { ok: false, failure: /** @type {const} */ ('no-relay'), connectMs: null, measured: null, relayed: [], errors: [{ url: 'turn:a', code: 701, text: '' }] }
  return { kind: 'relay', name: 'Relay over UDP', transport: 'udp', urls: ['turn:a'], ok: false, relay, sightings: [] }
}

test('both sides of a failure in words', () => {
  const row = failedRow()
  assert.match(browserWords(row), /lent no address\. turn:a did not answer/)
  assert.match(serverWords(row), /saw no valid request from here over UDP/)
  const seen = { at: '', transport: 'udp', client: '203.0.113.1:5000' }
  assert.match(serverWords({ ...row, sightings: [{ ...seen, what: 'refused', request: 'Allocate', reason: 'quota-user' }] }), /refused Allocate: too many .*quota-user/)
  assert.match(serverWords({ ...row, sightings: [{ ...seen, what: 'allocated' }] }), /to 203\.0\.113\.1:5000, but was sent nothing/)
  assert.match(serverWords({ ...row, sightings: [{ ...seen, what: 'allocated' }, { ...seen, what: 'ended', packetsToPeer: 3 }] }), /lost on the way back/)
  assert.equal(serverWords({ ...row, sightings: null }), '')
  assert.equal(verdictWords([row]).verdict, 'Calls from here cannot use this relay')
  assert.match(verdictWords([row, { ...row, ok: true, transport: 'tcp' }]).summary, /over TCP, not over UDP/)
  assert.match(verdictWords([]).verdict, /No relay/)
})

test('a report of another shape is not shown', () => {
  assert.ok(isReport({ version: 1, startedAt: '', rows: [failedRow()] }))
  for (const wrong of [null, 7, {}, { version: 2 }, { version: 1, startedAt: '', rows: [{}] }, { version: 1, startedAt: '', rows: {} }]) {
    assert.ok(!isReport(wrong))
  }
})
