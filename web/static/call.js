/**
 * One call as the page shows it, from joining to leaving: tiles, chat, notices and controls around a Room.
 *
 * @typedef {import('./options.js').CallOptions} CallOptions
 * @typedef {import('./hairpin.js').Member} Member
 * @typedef {import('./hairpin.js').Refusal} Refusal
 * @typedef {import('./hairpin.js').Room} Room
 * @typedef {import('./main.js').PageState} PageState
 *
 * @typedef {object} CallHandlers
 * @property {(state: PageState) => void} onState
 * @property {(refusal: Refusal) => void} onRefused the server did not let us in, or shut us out; the call is over
 * @property {() => void} onRetry the user wants to enter anew
 */
import { encodeText, parseChat } from './chat.js'
import { addChatLine, addChatNote, setChatOpen } from './chatpanel.js'
import { showStatus, showToggles } from './controls.js'
import { join, JoinError } from './hairpin.js'
import { closeMedia, openMedia, trackOf } from './media.js'
import { clearNotice, notify } from './notices.js'
import { MemberTile, OwnTile } from './tiles.js'
import { failureWords, mediaWords, refusalWords } from './words.js'

export class Call {
  #options
  #handlers
  /** @type {Room | null} */
  #room = null
  #own
  /** @type {Map<string, MemberTile>} */
  #tiles = new Map()
  #end = new AbortController()

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
    const media = await this.#openMedia()
    if (this.#ended) return closeMedia(media)
    const { room, name, token, relayOnly, transport } = this.#options
    const { signal } = this.#end
    try {
      this.#enter(await join({ room, name, token, relayOnly, transport, media, stopTracks: true, signal }))
    } catch (error) {
      if (this.#ended) return
      if (!(error instanceof JoinError)) throw error
      this.#handlers.onRefused(error)
    }
  }

  end() {
    this.#end.abort()
    this.#room?.leave()
    this.#own.remove()
    for (const tile of this.#tiles.values()) tile.remove()
  }

  /** @param {string} text */
  async say(text) {
    addChatLine(this.#options.name || 'You', text, { own: true })
    const members = new Map(this.#room?.members)
    for (const id of (await this.#room?.send(encodeText(text, Date.now()))) ?? []) {
      addChatNote(`Not delivered to ${nameOf(members.get(id))}.`)
    }
  }

  /**
   * Turns our sound or picture off and on; without one, tries to get it.
   *
   * @param {'audio' | 'video'} kind
   */
  toggle(kind) {
    if (!this.#room || !trackOf(this.#room.stream, kind)) return void this.#retryMedia()
    this.#room.mute(kind, this.#room.media[kind])
  }

  get #ended() {
    return this.#end.signal.aborted
  }

  /** @param {Room} room */
  #enter(room) {
    this.#room = room
    this.#watch(room)
    this.#showMedia()
    for (const member of room.members.values()) this.#onMember(member)
    this.#onState(room.state)
  }

  async #openMedia() {
    const opened = await openMedia()
    clearNotice('media')
    if (opened.error && !this.#ended) {
      notify('media', 'warning', mediaWords(opened), { label: 'Try camera again', run: () => void this.#retryMedia() })
    }
    return opened.stream
  }

  async #retryMedia() {
    const media = await this.#openMedia()
    if (this.#ended || !this.#room) return closeMedia(media)
    if (media) this.#room.setMedia(media, { stopTracks: true })
  }

  /** @param {Room} room */
  #watch(room) {
    /** @type {Record<string, (detail: any) => void>} */
    const handlers = {
      state: (state) => this.#onState(state),
      member: (member) => this.#onMember(member),
      left: (member) => this.#onLeft(member),
      stream: (member) => this.#tiles.get(member.id)?.showMember(),
      update: (member) => this.#onUpdate(member),
      message: ({ member, data }) => this.#onData(member, data),
      media: () => this.#showMedia(),
      stats: () => this.#showStats(),
      down: () => this.#onDown(),
      error: (refusal) => this.#onError(refusal),
    }
    for (const [type, handle] of Object.entries(handlers)) {
      room.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail), { signal: this.#end.signal })
    }
  }

  /** @param {PageState} state */
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
  #onUpdate(member) {
    this.#tiles.get(member.id)?.showMember()
    this.#showChat()
    const subject = `member-${member.id}`
    clearNotice(subject)
    if (!member.failure) return
    const words = `${nameOf(member)}: ${failureWords(member.failure, this.#options)}`
    notify(subject, 'error', words, { label: 'Connect again', run: this.#handlers.onRetry })
  }

  /**
   * @param {Member} member
   * @param {unknown} data
   */
  #onData(member, data) {
    const message = parseChat(data)
    if (message) addChatLine(nameOf(member), message.text)
  }

  #onDown() {
    notify('server', 'warning', 'The server is out of reach. Calls in progress go on; trying to come back.')
  }

  /** @param {Refusal} refusal */
  #onError(refusal) {
    if (this.#room?.closed) return this.#handlers.onRefused(refusal)
    notify('server', 'warning', refusalWords(refusal))
  }

  #showMedia() {
    const stream = this.#room?.stream ?? null
    this.#own.setStream(stream, trackOf(stream, 'video') !== null)
    showToggles(stream)
  }

  #showStatus() {
    showStatus(this.#room?.state ?? 'joining', this.#tiles.size)
  }

  #showChat() {
    setChatOpen([...(this.#room?.members.values() ?? [])].some(({ ready }) => ready))
  }

  async #showStats() {
    for (const [id, tile] of this.#tiles) {
      const stats = await this.#room?.stats(id)
      if (stats) tile.showStats(stats)
    }
  }
}

/** @param {Member | undefined} member */
function nameOf(member) {
  return member?.name || 'Guest'
}
