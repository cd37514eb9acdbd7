/**
 * What the server knows of a test.
 *
 * @typedef {object} Sighting something the server did for this test
 * @property {string} at
 * @property {'allocated' | 'refused' | 'ended'} what
 * @property {string} transport
 * @property {string} client our address, as the server saw it
 * @property {string} [relayed]
 * @property {string} [request]
 * @property {string} [reason]
 * @property {number} [packetsToPeer]
 * @property {number} [packetsToClient]
 *
 * @typedef {object} Begun
 * @property {string} id
 * @property {RTCIceServer[]} iceServers
 *
 * @typedef {object} State
 * @property {string} id
 * @property {string} startedAt
 * @property {Sighting[]} sightings
 * @property {import('./report.js').Report} [report]
 */

/** A request that the server did not grant, in the server's words. */
export class Refused extends Error {
  /**
   * @param {string} reason
   * @param {string} detail
   */
  constructor(reason, detail) {
    super(detail)
    this.reason = reason
  }
}

/**
 * @param {string} key "" where none is needed
 * @returns {Promise<Begun>}
 */
export function begin(key) {
  return ask('/v1/self-tests', { method: 'POST', headers: key ? { Authorization: `Bearer ${key}` } : {} })
}

/**
 * @param {string} id
 * @returns {Promise<State>}
 */
export function look(id) {
  return ask(pathOf(id), {})
}

/**
 * @param {string} id
 * @param {import('./report.js').Report} report
 */
export function keep(id, report) {
  return ask(`${pathOf(id)}/report`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(report),
  })
}

/** @param {string} id */
function pathOf(id) {
  return `/v1/self-tests/${encodeURIComponent(id)}`
}

/**
 * @param {string} path
 * @param {RequestInit} request
 */
async function ask(path, request) {
  const answer = await fetch(path, { ...request, cache: 'no-store' }).catch(() => {
    throw new Refused('unreachable', 'The server did not answer. Check that it is running and that you are online.')
  })
  if (answer.status === 204) return undefined
  const body = await answer.json().catch(() => ({}))
  if (!answer.ok) throw new Refused(body.reason ?? 'unknown', body.detail ?? `The server answered ${answer.status}.`)
  return body
}
