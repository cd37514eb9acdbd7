import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressOf, inviteLink, proposeRoom, randomRoom, readOptions } from '../../static/options.js'

const plain = { room: '', name: '', token: '', join: false, relayOnly: false, transport: 'any' }

test('what the address says', () => {
  /** @type {[string, string, object][]} */
  const cases = [
    ['', '', {}],
    ['?room=R&name=N&join=1&relay=1', '', { room: 'R', name: 'N', join: true, relayOnly: true }],
    ['?room=a%20b%2Fc&transport=tcp', '', { room: 'a b/c', transport: 'tcp' }],
    ['?transport=udp', '', { transport: 'udp' }],
    ['?transport=tls&join=yes&relay=true', '', {}],
    ['?room=R', '#token=se%26cret', { room: 'R', token: 'se&cret' }],
    ['?room=R&token=ignored', '', { room: 'R' }],
    [`?name=${'👋'.repeat(70)}`, '', { name: '👋'.repeat(64) }],
    [`?room=${'r'.repeat(200)}`, '', { room: 'r'.repeat(128) }],
  ]
  for (const [search, hash, wanted] of cases) {
    assert.deepEqual(readOptions({ search, hash }), { ...plain, ...wanted }, search + hash)
  }
})

test('the address of a call tells no more than it told before', () => {
  const options = readOptions({ search: '?name=Ann&relay=1&transport=tcp', hash: '#token=k' })
  const entered = { ...options, room: 'a&b #1' }
  assert.equal(addressOf({ search: '', hash: '' }, entered), '/?room=a%26b+%231&relay=1&transport=tcp')
  assert.equal(
    addressOf({ search: '?room=old&name=Ann&join=1&relay=1&transport=udp', hash: '#token=k' }, { ...entered, relayOnly: false }),
    '/?room=a%26b+%231&name=Ann&transport=tcp#token=k',
  )
})

test('an invitation tells nothing but the room', () => {
  assert.equal(inviteLink('https://call.example', 'blue room'), 'https://call.example/?room=blue+room')
})

test('two tabs of one machine are offered the same room, strangers are not', () => {
  for (const host of ['localhost', '127.0.0.1', '127.8.0.1', '[::1]']) assert.equal(proposeRoom(host), 'demo', host)
  for (const host of ['call.example', '127.0.0.1.example', 'localhost.example', '10.0.0.1']) {
    assert.match(proposeRoom(host), /^(\w{5}-){3}\w{5}$/, host)
    assert.notEqual(proposeRoom(host), proposeRoom(host))
  }
})

test('a random room uses every number', () => {
  const letters = randomRoom(Uint32Array.from({ length: 20 }, (_, index) => index))
  assert.equal(letters, 'abcde-fghjk-mnpqr-stuvw')
})
