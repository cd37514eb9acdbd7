/** Ourselves in the lobby: picture, level of the voice, and the devices to choose from. */
import { showDevices } from './devices.js'
import { closeMedia, openMedia, switchDevice, trackOf } from './media.js'
import { watchLevel } from './meter.js'
import { element } from './page.js'
import { mediaCause } from './words.js'

const frame = element('preview', HTMLDivElement)
const video = element('preview-video', HTMLVideoElement)
const off = element('preview-off', HTMLDivElement)
const words = element('preview-words', HTMLParagraphElement)
const open = element('preview-open', HTMLButtonElement)
const devices = element('preview-devices', HTMLDivElement)
const level = element('level', HTMLMeterElement)
const lists = { video: element('lobby-video', HTMLSelectElement), audio: element('lobby-audio', HTMLSelectElement) }
const INVITATION = words.textContent
const OFFER = open.textContent
const KINDS = /** @type {const} */ (['video', 'audio'])

/** @type {MediaStream | null} */
let stream = null
let stopMeter = () => {}
/** Counts openings and ends, so that one that took long knows it is no longer wanted. */
let turn = 0

/** Makes the lobby's preview work; for the life of the page. */
export function startPreview() {
  open.addEventListener('click', () => void openPreview())
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    if (stream) showLists()
  })
  for (const kind of KINDS) lists[kind].addEventListener('change', () => void choose(kind))
}

/** Opens the preview if the camera was allowed for good before. */
export async function previewIfAllowed() {
  try {
    const { state } = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('camera') })
    if (state === 'granted' && document.body.dataset.view === 'lobby') await openPreview()
  } catch {
    // A browser that does not say asks when the button is pressed.
  }
}

/**
 * What was opened goes into the call.
 *
 * @returns {MediaStream | null} the caller's to close
 */
export function takePreview() {
  const taken = stream
  stream = null
  words.textContent = INVITATION
  open.textContent = OFFER
  show(null)
  turn++
  return taken
}

async function openPreview() {
  const own = ++turn
  open.disabled = true
  const opened = await openMedia()
  open.disabled = false
  if (own !== turn) return closeMedia(opened.stream)
  closeMedia(stream)
  stream = opened.stream
  words.textContent = opened.error ? mediaCause(opened.error) : 'There is no picture of you.'
  open.textContent = 'Try again'
  show(stream)
}

/** @param {'audio' | 'video'} kind */
async function choose(kind) {
  if (!stream || !lists[kind].value) return
  try {
    await switchDevice(stream, kind, lists[kind].value)
  } catch (error) {
    words.textContent = mediaCause(error)
  }
  show(stream)
}

/** @param {MediaStream | null} shown */
function show(shown) {
  const pictured = trackOf(shown, 'video') !== null
  video.srcObject = shown
  frame.classList.toggle('pictured', pictured)
  off.hidden = pictured
  devices.hidden = !shown
  stopMeter()
  stopMeter = shown && trackOf(shown, 'audio') ? watchLevel(shown, (value) => { level.value = value }) : () => {}
  level.value = 0
  if (shown) showLists()
}

function showLists() {
  for (const kind of KINDS) void showDevices(lists[kind], kind, stream)
}
