/**
 * The others in a call: their tiles, and the details of one of them.
 *
 * @typedef {import('./hairpin.js').Member} Member
 * @typedef {import('./hairpin.js').Room} Room
 */
import { adviceWords } from './advice.js'
import { closeDetails, detailsShown, openDetails, showDetails } from './details.js'
import { MemberTile } from './tiles.js'

export class People {
  #room
  /** @type {Map<string, { tile: MemberTile, connectedAt: number }>} */
  #shown = new Map()

  /** @param {Room} room */
  constructor(room) {
    this.#room = room
  }

  /** @param {Member} member */
  add(member) {
    this.#shown.set(member.id, { tile: new MemberTile(member, () => this.#open(member)), connectedAt: 0 })
  }

  /** @param {Member} member something about them has changed */
  show(member) {
    const shown = this.#shown.get(member.id)
    if (!shown) return
    shown.tile.showMember()
    if (member.state !== 'connected') shown.connectedAt = 0
    else shown.connectedAt ||= performance.now()
  }

  /** @param {Member} member */
  remove(member) {
    this.#shown.get(member.id)?.tile.remove()
    this.#shown.delete(member.id)
    if (detailsShown() === member) closeDetails()
  }

  showStats() {
    for (const { tile } of this.#shown.values()) {
      const latest = this.#room.history(tile.member.id).at(-1)
      if (latest) tile.showStats(latest, this.#adviceFor(tile.member))
    }
    this.#showDetails()
  }

  end() {
    for (const { tile } of this.#shown.values()) tile.remove()
    this.#shown.clear()
  }

  /** @param {Member} member */
  #open(member) {
    openDetails(member, this.#room.capabilities.includes('moderate'))
    this.#showDetails()
  }

  #showDetails() {
    const member = detailsShown()
    if (member) showDetails(member, nameOf(member), this.#room.history(member.id), this.#adviceFor(member))
  }

  /** @param {Member} member */
  #adviceFor(member) {
    const shown = this.#shown.get(member.id)
    if (!shown || shown.connectedAt === 0) return ''
    const seconds = (performance.now() - shown.connectedAt) / 1000
    const { media, ready, state, stream } = member
    const pictured = stream.getVideoTracks().length > 0
    return adviceWords(this.#room.history(member.id), { name: nameOf(member), media, ready, state, pictured }, seconds)
  }
}

/** @param {Member | undefined} member */
export function nameOf(member) {
  return member?.name || 'Guest'
}
