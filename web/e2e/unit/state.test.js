import assert from 'node:assert/strict'
import { test } from 'node:test'
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
