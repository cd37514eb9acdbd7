/** The chat beside the pictures: the messages so far, and a line to write. */
import { create, element } from './page.js'

/** Older lines go, so that a talkative member does not fill our memory. */
const MAX_LINES = 500

const log = element('chat-log', HTMLOListElement)
const form = element('chat-form', HTMLFormElement)
const text = element('chat-text', HTMLInputElement)
const button = element('chat-send', HTMLButtonElement)
const attach = element('chat-attach', HTMLButtonElement)

/** @param {(text: string) => void} send called with what the user wrote, never empty */
export function onChatSubmit(send) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const written = text.value.trim()
    if (!written) return
    text.value = ''
    send(written)
  })
}

/** @param {boolean} open whether there is anybody to write to */
export function setChatOpen(open) {
  text.disabled = button.disabled = attach.disabled = !open
  text.placeholder = open ? 'Write a message' : 'Nobody is here yet'
}

/**
 * @param {string} author
 * @param {string} line
 * @param {{ own?: boolean, at?: Date }} [options]
 */
export function addChatLine(author, line, { own = false, at = new Date() } = {}) {
  const item = create('li', own ? 'own' : '')
  const head = create('div', 'head')
  head.append(create('span', 'author', author), create('time', '', clockTime(at)))
  item.append(head, create('p', 'text', line))
  addChatItem(item)
}

/** @param {string} line what happened, rather than what somebody said */
export function addChatNote(line) {
  addChatItem(create('li', 'note', line))
}

export function clearChat() {
  log.replaceChildren()
}

/** @param {HTMLElement} item */
export function addChatItem(item) {
  log.append(item)
  while (log.children.length > MAX_LINES) log.firstElementChild?.remove()
  log.scrollTop = log.scrollHeight
}

/** @param {Date} at */
function clockTime(at) {
  return at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}
