/**
 * Files in the chat: a line for each, with what can be done about it.
 *
 * @typedef {import('./transfer.js').Transfer} Transfer
 */
import { addChatItem } from './chatpanel.js'
import { create, element } from './page.js'
import { fileWords, sizeWords } from './words.js'

const input = element('chat-files', HTMLInputElement)
const attach = element('chat-attach', HTMLButtonElement)
const chat = element('chat-log', HTMLOListElement)

/** @type {WeakMap<Transfer, FileLine>} */
let lines = new WeakMap()
/** @type {Set<string>} to be given back when the call ends */
const urls = new Set()

/** @param {(files: File[]) => void} send */
export function onFiles(send) {
  attach.addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    send([...(input.files ?? [])])
    input.value = ''
  })
  chat.addEventListener('dragover', (event) => event.preventDefault())
  chat.addEventListener('drop', (event) => {
    event.preventDefault()
    if (!attach.disabled) send([...(event.dataTransfer?.files ?? [])])
  })
}

export function clearFiles() {
  for (const url of urls) URL.revokeObjectURL(url)
  urls.clear()
  lines = new WeakMap()
}

/**
 * @param {Transfer} transfer
 * @param {string} person whose it is, or who gets it
 * @param {{ accept: () => void, cancel: () => void }} actions
 */
export function showTransfer(transfer, person, actions) {
  const known = lines.get(transfer)
  const line = known ?? new FileLine(transfer, actions)
  lines.set(transfer, line)
  if (!known) addChatItem(line.root)
  line.show(transfer, person)
}

class FileLine {
  root = create('li', 'file')
  #words = create('p', 'words')
  #progress = create('progress')
  #actions = create('div', 'actions')
  #shown = ''
  #handlers

  /**
   * @param {Transfer} transfer
   * @param {{ accept: () => void, cancel: () => void }} handlers
   */
  constructor({ id, name, size, incoming }, handlers) {
    this.#handlers = handlers
    this.root.dataset.file = id
    if (!incoming) this.root.classList.add('own')
    this.#progress.max = Math.max(1, size)
    this.#progress.setAttribute('aria-label', `Progress of ${name}`)
    const title = create('p', 'title', name)
    title.append(' ', create('span', 'hint', sizeWords(size)))
    this.root.append(title, this.#words, this.#progress, this.#actions)
  }

  /**
   * @param {Transfer} transfer
   * @param {string} person
   */
  show(transfer, person) {
    const { state, done, size } = transfer
    this.root.dataset.state = state
    this.#words.textContent = fileWords(transfer, person)
    this.#progress.value = size === 0 && state === 'done' ? 1 : done
    this.#progress.hidden = state !== 'running' && state !== 'paused'
    if (state === this.#shown) return
    this.#shown = state
    this.#actions.replaceChildren(...this.#actionsOf(transfer))
  }

  /**
   * @param {Transfer} transfer
   * @returns {HTMLElement[]}
   */
  #actionsOf({ state, incoming, name, blob }) {
    if (blob) return [saveLink(blob, name)]
    const made = []
    if (state === 'offered' && incoming) made.push(button('Accept', 'primary accept', `Accept ${name}`, this.#handlers.accept))
    if (['offered', 'running', 'paused'].includes(state)) {
      const label = state === 'offered' && incoming ? 'Decline' : 'Cancel'
      made.push(button(label, 'quiet cancel', `${label} ${name}`, this.#handlers.cancel))
    }
    return made
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function saveLink(blob, name) {
  const link = create('a', 'save', 'Save')
  link.href = URL.createObjectURL(blob)
  urls.add(link.href)
  link.download = name
  link.setAttribute('aria-label', `Save ${name}`)
  return link
}

/**
 * @param {string} label
 * @param {string} className
 * @param {string} name for those who do not see what it stands beside
 * @param {() => void} run
 */
function button(label, className, name, run) {
  const made = create('button', className, label)
  made.type = 'button'
  made.setAttribute('aria-label', name)
  made.addEventListener('click', run)
  return made
}
