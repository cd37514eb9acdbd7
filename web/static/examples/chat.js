/** Text among the members of a room, from browser to browser: no camera, and the server sees none of it. */
import { join } from '/hairpin.js'

const state = /** @type {HTMLElement} */ (document.getElementById('state'))
const log = /** @type {HTMLElement} */ (document.getElementById('log'))
const form = /** @type {HTMLFormElement} */ (document.getElementById('form'))
const text = /** @type {HTMLInputElement} */ (document.getElementById('text'))

const query = new URLSearchParams(location.search)
const room = await join({ room: query.get('room') ?? 'chat', name: query.get('name') ?? 'Guest' })

/** @param {string} line */
function write(line) {
  const item = document.createElement('li')
  item.textContent = line
  log.append(item)
}

function showReady() {
  const reached = [...room.members.values()].filter(({ ready }) => ready)
  state.textContent = reached.length > 0 ? `With ${reached.map(({ name }) => name).join(', ')}` : 'Nobody else is here'
}

room.addEventListener('update', showReady)
room.addEventListener('left', showReady)
room.addEventListener('message', ({ detail: { member, data } }) => {
  if (typeof data === 'string') write(`${member.name}: ${data.slice(0, 1000)}`)
})
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  write(`You: ${text.value}`)
  const missed = await room.send(text.value)
  if (missed.length > 0) write(`Not delivered to ${missed.length}.`)
  form.reset()
})
showReady()
addEventListener('pagehide', () => room.leave())
