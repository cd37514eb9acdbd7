/** Joining with a token, and what to do with a refusal. */
import { join, JoinError } from '/hairpin.js'

const form = /** @type {HTMLFormElement} */ (document.getElementById('form'))
const name = /** @type {HTMLInputElement} */ (document.getElementById('room'))
const token = /** @type {HTMLInputElement} */ (document.getElementById('token'))
const state = /** @type {HTMLElement} */ (document.getElementById('state'))
const leave = /** @type {HTMLButtonElement} */ (document.getElementById('leave'))

/** Reasons are stable, so a page can have words of its own for them. @type {Record<string, string>} */
const WORDS = {
  unauthorized: 'This token does not open this room: it may be expired, or be for another one.',
  'room-full': 'The room is full.',
  'room-locked': 'The room is locked.',
  unreachable: 'The server does not answer.',
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  state.textContent = 'Joining…'
  try {
    const room = await join({ room: name.value, token: token.value })
    state.textContent = `In ${name.value}; may ${room.capabilities.join(' and ') || 'watch'}.`
    leave.hidden = false
    leave.onclick = () => room.leave()
    room.addEventListener('state', ({ detail }) => { state.textContent = detail })
    addEventListener('pagehide', () => room.leave())
  } catch (error) {
    const reason = error instanceof JoinError ? error.reason : ''
    state.textContent = WORDS[reason] ?? `Not joined: ${error instanceof Error ? error.message : error}`
  }
})
