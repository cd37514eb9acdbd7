import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeHello, encodeText, parseChat } from '../../static/chat.js'
import { Pace } from '../../static/pace.js'
import { callState } from '../../static/state.js'

test('a call is as well as its best member', () => {
  /** @type {[import('../../static/state.js').MemberState[], string][]} */
  const cases = [
    [[], 'connected'],
    [['connecting'], 'joining'],
    [['connecting', 'failed'], 'joining'],
    [['failed', 'connected', 'connecting'], 'connected'],
    [['reconnecting', 'connecting', 'failed'], 'reconnecting'],
    [['failed', 'failed'], 'failed'],
  ]
  for (const [members, state] of cases) assert.equal(callState(members), state, members.join())
})

test('pace: a burst, then so many a second', () => {
  const pace = new Pace(20, 3)
  for (let message = 0; message < 3; message++) assert.equal(pace.take(1000), 0)
  assert.equal(pace.take(1000), 50)
  assert.equal(pace.take(1050), 0)
  assert.equal(pace.take(1050), 50)
})

test('pace: a long silence saves no more than the burst', () => {
  const pace = new Pace(20, 2)
  const waits = [1, 2, 3].map(() => pace.take(3_600_000))
  assert.deepEqual(waits, [0, 0, 50])
})

test('chat: what is written is read back', () => {
  assert.deepEqual(parseChat(encodeText('Hi <b>', 7)), { type: 'message', text: 'Hi <b>', timestamp: 7 })
  assert.deepEqual(parseChat(encodeHello('Ann')), { type: 'hello', name: 'Ann' })
})

test('chat: long texts and names are cut, no matter who made them', () => {
  const text = parseChat(JSON.stringify({ type: 'message', text: 'x'.repeat(9000) }))
  assert.equal(text?.type === 'message' && text.text.length, 4000)
  const hello = parseChat(encodeHello('x'.repeat(9000)))
  assert.equal(hello?.type === 'hello' && hello.name.length, 64)
  assert.equal(parseChat(encodeHello('x'.repeat(40_000))), null)
})

test('chat: what is no message is none', () => {
  const cases = ['', 'null', '[]', '7', '"text"', '{', '{}', '{"type":"message"}', '{"type":"message","text":7}',
    '{"type":"hello"}', '{"type":"other","text":"x"}', new ArrayBuffer(4), undefined]
  for (const data of cases) assert.equal(parseChat(data), null, String(data))
})

test('chat: a timestamp that is none becomes 0', () => {
  for (const timestamp of ['"x"', 'null', '{}']) {
    assert.deepEqual(parseChat(`{"type":"message","text":"x","timestamp":${timestamp}}`), { type: 'message', text: 'x', timestamp: 0 })
  }
})
