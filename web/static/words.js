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

/** @param {unknown} error */
function mediaCause(error) {
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
  return relays === 1 ? 'One side goes through the relay.' : 'Direct path, no relay.'
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
