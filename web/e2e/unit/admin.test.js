import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, figures, quantity, worstConnection, worstFirst } from '../../static/admin/view.js'

/** @type {import('../../static/admin/view.js').Server} */
const SERVER = {
  version: '1', startedAt: '2026-11-22T10:00:00Z', draining: false, memoryBytes: 31_500_000,
  allocations: { udp: 2, tcp: 0, tls: 1 }, relayed: { packets: 10, bytes: 1_000_000 }, droppedPackets: 0,
  refusedRequests: 0, rooms: 1, members: 3, membersAway: 1, sockets: 2, resumed: 4,
}

/** @param {import('../../static/admin/view.js').Verdict} verdict @param {string} room @param {number} [members] */
function roomOf(verdict, room, members = 0) {
  return { room, verdict, locked: false, capacity: 6, members: Array(members).fill({}) }
}

test('figures tell rates only between two answers of one server', () => {
  const first = { now: '2026-11-22T12:00:00Z', server: SERVER, rooms: [] }
  const then = { now: '2026-11-22T12:00:02Z', server: { ...SERVER, relayed: { packets: 20, bytes: 2_000_000 } }, rooms: [] }
  const now = Object.fromEntries(figures(then, first))
  assert.equal(now.Relaying, '4.0 Mbit/s')
  assert.equal(now.Allocations, '3 (2 UDP, 1 TLS)')
  assert.equal(now.Members, '3 (1 away)')
  assert.equal(now.Memory, '31.5 MB')
  assert.equal(now['Running for'], '2 h 0 min')
  assert.equal(Object.fromEntries(figures(first, null)).Relaying, '0 kbit/s')
  assert.equal(Object.fromEntries(figures(first, then)).Relaying, '0 kbit/s') // restarted: it counts from 0 again
})

test('the worst room and connection come first', () => {
  const rooms = [roomOf('good', 'b', 2), roomOf('critical', 'z'), roomOf('unknown', 'u', 6), roomOf('good', 'a', 5)]
  assert.deepEqual(worstFirst(rooms).map(({ room }) => room), ['z', 'a', 'b', 'u'])
  const connections = /** @type {any} */ ([{ to: 'a', verdict: 'good' }, { to: 'b', verdict: 'warning' }])
  assert.equal(worstConnection(/** @type {any} */ ({ connections }))?.to, 'b')
  assert.equal(worstConnection(/** @type {any} */ ({ connections: [] })), undefined)
})

test('numbers are short', () => {
  assert.deepEqual([undefined, 0, 0.04, 0.25, 9.96, 123.4].map((n) => quantity(n, 'ms')), ['–', '0 ms', '0 ms', '0.3 ms', '10 ms', '123 ms'])
  assert.deepEqual([0, 59, 61, 3599, 3660, 200_000].map(duration), ['0 s', '59 s', '1 min', '59 min', '1 h 1 min', '2 days'])
})
