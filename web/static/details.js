/**
 * How the connection to one person does: the path, numbers over time, and what to do about them.
 *
 * @typedef {import('./hairpin.js').Member} Member
 * @typedef {import('./hairpin.js').Stats} Stats
 */
import { grade, THRESHOLDS } from './hairpin.js'
import { element } from './page.js'
import { drawPath, pathHops } from './path.js'
import { Plot } from './plot.js'
import { numberWords, pairTitle, pathWords } from './words.js'

const SAMPLES = 120

const dialog = element('details', HTMLDialogElement)
const title = element('details-title', HTMLHeadingElement)
const path = element('path', HTMLOListElement)
const words = element('path-words', HTMLParagraphElement)
const advice = element('advice', HTMLParagraphElement)
const plots = element('plots', HTMLDivElement)
const remove = element('remove', HTMLButtonElement)

/** @type {readonly [keyof typeof THRESHOLDS, string, string, number][]} */
const SHOWN = [
  ['roundTripMs', 'Round trip', 'ms', 0],
  ['lossPercent', 'Loss', '%', 1],
  ['jitterMs', 'Jitter', 'ms', 0],
  ['videoKbps', 'Video received', 'kbit/s', 0],
]
const drawn = SHOWN.map(([key, label]) => new Plot(label, THRESHOLDS[key][0], SAMPLES))
plots.append(...drawn.map(({ root }) => root))

/** @type {Member | null} */
let shown = null

/** @param {(member: Member) => void} act */
export function onRemove(act) {
  remove.addEventListener('click', () => {
    if (shown) act(shown)
    dialog.close()
  })
}

/**
 * @param {Member} member
 * @param {boolean} mayRemove
 */
export function openDetails(member, mayRemove) {
  shown = member
  remove.hidden = !mayRemove
  dialog.showModal()
}

/** The member whose details are open, or null. */
export function detailsShown() {
  return dialog.open ? shown : null
}

export function closeDetails() {
  dialog.close()
}

/**
 * @param {Member} member
 * @param {string} name
 * @param {readonly Stats[]} history
 * @param {string} advised
 */
export function showDetails(member, name, history, advised) {
  title.textContent = `Connection to ${name}`
  drawPath(path, pathHops(member.pair, name))
  words.textContent = `${pairTitle(member.pair)} ${pathWords(member.pair)}`.trim()
  advice.textContent = advised
  advice.hidden = advised === ''
  const latest = history.at(-1)
  SHOWN.forEach(([key, , unit, digits], index) => {
    const value = latest?.[key] ?? null
    drawn[index].show(history.map((sample) => sample[key]), numberWords(value, unit, digits), grade(key, value))
  })
}
