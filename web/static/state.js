/**
 * What the page says about the call as a whole, in `<body data-state>`.
 *
 * @typedef {'lobby' | 'joining' | 'connected' | 'reconnecting' | 'failed' | 'left'} CallState
 * @typedef {'connecting' | 'connected' | 'reconnecting' | 'failed'} MemberState
 */

/**
 * A call is as well as its best member: one failed path among many must not look like a failed call. Alone in a room is
 * connected, for nothing is amiss.
 *
 * @param {MemberState[]} members
 * @returns {CallState}
 */
export function callState(members) {
  if (members.length === 0 || members.includes('connected')) return 'connected'
  if (members.includes('reconnecting')) return 'reconnecting'
  if (members.includes('connecting')) return 'joining'
  return 'failed'
}
