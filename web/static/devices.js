/** Lists of cameras and microphones to choose from. */
import { trackOf } from './media.js'
import { create } from './page.js'

/**
 * Fills a list with the devices there are, the one in use chosen. Browsers name them only after the first permission.
 *
 * @param {HTMLSelectElement} list
 * @param {'audio' | 'video'} kind
 * @param {MediaStream | null} stream in use
 */
export async function showDevices(list, kind, stream) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? []
  const devices = all.filter((device) => device.kind === `${kind}input`)
  const used = trackOf(stream, kind)
  const options = devices.map(({ deviceId, label }, index) => {
    const option = create('option', '', label || `${kind === 'video' ? 'Camera' : 'Microphone'} ${index + 1}`)
    option.value = deviceId
    option.selected = deviceId !== '' && (deviceId === used?.getSettings().deviceId || label === used?.label)
    return option
  })
  if (!used) options.unshift(Object.assign(create('option', '', devices.length > 0 ? 'Not in use' : 'None found'), { value: '', selected: true }))
  list.replaceChildren(...options)
  list.disabled = devices.length === 0
}
