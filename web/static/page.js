/** The few things all parts of the page do with its elements. */

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
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function create(tag, className = '', text = '') {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}

/**
 * Shows one view of the page; what belongs to no view is always there.
 *
 * @param {'lobby' | 'call'} view
 */
export function showView(view) {
  document.body.dataset.view = view
  for (const part of document.querySelectorAll('[data-part-of]')) {
    if (part instanceof HTMLElement) part.hidden = part.dataset.partOf !== view
  }
}
