/**
 * The buttons and the header of a call.
 *
 * @typedef {import('./main.js').PageState} PageState
 */
import { trackOf } from './media.js'
import { notify } from './notices.js'
import { inviteLink } from './options.js'
import { element } from './page.js'
import { stateWords } from './words.js'

const microphone = element('microphone', HTMLButtonElement)
const camera = element('camera', HTMLButtonElement)
const screen = element('screen', HTMLButtonElement)
const lock = element('lock', HTMLButtonElement)
const leave = element('leave', HTMLButtonElement)
const status = element('status', HTMLElement)
const roomName = element('room-name', HTMLElement)
const alone = element('alone', HTMLElement)
const link = element('link', HTMLInputElement)
const tiles = element('tiles', HTMLDivElement)

/**
 * @param {object} handlers
 * @param {(kind: 'audio' | 'video') => void} handlers.toggle
 * @param {() => void} handlers.shareScreen or no longer
 * @param {() => void} handlers.lock or unlock
 * @param {() => void} handlers.leave
 */
export function onControls(handlers) {
  screen.addEventListener('click', handlers.shareScreen)
  lock.addEventListener('click', handlers.lock)
  microphone.addEventListener('click', () => handlers.toggle('audio'))
  camera.addEventListener('click', () => handlers.toggle('video'))
  leave.addEventListener('click', handlers.leave)
  for (const button of document.querySelectorAll('.invite')) button.addEventListener('click', copyInvite)
}

/** @param {string} room */
export function showRoom(room) {
  roomName.textContent = room
  document.title = `${room} · Hairpin`
  link.value = inviteLink(location.origin, room)
}

/**
 * @param {MediaStream | null} media ours
 * @param {boolean} sharing a screen, so that the camera is not in use
 */
export function showToggles(media, sharing) {
  showToggle(microphone, trackOf(media, 'audio'), { on: 'Mute', off: 'Unmute', none: 'No microphone' })
  const labels = sharing ? { on: 'Pause screen', off: 'Resume screen' } : { on: 'Stop camera', off: 'Start camera' }
  showToggle(camera, trackOf(media, 'video'), { ...labels, none: 'No camera' })
  // Where the browser has no screens to share, such as on phones, there is no button either.
  screen.hidden = !navigator.mediaDevices?.getDisplayMedia
  screen.textContent = sharing ? 'Stop sharing' : 'Share screen'
  screen.setAttribute('aria-pressed', String(sharing))
}

/**
 * @param {boolean} mayLock
 * @param {boolean} locked
 */
export function showLock(mayLock, locked) {
  lock.hidden = !mayLock
  lock.textContent = locked ? 'Unlock room' : 'Lock room'
  lock.setAttribute('aria-pressed', String(locked))
  document.body.classList.toggle('locked', locked)
}

/**
 * @param {PageState} state
 * @param {number} others
 */
export function showStatus(state, others) {
  status.textContent = stateWords(state, others)
  alone.hidden = state !== 'connected' || others > 0
  tiles.dataset.others = String(others)
}

/**
 * @param {HTMLButtonElement} button
 * @param {MediaStreamTrack | null} track
 * @param {{ on: string, off: string, none: string }} labels what pressing does, or that there is nothing to press for
 */
function showToggle(button, track, labels) {
  const on = track?.enabled ?? false
  button.dataset.on = String(on)
  button.textContent = track ? labels[on ? 'on' : 'off'] : labels.none
}

async function copyInvite() {
  try {
    await navigator.clipboard.writeText(link.value)
    notify('invite', 'info', 'The link is copied: send it to whom you want to meet.')
  } catch {
    // Without permission, or without HTTPS, there is no clipboard to write to.
    notify('invite', 'info', `Send this link to whom you want to meet: ${link.value}`)
  }
}
