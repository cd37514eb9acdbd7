/**
 * Notices above the page: one for each subject, so that news replace what they outdate.
 *
 * @typedef {'info' | 'warning' | 'error'} Kind
 * @typedef {{ label: string, run: () => void }} Action
 */
import { create, element } from './page.js'

const list = element('notices', HTMLDivElement)
/** @type {Map<string, HTMLElement>} */
const shown = new Map()

/**
 * @param {string} subject
 * @param {Kind} kind
 * @param {string} text
 * @param {Action} [action] what the reader can do about it; doing it takes the notice away
 * @param {string} [test] address of the page that tells more
 */
export function notify(subject, kind, text, action, test) {
  clearNotice(subject)
  const notice = create('div', `notice ${kind}`)
  notice.dataset.subject = subject
  if (kind === 'error') notice.setAttribute('role', 'alert')
  const words = create('p', '', text)
  if (test) words.append(' ', Object.assign(create('a', '', 'Test the connection'), { href: test, target: '_blank' }))
  notice.append(words)
  if (action) notice.append(button(action.label, 'action', () => act(subject, action)))
  const close = button('×', 'close', () => clearNotice(subject))
  close.setAttribute('aria-label', 'Dismiss')
  notice.append(close)
  shown.set(subject, notice)
  list.append(notice)
}

/** @param {string} subject */
export function clearNotice(subject) {
  shown.get(subject)?.remove()
  shown.delete(subject)
}

export function clearNotices() {
  for (const subject of [...shown.keys()]) clearNotice(subject)
}

/**
 * @param {string} subject
 * @param {Action} action
 */
function act(subject, action) {
  clearNotice(subject)
  action.run()
}

/**
 * @param {string} label
 * @param {string} className
 * @param {() => void} run
 */
function button(label, className, run) {
  const made = create('button', className, label)
  made.type = 'button'
  made.addEventListener('click', run)
  return made
}
