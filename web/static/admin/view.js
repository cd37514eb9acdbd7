/**
 * What the dashboard shows, made from what `/v1/admin` answers. Nothing here touches the network.
 *
 * @typedef {'unknown' | 'good' | 'warning' | 'critical'} Verdict
 *
 * @typedef {object} Connection
 * @property {string} to
 * @property {Verdict} verdict
 * @property {number} [roundTripMs]
 * @property {number} [lossPercent]
 * @property {number} [jitterMs]
 * @property {number} [bitrateKbps]
 * @property {string} [pairType]
 * @property {string} [transport]
 * @property {number} [restarts]
 * @property {number} [timeToConnectMs]
 *
 * @typedef {object} Member
 * @property {string} clientId
 * @property {string} [name]
 * @property {string} user
 * @property {string} since
 * @property {boolean} away
 * @property {string[]} capabilities
 * @property {Verdict} verdict
 * @property {Connection[]} connections
 *
 * @typedef {object} Room
 * @property {string} room
 * @property {string} [tenant]
 * @property {boolean} locked
 * @property {number} capacity
 * @property {Verdict} verdict
 * @property {Member[]} members
 *
 * @typedef {object} Server
 * @property {string} version
 * @property {string} startedAt
 * @property {boolean} draining
 * @property {number} memoryBytes
 * @property {Record<string, number>} allocations by the client's transport
 * @property {{ packets: number, bytes: number }} relayed
 * @property {number} droppedPackets
 * @property {number} refusedRequests
 * @property {number} rooms
 * @property {number} members
 * @property {number} membersAway
 * @property {number} sockets
 * @property {number} resumed
 *
 * @typedef {{ now: string, server: Server, rooms: Room[] }} Admin
 */

const VERDICTS = ['unknown', 'good', 'warning', 'critical']

/** More rooms than this are not drawn: the worst come first. */
export const MOST_ROOMS = 100

/**
 * The server's figures, each a name and a text.
 *
 * @param {Admin} now
 * @param {Admin | null} before the last answer, to tell rates by
 * @returns {[string, string][]}
 */
export function figures(now, before) {
  const { server } = now
  const seconds = before ? (Date.parse(now.now) - Date.parse(before.now)) / 1000 : 0
  /** @param {number} n @param {number | undefined} m */
  const rate = (n, m) => (seconds > 0 && m !== undefined && n >= m ? (n - m) / seconds : 0)
  const allocations = Object.values(server.allocations).reduce((sum, n) => sum + n, 0)
  const by = Object.entries(server.allocations).filter(([, n]) => n > 0).map(([name, n]) => `${n} ${name.toUpperCase()}`)
  return [
    ['Members', `${server.members}${server.membersAway ? ` (${server.membersAway} away)` : ''}`],
    ['Rooms', String(server.rooms)],
    ['WebSockets', String(server.sockets)],
    ['Allocations', `${allocations}${by.length > 0 ? ` (${by.join(', ')})` : ''}`],
    ['Relaying', bits(8 * rate(server.relayed.bytes, before?.server.relayed.bytes))],
    ['Relayed', bytes(server.relayed.bytes)],
    ['Packets dropped', String(server.droppedPackets)],
    ['Resumed', String(server.resumed)],
    ['Memory', bytes(server.memoryBytes)],
    ['Running for', duration((Date.parse(now.now) - Date.parse(server.startedAt)) / 1000)],
    ['Version', server.version],
    ['State', server.draining ? 'draining' : 'serving'],
  ]
}

/**
 * @param {Room[]} rooms
 * @returns {Room[]} the worst first, and the largest of those
 */
export function worstFirst(rooms) {
  /** @param {Room} r */
  const rank = (r) => VERDICTS.indexOf(r.verdict) * 1000 + r.members.length
  return [...rooms].sort((a, b) => rank(b) - rank(a) || a.room.localeCompare(b.room))
}

/**
 * @param {Member} member
 * @returns {Connection | undefined} the worst of its connections
 */
export function worstConnection({ connections }) {
  return [...connections].sort((a, b) => VERDICTS.indexOf(b.verdict) - VERDICTS.indexOf(a.verdict))[0]
}

/**
 * @param {number | undefined} value
 * @param {string} unit
 */
export function quantity(value, unit) {
  if (value === undefined) return '–'
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ${unit}`
}

/** @param {number} n bits a second */
function bits(n) {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} Mbit/s` : `${Math.round(n / 1e3)} kbit/s`
}

/** @param {number} n */
function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = n > 0 ? Math.min(units.length - 1, Math.floor(Math.log10(n) / 3)) : 0
  return `${(n / 1000 ** power).toFixed(power > 0 ? 1 : 0)} ${units[power]}`
}

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min`
  if (whole < 2 * 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return `${Math.floor(whole / 86_400)} days`
}
