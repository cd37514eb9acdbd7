import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from '../../static/pace.js'

test('a burst, then so many a second', () => {
  const pace = new Pace(20, 3)
  for (let message = 0; message < 3; message++) assert.equal(pace.take(1000), 0)
  assert.equal(pace.take(1000), 50)
  assert.equal(pace.take(1050), 0)
  assert.equal(pace.take(1050), 50)
})

test('a long silence saves no more than the burst', () => {
  const pace = new Pace(20, 2)
  const waits = [1, 2, 3].map(() => pace.take(3_600_000))
  assert.deepEqual(waits, [0, 0, 50])
})
