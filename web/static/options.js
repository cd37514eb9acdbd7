/**
 * What the address says about a call: `/?room=R&name=N&join=1&relay=1&transport=tcp#token=T`.
 *
 * The token sits behind the `#`, because browsers never send that part: it reaches no server log.
 *
 * @typedef {import('./hairpin.js').Transport} Transport
 * @typedef {{ relayOnly: boolean, transport: Transport }} IceChoice
 *
 * @typedef {object} CallOptions
 * @property {string} room name of the room; empty when the address names none
 * @property {string} name what others see; may be empty
 * @property {string} token key for servers that ask for one; empty otherwise
 * @property {boolean} join enter at once, without the lobby
 * @property {boolean} relayOnly no direct path, even where one exists
 * @property {Transport} transport how the relay is reached
 */

/** Longest room and name the server accepts, in characters. */
const MAX_ROOM_LENGTH = 128
const MAX_NAME_LENGTH = 64

/** Without letters and digits that look alike, so that a room can be read out. */
const ROOM_ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789'

/**
 * @param {{ search: string, hash: string }} address a Location
 * @returns {CallOptions}
 */
export function readOptions({ search, hash }) {
  const query = new URLSearchParams(search)
  const transport = query.get('transport')
  return {
    room: shorten(query.get('room') ?? '', MAX_ROOM_LENGTH),
    name: shorten(query.get('name') ?? '', MAX_NAME_LENGTH),
    token: new URLSearchParams(hash.slice(1)).get('token') ?? '',
    join: query.get('join') === '1',
    relayOnly: query.get('relay') === '1',
    transport: transport === 'udp' || transport === 'tcp' ? transport : 'any',
  }
}

/**
 * Counts whole characters: half of a surrogate pair is not valid in a message.
 *
 * @param {string} text
 * @param {number} length
 */
function shorten(text, length) {
  return [...text].slice(0, length).join('')
}

/**
 * The address of the call just entered, so that a reload leads to it again. Name and token stay as they were: what was
 * typed into the lobby must not travel with an address that is copied.
 *
 * @param {{ search: string, hash: string }} address a Location
 * @param {CallOptions} options
 * @returns {string} path, query and fragment
 */
export function addressOf({ search, hash }, { room, relayOnly, transport }) {
  const query = new URLSearchParams(search)
  for (const key of ['join', 'relay', 'transport']) query.delete(key)
  query.set('room', room)
  if (relayOnly) query.set('relay', '1')
  if (transport !== 'any') query.set('transport', transport)
  return `/?${query}${hash}`
}

/**
 * What to send to others: it names the room and nothing of the sender's.
 *
 * @param {string} origin
 * @param {string} room
 */
export function inviteLink(origin, room) {
  return `${origin}/?${new URLSearchParams({ room })}`
}

/**
 * The room offered when the address names none. On a loopback address everybody sits at this very machine, so one plain
 * name lets two tabs meet; anywhere else the name must be one that strangers cannot guess.
 *
 * @param {string} hostname
 */
export function proposeRoom(hostname) {
  return isLoopback(hostname) ? 'demo' : randomRoom(crypto.getRandomValues(new Uint32Array(20)))
}

/** @param {string} hostname */
function isLoopback(hostname) {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/**
 * @param {Uint32Array} random one number a letter: 20 letters are 99 bits
 */
export function randomRoom(random) {
  const letters = Array.from(random, (number) => ROOM_ALPHABET[number % ROOM_ALPHABET.length]).join('')
  return letters.replace(/.{5}(?=.)/g, '$&-')
}
