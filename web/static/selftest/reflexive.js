/**
 * What STUN servers say of this browser's address, and what that says of the NAT before it.
 *
 * @typedef {import('./candidates.js').Address} Address
 * @typedef {import('./candidates.js').BrowserError} BrowserError
 *
 * @typedef {object} Reflexive
 * @property {boolean} ok a server answered
 * @property {Address[]} addresses as the servers saw them
 * @property {'none' | 'endpoint-independent' | 'dependent' | 'unknown'} mapping RFC 4787 section 4.1, as far as it shows
 * @property {BrowserError[]} errors
 */
import { watchCandidates } from './candidates.js'

/**
 * @param {RTCIceServer[]} iceServers
 * @param {number} patienceMs
 * @returns {Promise<Reflexive>}
 */
export async function askReflexive(iceServers, patienceMs) {
  const connection = new RTCPeerConnection({ iceServers })
  try {
    const watched = watchCandidates(connection)
    connection.createDataChannel('test')
    await connection.setLocalDescription()
    await Promise.race([watched.gathered, new Promise((resolve) => setTimeout(resolve, patienceMs))])
    return judgeReflexive(watched.candidates, watched.errors, new Set(iceServers.flatMap(({ urls }) => urls)).size)
  } finally {
    connection.close()
  }
}

/**
 * @param {RTCIceCandidate[]} candidates of one connection
 * @param {BrowserError[]} errors
 * @param {number} servers how many were asked
 * @returns {Reflexive}
 */
export function judgeReflexive(candidates, errors, servers) {
  const udp = candidates.filter(({ protocol }) => protocol === 'udp')
  const seen = unique(udp.filter(({ type }) => type === 'srflx').map(addressOf))
  const own = udp.filter(({ type }) => type === 'host').map(addressOf)
  const addresses = seen.length > 0 || errors.length > 0 ? seen : own.filter(({ address }) => !address.endsWith('.local'))
  return { ok: addresses.length > 0, addresses, mapping: mappingOf(seen, own, servers, errors), errors }
}

/**
 * One socket that several servers see at several ports of one address has a mapping for each of them. Without a reflexive
 * candidate there is no NAT: browsers leave out what equals a host candidate.
 *
 * @param {Address[]} seen
 * @param {Address[]} own
 * @param {number} servers
 * @param {BrowserError[]} errors
 * @returns {Reflexive['mapping']}
 */
function mappingOf(seen, own, servers, errors) {
  if (seen.length === 0) return errors.length === 0 && own.length > 0 ? 'none' : 'unknown'
  const ports = new Map()
  for (const { address } of seen) ports.set(address, (ports.get(address) ?? 0) + 1)
  if ([...ports.values()].some((count) => count > 1)) return 'dependent'
  return servers > 1 ? 'endpoint-independent' : 'unknown'
}

/**
 * @param {RTCIceCandidate} candidate
 * @returns {Address}
 */
function addressOf({ address, port }) {
  return { address: address ?? '', port: port ?? 0 }
}

/** @param {Address[]} addresses */
function unique(addresses) {
  return [...new Map(addresses.map((each) => [`${each.address} ${each.port}`, each])).values()]
}
