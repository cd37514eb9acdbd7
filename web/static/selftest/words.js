/**
 * What a test found, in plain language. Pure functions.
 *
 * @typedef {import('./api.js').Sighting} Sighting
 * @typedef {import('./report.js').Row} Row
 * @typedef {import('./reflexive.js').Reflexive} Reflexive
 */

/**
 * @param {Row[]} rows
 * @returns {{ verdict: string, summary: string }}
 */
export function verdictWords(rows) {
  const relays = rows.filter(({ kind }) => kind === 'relay')
  const working = relays.filter(({ ok }) => ok)
  if (relays.length === 0) return { verdict: 'No relay was tested', summary: 'These ICE servers have no turn: URL. Without a relay, some calls cannot connect.' }
  if (working.length === 0) return { verdict: 'Calls from here cannot use this relay', summary: 'None of its transports works. Each says below where it ends.' }
  if (working.length === relays.length) return { verdict: 'Everything works', summary: `A call can use the relay over ${transportsOf(working)}.` }
  const missing = transportsOf(relays.filter(({ ok }) => !ok))
  return { verdict: 'Calls work, with fewer ways than there are', summary: `The relay works over ${transportsOf(working)}, not over ${missing}.` }
}

/** @param {Row[]} rows */
function transportsOf(rows) {
  return [...new Set(rows.map(({ transport }) => transport.toUpperCase()))].join(', ')
}

/**
 * What the browser saw.
 *
 * @param {Row} row
 * @returns {string}
 */
export function browserWords({ ok, relay, reflexive }) {
  if (reflexive) return reflexiveWords(reflexive)
  if (ok || !relay) return ''
  const errors = relay.errors.map(errorWords).join(' ')
  switch (relay.failure) {
    case 'no-relay':
      return `The relay lent no address. ${errors || 'The browser does not say why.'}`
    case 'no-path':
      return `The relay lent an address, but no packet came through it. ${errors}`.trim()
    default:
      return `A path came about, but no data passed. ${errors}`.trim()
  }
}

/** @param {Reflexive} reflexive */
function reflexiveWords({ ok, addresses, mapping, errors }) {
  if (!ok) return `No STUN server answered, so this network blocks UDP, or the servers are away. ${errors.map(errorWords).join(' ')}`.trim()
  const list = addresses.map(({ address, port }) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)).join(', ')
  switch (mapping) {
    case 'none':
      return `No NAT shows: the servers see the address that this machine has.`
    case 'endpoint-independent':
      return `${list}. The NAT keeps one mapping for all destinations, so direct calls have a good chance.`
    case 'dependent':
      return `${list}. The NAT makes a mapping for each destination (“symmetric”), so most calls from here need the relay.`
    default:
      return `${list}. One server alone does not show how the NAT maps.`
  }
}

/** @param {{ url: string, code: number, text: string }} error */
function errorWords({ url, code, text }) {
  if (code === 701) return `${url} did not answer.`
  return `${url} answered ${code}${text ? ` (${text})` : ''}.`
}

/**
 * What the server saw, for a relay that did not work.
 *
 * @param {Row} row
 * @returns {string} "" where the server was not asked, or nothing is wrong
 */
export function serverWords({ ok, kind, transport, sightings }) {
  if (ok || kind !== 'relay' || sightings === null) return ''
  const refused = sightings.findLast(({ what }) => what === 'refused')
  if (refused) return `The server refused ${refused.request ?? 'a request'}: ${reasonWords(refused.reason ?? '')}`
  const lent = sightings.filter(({ what }) => what === 'allocated')
  if (lent.length === 0) {
    return `The server saw no valid request from here over ${transport.toUpperCase()}: something on the way blocks it, or the address it goes to is not the server's.`
  }
  const relayed = sightings.some(({ packetsToPeer = 0, packetsToClient = 0 }) => packetsToPeer + packetsToClient > 0)
  const from = lent[0].client
  return relayed
    ? `The server lent an address to ${from} and relayed packets; they were lost on the way back here.`
    : `The server lent an address to ${from}, but was sent nothing to relay.`
}

/** @param {string} reason a stable code of the server's */
function reasonWords(reason) {
  if (/^quota/.test(reason)) return `too many addresses are lent already (${reason}). Wait a minute, or ask for a higher bound.`
  if (/^peer-denied/.test(reason)) return `it does not relay to that peer (${reason}). On a private network, --peer-profile lan permits it.`
  if (reason === 'expired') return 'the credential has expired. Run the test again, and check the clocks.'
  if (reason === 'draining') return 'it is about to stop. Run the test again in a minute.'
  return `${reason}.`
}

/**
 * @param {Row} row
 * @returns {[string, string][]} names and values
 */
export function figures({ relay }) {
  if (!relay?.measured || relay.connectMs === null) return []
  const { roundTripMs, jitterMs, lossPercent, throughputKbps } = relay.measured
  return [
    ['Connected in', `${relay.connectMs.toFixed(0)} ms`],
    ['Round trip', `${roundTripMs.toFixed(1)} ms`],
    ['Jitter', `${jitterMs.toFixed(1)} ms`],
    ['Loss', `${lossPercent.toFixed(1)} %`],
    ['Throughput', `${(throughputKbps / 1000).toFixed(1)} Mbit/s`],
  ]
}
