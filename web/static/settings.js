/**
 * What can be changed during a call.
 *
 * @typedef {import('./hairpin.js').Room} Room
 */
import { showDevices } from './devices.js'
import { notify } from './notices.js'
import { element } from './page.js'
import { mediaCause } from './words.js'

const dialog = element('settings', HTMLDialogElement)
const open = element('settings-open', HTMLButtonElement)
const bitrate = element('bitrate', HTMLSelectElement)
const height = element('height', HTMLSelectElement)
const relay = element('call-relay', HTMLInputElement)
const lists = { video: element('call-video', HTMLSelectElement), audio: element('call-audio', HTMLSelectElement) }
const KINDS = /** @type {const} */ (['video', 'audio'])

/** @type {Room | null} */
let room = null

/** Makes the dialog work; for the life of the page. */
export function startSettings() {
  open.addEventListener('click', () => {
    showLists()
    dialog.showModal()
  })
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    if (dialog.open) showLists()
  })
  for (const kind of KINDS) lists[kind].addEventListener('change', () => void choose(kind))
  for (const limit of [bitrate, height]) limit.addEventListener('change', applyLimits)
  relay.addEventListener('change', () => room?.setRelayOnly(relay.checked))
}

/**
 * @param {Room | null} current null outside a call
 * @param {boolean} [relayOnly]
 */
export function useSettings(current, relayOnly = false) {
  room = current
  relay.checked = relayOnly
  if (current) applyLimits()
  else dialog.close()
}

/** Whether the user wants the relay only, now. */
export function relayOnlyChosen() {
  return relay.checked
}

function applyLimits() {
  room?.setLimits({ maxBitrateKbps: Number(bitrate.value), maxHeight: Number(height.value) })
}

function showLists() {
  for (const kind of KINDS) void showDevices(lists[kind], kind, room?.stream ?? null)
}

/** @param {'audio' | 'video'} kind */
async function choose(kind) {
  if (!lists[kind].value) return
  try {
    await room?.useDevice(kind, lists[kind].value)
  } catch (error) {
    dialog.close()
    notify('media', 'warning', mediaCause(error))
  }
  showLists()
}
