/**
 * The selected candidate pair as the path it is: who and what packets pass on their way.
 *
 * @typedef {import('./hairpin.js').Pair} Pair
 *
 * @typedef {object} Hop
 * @property {'person' | 'nat' | 'relay'} kind
 * @property {string} label
 * @property {string} over how it is reached from the hop before it; empty for the first
 */
import { create } from './page.js'

/** What candidate types (RFC 8445 section 5.1.1) say about the way. */
const BEHIND_NAT = new Set(['srflx', 'prflx'])

/**
 * @param {Pair | null} pair
 * @param {string} name of the other member
 * @returns {Hop[]} from us to them; empty before a pair is selected
 */
export function pathHops(pair, name) {
  if (!pair) return []
  const protocol = pair.protocol.toUpperCase()
  /** @type {Hop[]} */
  const hops = [{ kind: 'person', label: 'You', over: '' }]
  if (BEHIND_NAT.has(pair.local)) hops.push({ kind: 'nat', label: 'Your NAT', over: protocol })
  if (pair.local === 'relay') hops.push({ kind: 'relay', label: 'Your relay', over: protocol })
  // Between relays, and from a relay to a peer, it is UDP; how they reach theirs only they know.
  const far = pair.local === 'relay' ? 'UDP' : protocol
  if (pair.remote === 'relay') hops.push({ kind: 'relay', label: 'Their relay', over: far })
  if (BEHIND_NAT.has(pair.remote)) hops.push({ kind: 'nat', label: 'Their NAT', over: far })
  hops.push({ kind: 'person', label: name, over: pair.remote === 'relay' ? '' : far })
  return hops
}

/**
 * @param {HTMLOListElement} list
 * @param {Hop[]} hops
 */
export function drawPath(list, hops) {
  list.replaceChildren(...hops.map(({ kind, label, over }, index) => {
    const item = create('li', kind)
    if (index > 0) item.append(create('span', 'leg', over))
    item.append(create('span', 'hop', label))
    return item
  }))
}
