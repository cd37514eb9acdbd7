/**
 * The camera and the microphone, or what can be had of them.
 *
 * @typedef {object} OpenedMedia
 * @property {MediaStream | null} stream null when there is neither
 * @property {unknown} error why something is missing; null when both are there
 */

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } }
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }

/**
 * Asks for both; if that fails, for each alone, because one may be missing, busy or refused while the other is not.
 *
 * @param {MediaDevices | undefined} [devices] undefined where the page was not loaded securely
 * @returns {Promise<OpenedMedia>} never rejects
 */
export async function openMedia(devices = navigator.mediaDevices) {
  if (!devices) return { stream: null, error: new DOMException('no secure context', 'SecurityError') }
  /** @type {unknown} */
  let error = null
  for (const wish of [{ video: VIDEO, audio: AUDIO }, { audio: AUDIO }, { video: VIDEO }]) {
    try {
      return { stream: await devices.getUserMedia(wish), error }
    } catch (refused) {
      error ??= refused
    }
  }
  return { stream: null, error }
}

/**
 * One device in place of another of its kind, which is stopped.
 *
 * @param {MediaStream} stream
 * @param {'audio' | 'video'} kind
 * @param {string} deviceId
 */
export async function switchDevice(stream, kind, deviceId) {
  const wish = { ...(kind === 'video' ? VIDEO : AUDIO), deviceId: { exact: deviceId } }
  const opened = await navigator.mediaDevices.getUserMedia({ [kind]: wish })
  const before = trackOf(stream, kind)
  if (before) stream.removeTrack(before)
  before?.stop()
  stream.addTrack(opened.getTracks()[0])
}

/** @param {MediaStream | null} stream */
export function closeMedia(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

/**
 * @param {MediaStream | null} stream
 * @param {'audio' | 'video'} kind
 */
export function trackOf(stream, kind) {
  return stream?.getTracks().find((track) => track.kind === kind) ?? null
}
