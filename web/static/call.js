/**
 * One call as the page shows it, from joining to leaving: tiles, chat, notices and controls around a Room.
 *
 * @typedef {import('./options.js').CallOptions} CallOptions
 * @typedef {import('./room.js').Member} Member
 * @typedef {import('./signaling.js').Refusal} Refusal
 * @typedef {import('./state.js').CallState} CallState
 *
 * @typedef {object} CallHandlers
 * @property {(state: CallState) => void} onState
 * @property {(refusal: Refusal) => void} onRefused the server did not let us in; the call is over
 * @property {() => void} onRetry the user wants to enter anew
 */
import { addChatLine, addChatNote, setChatOpen } from './chatpanel.js'
import { showStatus, showToggles } from './controls.js'
import { closeMedia, openMedia, trackOf } from './media.js'
import { clearNotice, notify } from './notices.js'
import { Room } from './room.js'
import { MemberTile, OwnTile } from './tiles.js'
import { failureWords, mediaWords, refusalWords } from './words.js'

const STATS_INTERVAL_MS = 1000

export class Call {
  #options
  #handlers
  /** @type {MediaStream | null} */
  #media = null
  /** @type {Room | null} */
  #room = null
  #own
  /** @type {Map<string, MemberTile>} */
  #tiles = new Map()
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #statsTimer
  #ended = false

  /**
   * @param {CallOptions} options
   * @param {CallHandlers} handlers
   */
  constructor(options, handlers) {
    this.#options = options
    this.#handlers = handlers
    this.#own = new OwnTile(options.name)
  }

  async start() {
    this.#onState('joining')
    this.#showChat()
    notify('media', 'info', 'If the browser asks, allow the camera and the microphone.')
    await this.#openMedia()
    if (this.#ended) return
    const { room, name, token, relayOnly, transport } = this.#options
    this.#room = new Room({ url: signalingURL(), room, name, token, media: this.#media, relayOnly, transport })
    this.#watch(this.#room)
    this.#room.join()
    this.#statsTimer = setInterval(() => this.#showStats(), STATS_INTERVAL_MS)
  }

  end() {
    this.#ended = true
    clearInterval(this.#statsTimer)
    this.#room?.leave()
    closeMedia(this.#media)
    this.#own.remove()
    for (const tile of this.#tiles.values()) tile.remove()
  }

  /** @param {string} text */
  say(text) {
    const missed = this.#room?.sendText(text) ?? []
    addChatLine(this.#options.name || 'You', text, { own: true })
    for (const member of missed) addChatNote(`Not delivered to ${nameOf(member)}.`)
  }

  /**
   * Turns our sound or picture off and on; without one, tries to get it.
   *
   * @param {'audio' | 'video'} kind
   */
  toggle(kind) {
    const track = trackOf(this.#media, kind)
    if (!track) return void this.#retryMedia()
    track.enabled = !track.enabled
    showToggles(this.#media)
  }

  async #openMedia() {
    const opened = await openMedia()
    if (this.#ended) return closeMedia(opened.stream)
    closeMedia(this.#media)
    this.#media = opened.stream
    this.#own.setStream(opened.stream, trackOf(opened.stream, 'video') !== null)
    showToggles(opened.stream)
    clearNotice('media')
    if (!opened.error) return
    notify('media', 'warning', mediaWords(opened), { label: 'Try camera again', run: () => void this.#retryMedia() })
  }

  async #retryMedia() {
    await this.#openMedia()
    if (!this.#ended) this.#room?.setMedia(this.#media)
  }

  /** @param {Room} room */
  #watch(room) {
    /** @type {[string, (detail: any) => void][]} */
    const handlers = [
      ['state', (state) => this.#onState(state)],
      ['member', (member) => this.#onMember(member)],
      ['left', (member) => this.#onLeft(member)],
      ['stream', (member) => this.#tiles.get(member.id)?.showMember()],
      ['name', (member) => this.#tiles.get(member.id)?.showMember()],
      ['member-state', (member) => this.#onMemberState(member)],
      ['chat', () => this.#showChat()],
      ['message', ({ member, text }) => addChatLine(nameOf(member), text)],
      ['down', () => this.#onDown()],
      ['error', (refusal) => this.#onError(refusal)],
    ]
    for (const [type, handle] of handlers) {
      room.addEventListener(type, (event) => {
        if (!this.#ended) handle(/** @type {CustomEvent} */ (event).detail)
      })
    }
  }

  /** @param {CallState} state */
  #onState(state) {
    if (state === 'connected') clearNotice('server')
    this.#handlers.onState(state)
    this.#showStatus()
  }

  /** @param {Member} member */
  #onMember(member) {
    this.#tiles.set(member.id, new MemberTile(member))
    this.#showStatus()
  }

  /** @param {Member} member */
  #onLeft(member) {
    this.#tiles.get(member.id)?.remove()
    this.#tiles.delete(member.id)
    clearNotice(`member-${member.id}`)
    // Members dropped because we come back under another id have not left.
    if (this.#room?.state !== 'reconnecting') addChatNote(`${nameOf(member)} left.`)
    this.#showChat()
    this.#showStatus()
  }

  /** @param {Member} member */
  #onMemberState(member) {
    this.#tiles.get(member.id)?.showMember()
    const subject = `member-${member.id}`
    clearNotice(subject)
    if (!member.failure) return
    const words = `${nameOf(member)}: ${failureWords(member.failure, this.#options)}`
    notify(subject, 'error', words, { label: 'Connect again', run: this.#handlers.onRetry })
  }

  #onDown() {
    notify('server', 'warning', 'The server is out of reach. Calls in progress go on; trying to come back.')
  }

  /** @param {Refusal} refusal */
  #onError(refusal) {
    if (this.#room?.state === 'failed' && this.#room.closed) return this.#handlers.onRefused(refusal)
    notify('server', 'warning', refusalWords(refusal))
  }

  #showStatus() {
    showStatus(this.#room?.state ?? 'joining', this.#tiles.size)
  }

  #showChat() {
    const members = [...(this.#room?.members.values() ?? [])]
    setChatOpen(members.some(({ connection }) => connection.chatOpen))
  }

  async #showStats() {
    for (const [id, tile] of this.#tiles) {
      const stats = await this.#room?.stats(id)
      if (stats) tile.showStats(stats)
    }
  }
}

/** @param {Member} member */
function nameOf(member) {
  return member.name || 'Guest'
}

function signalingURL() {
  return new URL('/v1/signal', location.href.replace(/^http/, 'ws')).href
}
