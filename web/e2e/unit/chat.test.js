import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeText, parseChat } from '../../static/chat.js'

test('what is written is read back', () => {
  assert.deepEqual(parseChat(encodeText('Hi <b>', 7)), { type: 'message', text: 'Hi <b>', timestamp: 7 })
})

test('long texts are cut, no matter who made them', () => {
  assert.equal(parseChat(JSON.stringify({ type: 'message', text: 'x'.repeat(9000) }))?.text.length, 4000)
  assert.equal(parseChat(JSON.stringify({ type: 'message', text: 'x'.repeat(40_000) })), null)
})

test('what is no message is none', () => {
  const cases = ['', 'null', '[]', '7', '"text"', '{', '{}', '{"type":"message"}', '{"type":"message","text":7}',
    '{"type":"other","text":"x"}', new ArrayBuffer(4), undefined]
  for (const data of cases) assert.equal(parseChat(data), null, String(data))
})

test('a timestamp that is none becomes 0', () => {
  for (const timestamp of ['"x"', 'null', '{}']) {
    assert.deepEqual(parseChat(`{"type":"message","text":"x","timestamp":${timestamp}}`), { type: 'message', text: 'x', timestamp: 0 })
  }
})
