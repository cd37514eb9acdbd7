import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inviteLink, proposeRoom, randomRoom, readOptions, writeOptions } from '../../static/options.js'

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

test('what is written is read back, without joining unasked', () => {
  const options = { ...readOptions({ search: '', hash: '' }), room: 'a&b #1', name: 'Zoë', token: 'k=1', relayOnly: true }
  const url = new URL(writeOptions(options), 'http://localhost')
  assert.deepEqual(readOptions(url), options)
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
