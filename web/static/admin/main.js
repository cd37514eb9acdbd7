/** The dashboard: asks the server every few seconds and draws what it says. */
import { duration, figures, MOST_ROOMS, quantity, worstConnection, worstFirst } from './view.js'

/**
 * @typedef {import('./view.js').Admin} Admin
 * @typedef {import('./view.js').Room} Room
 * @typedef {import('./view.js').Member} Member
 */

const EVERY_MS = 2000

const status = /** @type {HTMLElement} */ (document.getElementById('status'))
const login = /** @type {HTMLFormElement} */ (document.getElementById('login'))
const key = /** @type {HTMLInputElement} */ (document.getElementById('key'))
const board = /** @type {HTMLElement} */ (document.getElementById('board'))

/** @type {Admin | null} */
let before = null
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer

async function update() {
  clearTimeout(timer)
  let again = true
  try {
    const headers = key.value ? { Authorization: `Bearer ${key.value}` } : undefined
    const response = await fetch('/v1/admin', { headers, cache: 'no-store' })
    if (response.ok) draw(await response.json())
    else again = refused(response.status, (await response.json()).detail)
  } catch {
    say('failed', 'No answer. Trying again.')
  }
  if (again && !document.hidden) timer = setTimeout(update, EVERY_MS)
}

/**
 * @param {number} code
 * @param {string} detail
 * @returns {boolean} whether to go on asking
 */
function refused(code, detail) {
  const wantsKey = code === 401 || code === 403
  if (wantsKey) {
    login.hidden = false
    board.hidden = true
    before = null
    if (document.activeElement !== key) key.focus()
  }
  const refusal = /** @type {HTMLElement} */ (document.getElementById('refusal'))
  refusal.textContent = detail
  refusal.hidden = !key.value
  say(wantsKey ? 'locked' : 'failed', wantsKey ? 'Waiting for a key' : 'Refused. Trying again.')
  return !wantsKey
}

/**
 * @param {string} state
 * @param {string} text
 */
function say(state, text) {
  document.body.dataset.state = state
  if (status.textContent !== text) status.textContent = text
}

/** @param {Admin} now */
function draw(now) {
  login.hidden = true
  board.hidden = false
  fill('figures', figures(now, before).map(([name, text]) => element('div', {}, element('dt', {}, name), element('dd', {}, text))))
  const rooms = worstFirst(now.rooms)
  fill('rooms', rooms.slice(0, MOST_ROOMS).map((room) => roomCard(room, now.now)))
  fill('more', rooms.length > MOST_ROOMS ? [`the ${MOST_ROOMS} worst of ${rooms.length}`] : [])
  const empty = /** @type {HTMLElement} */ (document.getElementById('empty'))
  empty.hidden = rooms.length > 0
  before = now
  say('live', 'Live')
}

/**
 * @param {Room} room
 * @param {string} now
 */
function roomCard(room, now) {
  const title = `${room.tenant ? `${room.tenant}: ` : ''}${room.room}`
  const facts = ` ${room.members.length} of ${room.capacity}${room.locked ? ', locked' : ''}`
  const heads = ['Member', 'Here for', 'Quality', 'Round trip', 'Loss', 'Jitter', 'Video', 'Path', 'Connected in']
  return element('div', { class: 'room-card', 'data-room': room.room },
    element('table', {},
      element('caption', {}, title, element('span', { class: 'hint' }, facts)),
      element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', { scope: 'col' }, head)))),
      element('tbody', {}, ...room.members.map((member) => memberRow(member, now)))))
}

/**
 * @param {Member} member
 * @param {string} now
 */
function memberRow(member, now) {
  const worst = worstConnection(member)
  const marks = [member.away && 'away', member.capabilities.includes('moderate') && 'moderator'].filter(Boolean)
  const path = [worst?.pairType, worst?.transport?.toUpperCase(), worst?.restarts ? `${worst.restarts} restarts` : ''].filter(Boolean)
  return element('tr', { 'data-member': member.clientId },
    element('td', {}, member.name || member.user, element('span', { class: 'hint' }, marks.length > 0 ? ` ${marks.join(', ')}` : '')),
    element('td', {}, duration((Date.parse(now) - Date.parse(member.since)) / 1000)),
    element('td', {}, element('span', { class: 'verdict', 'data-verdict': member.verdict }, member.verdict)),
    element('td', {}, quantity(worst?.roundTripMs, 'ms')),
    element('td', {}, quantity(worst?.lossPercent, '%')),
    element('td', {}, quantity(worst?.jitterMs, 'ms')),
    element('td', {}, quantity(worst?.bitrateKbps, 'kbit/s')),
    element('td', {}, path.join(', ') || '–'),
    element('td', {}, quantity(worst?.timeToConnectMs, 'ms')))
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children texts are text, whatever is in them
 */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/**
 * @param {string} id
 * @param {(Node | string)[]} children
 */
function fill(id, children) {
  document.getElementById(id)?.replaceChildren(...children)
}

login.addEventListener('submit', (event) => {
  event.preventDefault()
  update()
})
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && login.hidden) update()
})
update()
