/**
 * From the server's `ice-servers` message to what RTCPeerConnection is given.
 *
 * @typedef {'any' | 'udp' | 'tcp'} Transport how this browser reaches the relay
 *
 * @typedef {object} IceChoice
 * @property {boolean} relayOnly
 * @property {Transport} transport
 */

/**
 * @param {RTCIceServer[]} iceServers
 * @param {IceChoice} choice
 * @returns {RTCConfiguration}
 */
export function configuration(iceServers, { relayOnly, transport }) {
  return {
    iceServers: filterServers(iceServers, transport),
    iceTransportPolicy: relayOnly ? 'relay' : 'all',
    // One transport for everything: one allocation for each member rather than one for each track.
    bundlePolicy: 'max-bundle',
  }
}

/**
 * Keeps the URLs reached over transport, and the servers that have one left.
 *
 * @param {RTCIceServer[]} iceServers
 * @param {Transport} transport
 * @returns {RTCIceServer[]}
 */
export function filterServers(iceServers, transport) {
  if (transport === 'any') return iceServers
  return iceServers
    .map((server) => ({ ...server, urls: urlsOf(server).filter((url) => transportOf(url) === transport) }))
    .filter((server) => server.urls.length > 0)
}

/**
 * @param {RTCIceServer[]} iceServers
 * @returns {string[]} every turn: and turns: URL
 */
export function relayURLs(iceServers) {
  return iceServers.flatMap(urlsOf).filter((url) => /^turns?:/i.test(url))
}

/**
 * The transport of a STUN (RFC 7064) or TURN (RFC 7065) URI, with the defaults of RFC 7065 section 3.1: a secure scheme
 * means TLS over TCP unless it says otherwise.
 *
 * @param {string} url
 * @returns {'udp' | 'tcp'}
 */
export function transportOf(url) {
  const [address, query = ''] = url.toLowerCase().split('?')
  const named = new URLSearchParams(query).get('transport')
  if (named) return named === 'tcp' ? 'tcp' : 'udp'
  return /^(turns|stuns):/.test(address) ? 'tcp' : 'udp'
}

/**
 * @param {RTCIceServer} server
 * @returns {string[]}
 */
function urlsOf({ urls }) {
  return Array.isArray(urls) ? urls : [urls]
}
