/**
 * From ICE servers to what is tried, one by one. Pure functions.
 *
 * @typedef {object} Step
 * @property {'reflexive' | 'relay'} kind what it asks of the servers: our address as they see it, or a relayed call
 * @property {string} name in words
 * @property {'udp' | 'tcp' | 'tls' | 'dtls'} transport towards the server
 * @property {RTCIceServer[]} iceServers
 */

/** More than any sensible list has; each may cost a quarter of a minute. */
const MAX_STEPS = 24

/**
 * A step for all STUN servers together, since only their answers beside each other say something about a NAT, and one for
 * each TURN URL.
 *
 * @param {RTCIceServer[]} iceServers
 * @returns {Step[]}
 */
export function planSteps(iceServers) {
  const all = iceServers.flatMap((server) => urlsOf(server).map((url) => ({ ...server, urls: [url] })))
  const stun = all.filter(({ urls }) => /^stuns?:/i.test(urls[0]))
  const turn = all.filter(({ urls }) => /^turns?:/i.test(urls[0]))
  /** @type {Step[]} */
  const steps = stun.length > 0
    ? [{ kind: 'reflexive', name: 'Your address, as STUN servers see it', transport: 'udp', iceServers: stun }]
    : []
  for (const server of turn) {
    const transport = transportOf(server.urls[0])
    steps.push({ kind: 'relay', name: `Relay over ${transport.toUpperCase()}${familyWords(server.urls[0])}`, transport, iceServers: [server] })
  }
  return steps.slice(0, MAX_STEPS)
}

/**
 * @param {RTCIceServer} server
 * @returns {string[]}
 */
function urlsOf({ urls }) {
  return Array.isArray(urls) ? urls : [urls]
}

/**
 * The transport of a TURN URI (RFC 7065 section 3.1, RFC 7350 section 4.6.2).
 *
 * @param {string} url
 * @returns {Step['transport']}
 */
export function transportOf(url) {
  const [address, query = ''] = url.toLowerCase().split('?')
  const secure = address.startsWith('turns:')
  const named = new URLSearchParams(query).get('transport') ?? (secure ? 'tcp' : 'udp')
  if (named === 'tcp') return secure ? 'tls' : 'tcp'
  return secure ? 'dtls' : 'udp'
}

/** @param {string} url */
function familyWords(url) {
  const host = url.replace(/^[a-z]+:/i, '')
  if (host.startsWith('[')) return ', IPv6'
  return /^\d+(\.\d+){3}([:?]|$)/.test(host) ? ', IPv4' : ''
}

/**
 * What someone pasted: a list of ICE servers, one of them, or a whole configuration that has a list.
 *
 * @param {string} text
 * @returns {RTCIceServer[]}
 * @throws {Error} in words
 */
export function parseServers(text) {
  const parsed = parseJSON(text)
  const list = Array.isArray(parsed) ? parsed : (parsed?.iceServers ?? [parsed])
  if (!Array.isArray(list) || !list.every(isServer)) throw new Error('Each ICE server needs “urls”, one stun: or turn: URL or a list of them.')
  const found = list.map(({ urls, username, credential }) => ({ urls, username, credential }))
  if (planSteps(found).length === 0) throw new Error('There is no stun: or turn: URL among these ICE servers.')
  return found
}

/** @param {string} text */
function parseJSON(text) {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('The ICE servers are not JSON. Paste a list such as RTCPeerConnection takes.')
  }
}

/** @param {any} server */
function isServer(server) {
  const urls = Array.isArray(server?.urls) ? server.urls : [server?.urls]
  const texts = [server?.username ?? '', server?.credential ?? '']
  return urls.length > 0 && [...urls, ...texts].every((value) => typeof value === 'string')
}
