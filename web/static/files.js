/**
 * Files of one call, between the room that carries them and the chat that shows them.
 *
 * @typedef {import('./hairpin.js').Member} Member
 * @typedef {import('./hairpin.js').Room} Room
 * @typedef {import('./transfer.js').Transfer} Transfer
 */
import { addChatNote } from './chatpanel.js'
import { showTransfer } from './filespanel.js'
import { nameOf } from './people.js'
import { MAX_FILE_BYTES, Transfers } from './transfer.js'

export class Files {
  #room
  #transfers
  /** @type {Set<string>} ids of members that data can be sent to */
  #ready = new Set()
  /** @type {Map<string, string>} names by id, those of members who left included */
  #names = new Map()

  /** @param {Room} room */
  constructor(room) {
    this.#room = room
    this.#transfers = new Transfers((data, options) => room.send(data, options))
    this.#transfers.addEventListener('transfer', (event) => this.#show(/** @type {CustomEvent<Transfer>} */ (event).detail))
  }

  /** @param {File[]} files */
  offer(files) {
    for (const file of files) {
      if (file.size > MAX_FILE_BYTES) addChatNote(`${file.name} is too large to be sent: 2 GB is the limit.`)
      else this.#transfers.offer(file, this.#ready)
    }
  }

  /**
   * @param {Member} member
   * @param {unknown} data
   * @returns {boolean} whether it was about a file
   */
  receive(member, data) {
    this.#names.set(member.id, nameOf(member))
    return this.#transfers.receive(member.id, data)
  }

  /** @param {Member} member whose channels may have opened or closed */
  update(member) {
    this.#names.set(member.id, nameOf(member))
    if (member.ready === this.#ready.has(member.id)) return
    if (!member.ready) return this.gone(member)
    this.#ready.add(member.id)
    this.#transfers.memberReady(member.id)
  }

  /** @param {Member} member */
  gone(member) {
    this.#ready.delete(member.id)
    this.#transfers.memberGone(member.id)
  }

  /** @param {Transfer} transfer */
  #show(transfer) {
    const person = this.#names.get(transfer.member) ?? nameOf(this.#room.members.get(transfer.member))
    showTransfer(transfer, person, {
      accept: () => this.#transfers.accept(transfer.id),
      cancel: () => this.#transfers.cancel(transfer),
    })
  }
}
