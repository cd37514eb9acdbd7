/**
 * What a test found, as it is kept, saved and shown.
 *
 * @typedef {import('./api.js').Sighting} Sighting
 * @typedef {import('./plan.js').Step} Step
 * @typedef {import('./reflexive.js').Reflexive} Reflexive
 * @typedef {import('./relay.js').Relayed} Relayed
 *
 * @typedef {object} Row
 * @property {Step['kind']} kind
 * @property {string} name
 * @property {Step['transport']} transport
 * @property {string[]} urls
 * @property {boolean} ok
 * @property {Relayed} [relay]
 * @property {Reflexive} [reflexive]
 * @property {Sighting[] | null} sightings what the server did meanwhile; null where it was not asked
 *
 * @typedef {object} Report
 * @property {1} version of this shape
 * @property {string} startedAt
 * @property {string} browser
 * @property {string} page where the test ran
 * @property {boolean} own this server was tested, rather than another's
 * @property {Row[]} rows
 */

/**
 * @param {Row[]} rows
 * @param {{ own: boolean, startedAt: Date }} test
 * @returns {Report}
 */
export function makeReport(rows, { own, startedAt }) {
  return { version: 1, startedAt: startedAt.toISOString(), browser: navigator.userAgent, page: location.origin, own, rows }
}

/**
 * A row without what must not be kept: the credential is not in it.
 *
 * @param {Step} step
 * @param {Partial<Row>} found
 * @returns {Row}
 */
export function makeRow({ kind, name, transport, iceServers }, found) {
  const urls = iceServers.flatMap((server) => server.urls)
  return { kind, name, transport, urls, ok: false, sightings: null, ...found }
}

/**
 * A report from elsewhere, such as the server, may be of any shape; what cannot be shown is no report.
 *
 * @param {any} value
 * @returns {value is Report}
 */
export function isReport(value) {
  return value?.version === 1 && typeof value.startedAt === 'string' && Array.isArray(value.rows) &&
    value.rows.every((/** @type {any} */ row) => typeof row?.name === 'string' && Array.isArray(row.urls))
}
