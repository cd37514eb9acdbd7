/**
 * The report on the page.
 *
 * @typedef {import('./report.js').Report} Report
 * @typedef {import('./report.js').Row} Row
 */
import { browserWords, figures, serverWords, verdictWords } from './words.js'

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`)
  return found
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
function create(tag, className, text) {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}

/** Makes room for rows. */
export function showEmpty() {
  element('rows', HTMLOListElement).replaceChildren()
  element('verdict', HTMLElement).textContent = 'Testing…'
  element('summary', HTMLElement).textContent = ''
  element('about', HTMLElement).textContent = ''
  element('actions', HTMLElement).hidden = true
  element('result', HTMLElement).hidden = false
}

/** @param {Row} row */
export function showRow(row) {
  const item = create('li', 'row', '')
  item.dataset.ok = String(row.ok)
  item.dataset.transport = row.transport
  item.append(create('h3', '', row.name), create('span', 'mark', row.ok ? 'Works' : 'Does not work'))
  item.append(create('p', 'url', row.urls.join(', ')))
  const numbers = figures(row)
  if (numbers.length > 0) {
    const list = create('dl', 'figures', '')
    for (const [name, value] of numbers) {
      const entry = create('div', '', '')
      entry.append(create('dt', '', name), create('dd', '', value))
      list.append(entry)
    }
    item.append(list)
  }
  addSide(item, 'This browser', browserWords(row))
  addSide(item, 'The server', serverWords(row))
  element('rows', HTMLOListElement).append(item)
}

/**
 * @param {HTMLElement} item
 * @param {string} who
 * @param {string} words
 */
function addSide(item, who, words) {
  if (!words) return
  const side = create('p', 'side', '')
  side.append(create('b', '', `${who}: `), words)
  item.append(side)
}

/** @param {Report} report */
export function showVerdict(report) {
  const { verdict, summary } = verdictWords(report.rows)
  element('verdict', HTMLElement).textContent = verdict
  element('summary', HTMLElement).textContent = summary
  const when = new Date(report.startedAt)
  const date = Number.isNaN(when.getTime()) ? report.startedAt : when.toLocaleString()
  element('about', HTMLElement).textContent = `${date} · ${report.browser}`
  element('actions', HTMLElement).hidden = false
}

/** @param {string} text */
export function showProgress(text) {
  element('progress', HTMLElement).textContent = text
}
