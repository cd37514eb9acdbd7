/**
 * What a connection's numbers mean for the people in it, and what they can do. Pure functions.
 *
 * @typedef {import('./hairpin.js').Stats} Stats
 * @typedef {import('./hairpin.js').Member} Member
 */
import { grade } from './hairpin.js'

/** Numbers of so many seconds are advised on: less may pass by itself. */
const ADVISED_SAMPLES = 8

/** From so many people on, each sending everything to everybody gets too much. */
export const CROWD = 5

/**
 * @param {readonly Stats[]} history a sample a second, the latest last
 * @param {Pick<Member, 'media' | 'ready' | 'state'> & { name: string, pictured: boolean }} member
 * @param {number} connectedSeconds how long the path has been there
 * @returns {string} empty where all is well
 */
export function adviceWords(history, { name, media, ready, state, pictured }, connectedSeconds) {
  const recent = history.slice(-ADVISED_SAMPLES)
  if (state !== 'connected' || recent.length < ADVISED_SAMPLES || connectedSeconds < ADVISED_SAMPLES) return ''
  const always = (/** @type {(sample: Stats) => boolean} */ test) => recent.every(test)
  if (always(({ bitrateKbps }) => bitrateKbps === 0)) {
    return `Nothing arrives from ${name}, though there is a path. They may have to allow their camera and microphone, or reload the page.`
  }
  if (media.video && pictured && always(({ videoKbps }) => videoKbps === 0)) {
    return `No picture arrives from ${name}. Their camera may be in use by another program; turning it off and on again often helps.`
  }
  if (always(({ lossPercent }) => grade('lossPercent', lossPercent) === 'critical')) {
    const relayed = recent.at(-1)?.pair?.kind === 'relay'
    return `Much is lost on the way to ${name}. ${relayed
      ? 'Choose a lower bitrate in Settings, or move closer to the Wi-Fi, or use a cable.'
      : 'Choose a lower bitrate in Settings, or try “Relay only” there: the relay may know a better way.'}`
  }
  if (always(({ roundTripMs }) => grade('roundTripMs', roundTripMs) === 'critical')) {
    return `The way to ${name} is long or congested, so answers come late. Stop downloads and uploads, or use a cable.`
  }
  if (always(({ jitterMs }) => grade('jitterMs', jitterMs) === 'critical')) {
    return `Packets from ${name} come unevenly, so the sound may break up. A lower bitrate in Settings, or a cable, helps.`
  }
  const full = recent.at(-1)?.frameHeight ?? 0
  if (media.video && full > 0 && full < 240 && always(({ videoKbps }) => grade('videoKbps', videoKbps) === 'critical')) {
    return `The picture of ${name} is coarse because little bandwidth is left. Fewer people, or a lower resolution on their side, helps.`
  }
  if (!ready && connectedSeconds > 15) {
    return `Chat with ${name} did not open: their client may not have data channels. Picture and sound do not need it.`
  }
  return ''
}
