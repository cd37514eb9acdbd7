/**
 * What went wrong, and what to do about it, in plain language. Everything the page says about faults is here.
 *
 * @typedef {import('./hairpin.js').Failure} Failure
 * @typedef {import('./hairpin.js').RelayError} RelayError
 * @typedef {import('./media.js').OpenedMedia} OpenedMedia
 * @typedef {import('./hairpin.js').Refusal} Refusal
 * @typedef {import('./main.js').PageState} PageState
 * @typedef {import('./hairpin.js').Pair} Pair
 * @typedef {import('./hairpin.js').Stats} Stats
 */
import { trackOf } from './media.js'

/**
 * @param {OpenedMedia} media with something missing
 * @returns {string}
 */
export function mediaWords({ stream, error }) {
  return `${mediaCause(error)} ${mediaEffect(stream)}`
}

/**
 * Why there is no camera or microphone, and what to do.
 *
 * @param {unknown} error of getUserMedia
 */
export function mediaCause(error) {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
      return 'This page may not use your camera and microphone: allow them in the address bar, then try again.'
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'This device has no camera, or no microphone.'
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera or the microphone is in use by another program: close that, then try again.'
    case 'SecurityError':
      return 'Browsers lend the camera only to pages opened over HTTPS, or on this very machine as localhost.'
    default:
      return 'The camera and microphone could not be opened.'
  }
}

/** @param {MediaStream | null} stream */
function mediaEffect(stream) {
  if (trackOf(stream, 'audio')) return 'Others hear you but do not see you.'
  if (trackOf(stream, 'video')) return 'Others see you but do not hear you.'
  return 'You are in the call without them: you see and hear the others, and you can chat.'
}

/**
 * Why the server does not let us in, or complains.
 *
 * @param {Refusal} refusal
 */
export function refusalWords({ reason, message }) {
  switch (reason) {
    case 'unreachable':
      return 'The server did not answer. Check that it is running and that you are online, then try again.'
    case 'no-ice-servers':
    case 'ice-unavailable':
      return 'The server has no relay to offer at the moment, so only direct paths to the others are tried.'
    case 'unauthorized':
      return 'This room needs a valid access key. Enter the key you were given under “Connection options”.'
    case 'room-locked':
      return 'The room is locked: those inside want to be among themselves. Ask one of them to unlock it, then try again.'
    case 'removed':
      return 'A moderator removed you from this room. You cannot come back for a while; ask whoever invited you.'
    case 'replaced':
      return 'You went on with this call in another tab or window.'
    case 'publish-denied':
      return 'Your invitation lets you watch and listen here, but not be seen or heard.'
    case 'not-moderator':
      return 'Only moderators of this room may do that.'
    case 'too-many-joins':
    case 'too-many-sockets':
    case 'rate-limited':
      return 'The server had too many requests from your network. Wait a minute, then try again.'
    case 'room-full':
      return 'The room is full. Try again when somebody has left, or use another room.'
    default:
      return message ? `The server refused: ${message}` : `The server refused (${reason}).`
  }
}

/**
 * Why there is no path to a member.
 *
 * @param {Failure} failure
 * @param {import('./options.js').IceChoice} choice
 */
export function failureWords({ reason, errors, relays }, { relayOnly, transport }) {
  const over = transport === 'any' ? '' : ` over ${transport.toUpperCase()}`
  if (relayOnly && relays.length === 0) return `This server offers no relay${over}, and you asked for relay only.`
  if (reason === 'no-relay') {
    const tried = errors.filter(({ url }) => url.startsWith('turn'))
    return ['No relay could be used, and you asked for relay only.', ...tried.map(errorWords)].join(' ')
  }
  if (reason === 'timeout') return 'No path came about in time. The other side may be offline, or a firewall blocks the way.'
  const advice = relays.length === 0
    ? 'The server offers no relay that could help.'
    : transport === 'tcp'
      ? 'A firewall probably blocks the way to the relay.'
      : 'A firewall probably blocks UDP: leave, and try “Reach the relay over TCP” under “Connection options”.'
  return ['No path to the other side was found.', ...errors.map(errorWords), advice].join(' ')
}

/** @param {RelayError} error */
function errorWords({ url, code, text }) {
  if (code === 701) return `${url} did not answer.`
  if (code === 401 || code === 441) return `${url} did not accept our credentials.`
  if (code === 486) return `${url} lends us no more relay addresses.`
  return `${url} answered ${code} ${text}`.trim() + '.'
}

