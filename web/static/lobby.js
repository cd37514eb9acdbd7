/**
 * The form in front of the call.
 *
 * @typedef {import('./options.js').CallOptions} CallOptions
 */
import { proposeRoom } from './options.js'
import { element } from './page.js'

const form = element('lobby', HTMLFormElement)
const name = element('name', HTMLInputElement)
const room = element('room', HTMLInputElement)
const relay = element('relay', HTMLInputElement)
const transport = element('transport', HTMLSelectElement)
const token = element('token', HTMLInputElement)
const details = element('options', HTMLDetailsElement)

/** @param {CallOptions} options */
export function fillLobby(options) {
  name.value = options.name
  room.value = options.room || proposeRoom(location.hostname)
  relay.checked = options.relayOnly
  transport.value = options.transport
  token.value = options.token
  details.open = options.transport !== 'any' || options.token !== ''
}

/** @returns {CallOptions} */
function readLobby() {
  return {
    room: room.value.trim(),
    name: name.value.trim(),
    token: token.value,
    join: true,
    relayOnly: relay.checked,
    transport: transport.value === 'udp' || transport.value === 'tcp' ? transport.value : 'any',
  }
}

/** @param {(options: CallOptions) => void} submit */
export function onLobbySubmit(submit) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    submit(readLobby())
  })
}

/** Shows where the access key goes. */
export function askForToken() {
  details.open = true
  token.focus()
}
