/** One number over time, as a line. */
import { create } from './page.js'

const SVG = 'http://www.w3.org/2000/svg'
export const PLOT_WIDTH = 240
export const PLOT_HEIGHT = 56

/**
 * The lines of a plot, oldest sample left, the latest always at the right edge: one for each stretch without gaps.
 *
 * @param {(number | null)[]} values the latest last
 * @param {number} max value at the top
 * @param {number} count of samples from edge to edge
 * @returns {string[]} the points attribute of each polyline
 */
export function plotLines(values, max, count) {
  /** @type {string[][]} */
  const lines = [[]]
  values.forEach((value, index) => {
    if (value === null) return void lines.push([])
    const x = PLOT_WIDTH * (1 - (values.length - 1 - index) / (count - 1))
    const y = PLOT_HEIGHT * (1 - Math.min(1, value / max))
    lines.at(-1)?.push(`${x.toFixed(1)},${y.toFixed(1)}`)
  })
  return lines.filter((line) => line.length > 0).map((line) => line.join(' '))
}

/**
 * The top of a plot: what was seen and the first threshold both fit.
 *
 * @param {(number | null)[]} values
 * @param {number} threshold
 */
export function plotTop(values, threshold) {
  return Math.max(threshold * 1.25, ...values.map((value) => (value ?? 0) * 1.1))
}

/** A plot with a title, the latest value, and the line that good numbers keep to. */
export class Plot {
  root = create('figure', 'plot')
  #value = create('span', 'value')
  #svg = svg('svg', { viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`, preserveAspectRatio: 'none', role: 'img' })
  #title
  #threshold
  #count

  /**
   * @param {string} title
   * @param {number} threshold between good and the rest
   * @param {number} count of samples from edge to edge
   */
  constructor(title, threshold, count) {
    this.#title = title
    this.#threshold = threshold
    this.#count = count
    const caption = create('figcaption')
    caption.append(create('span', '', title), this.#value)
    this.root.append(caption, this.#svg)
  }

  /**
   * @param {(number | null)[]} values
   * @param {string} text the latest value in words
   * @param {string} verdict
   */
  show(values, text, verdict) {
    const top = plotTop(values, this.#threshold)
    const y = String(PLOT_HEIGHT * (1 - this.#threshold / top))
    const limit = svg('line', { class: 'limit', x1: '0', x2: String(PLOT_WIDTH), y1: y, y2: y })
    const lines = plotLines(values, top, this.#count).map((points) => svg('polyline', { points }))
    this.#svg.replaceChildren(limit, ...lines)
    this.#svg.setAttribute('aria-label', `${this.#title} over the last two minutes, now ${text}`)
    this.#value.textContent = text
    this.root.dataset.verdict = verdict
  }
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 */
function svg(name, attributes) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}