/**
 * @param {PageState} state
 * @param {number} others how many other members there are
 */
export function stateWords(state, others) {
  switch (state) {
    case 'joining':
      return 'Connecting…'
    case 'connected':
      return others === 0 ? 'Waiting for others' : 'Connected'
    case 'reconnecting':
      return 'Reconnecting…'
    case 'failed':
      return 'Not connected'
    case 'left':
      return 'You left'
    case 'lobby':
      return ''
  }
}

/** What the badge says of a connection. */
export const VERDICT_WORDS = Object.freeze({ good: 'Good', warning: 'Fair', critical: 'Poor', unknown: '…' })

/** What a call of many people is told. */
export const CROWD_WORDS = 'Each of you now sends picture and sound to everybody else. For five people and more a media server ' +
  '(SFU) serves better. If pictures stutter, choose a lower bitrate or resolution in Settings, or stop some cameras.'

/**
 * A device was unplugged, or came back.
 *
 * @param {{ kind: 'audio' | 'video', lost: string, track: MediaStreamTrack | null }} change
 */
export function deviceWords({ kind, lost, track }) {
  const what = kind === 'video' ? 'camera' : 'microphone'
  const gone = lost ? `The ${what} “${lost}” is gone.` : ''
  const now = track
    ? `Your ${what} is “${track.label}” now.`
    : `There is no other ${what}: plug one in, and it is used at once.`
  return `${gone} ${now}`.trim()
}

/** @param {unknown} error of getDisplayMedia */
export function screenWords(error) {
  const name = error instanceof Error ? error.name : ''
  if (name === 'NotAllowedError') return 'No screen was chosen, or the system does not let the browser see it: look into its privacy settings.'
  return 'This browser cannot share a screen.'
}

/**
 * @param {import('./transfer.js').Transfer} transfer
 * @param {string} person
 */
export function fileWords({ state, incoming, done, size }, person) {
  const percent = size === 0 ? 100 : Math.floor((100 * done) / size)
  switch (state) {
    case 'offered':
      return incoming ? `${person} wants to send you this file.` : `Offered to ${person}.`
    case 'running':
      return incoming ? `From ${person}: ${percent} %` : `To ${person}: ${percent} %`
    case 'paused':
      return `Waiting for ${person} to come back: ${percent} %`
    case 'done':
      return incoming ? `From ${person}, complete and verified.` : `${person} has it, complete.`
    case 'cancelled':
      return 'Cancelled.'
    case 'failed':
      return 'It did not arrive as it was sent. Offer it again.'
  }
}

/** @param {number} bytes */
export function sizeWords(bytes) {
  const units = ['B', 'kB', 'MB', 'GB']
  const power = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0)
  return `${(bytes / 1000 ** power).toFixed(power > 0 ? 1 : 0)} ${units[power]}`
}

/**
 * The ends of a path, as far as the browser tells them.
 *
 * @param {Pair | null} pair
 */
export function pathWords(pair) {
  const ends = pair ? [pair.localAddress, pair.remoteAddress].filter(Boolean) : []
  return ends.length === 2 ? `${ends[0]} to ${ends[1]}.` : ''
}

/** @param {Pair | null} pair */
export function pairWords(pair) {
  if (!pair) return '–'
  return `${pair.local} ⇄ ${pair.remote} · ${pair.protocol.toUpperCase()}`
}

/** @param {Pair | null} pair */
export function pairTitle(pair) {
  if (!pair) return 'No path has been selected yet.'
  const relays = [pair.local, pair.remote].filter((type) => type === 'relay').length
  if (relays === 2) return 'Both sides go through the relay.'
  if (relays === 1) return 'One side goes through the relay.'
  return pair.kind === 'direct' ? 'Direct path, no relay.' : 'Direct path through address translation, no relay.'
}

/**
 * @param {number | null} value
 * @param {string} unit
 * @param {number} [digits]
 */
export function numberWords(value, unit, digits = 0) {
  return value === null ? '–' : `${value.toFixed(digits)} ${unit}`
}

/** @param {Stats} stats */
export function bitrateWords({ bitrateKbps, sendBitrateKbps }) {
  if (bitrateKbps === null || sendBitrateKbps === null) return '–'
  return `↓ ${bitrateKbps.toFixed(0)} ↑ ${sendBitrateKbps.toFixed(0)} kbit/s`
}
