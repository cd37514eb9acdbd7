/**
 * One call as the page shows it, from joining to leaving: tiles, chat, files, notices and controls around a Room.
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
import { CROWD } from './advice.js'
import { encodeText, parseChat } from './chat.js'
import { addChatLine, addChatNote, setChatOpen } from './chatpanel.js'
import { showLock, showStatus, showToggles } from './controls.js'
import { closeDetails } from './details.js'
import { Files } from './files.js'
import { join, JoinError } from './hairpin.js'
import { closeMedia, openMedia, trackOf } from './media.js'
import { clearNotice, notify } from './notices.js'
import { nameOf, People } from './people.js'
import { relayOnlyChosen, useSettings } from './settings.js'
import { OwnTile } from './tiles.js'
import { CROWD_WORDS, deviceWords, failureWords, mediaWords, refusalWords, screenWords } from './words.js'

export class Call {
  #options
  #handlers
  /** @type {MediaStream | null} opened before the call, until it takes them over */
  #preview
  /** @type {Room | null} */
  #room = null
  /** @type {People | null} */
  #people = null
  /** @type {Files | null} */
  #files = null
  #own
  #end = new AbortController()
  #crowdTold = false

  /**
   * @param {CallOptions} options
   * @param {MediaStream | null} preview ours from now on
   * @param {CallHandlers} handlers
   */
  constructor(options, preview, handlers) {
    this.#options = options
    this.#preview = preview
    this.#handlers = handlers
    this.#own = new OwnTile(options.name)
  }

  async start() {
    this.#onState('joining')
    setChatOpen(false)
    showLock(false, false)
    const media = this.#preview ?? (await this.#openMedia())
    this.#preview = null
    if (this.#ended) return closeMedia(media)
    this.#showMedia(media)
    const { room, name, token, relayOnly, transport } = this.#options
    const { signal } = this.#end
    try {
      this.#enter(await join({ room, name, token, relayOnly, transport, media, stopTracks: true, signal }))
    } catch (error) {
      closeMedia(media)
      if (this.#ended) return
      if (!(error instanceof JoinError)) throw error
      this.#handlers.onRefused(error)
    }
  }

  end() {
    this.#end.abort()
    closeMedia(this.#preview)
    useSettings(null)
    closeDetails()
    this.#people?.end()
    this.#room?.leave()
    this.#own.remove()
  }

  /** @param {string} text */
  async say(text) {
    addChatLine(this.#options.name || 'You', text, { own: true })
    const members = new Map(this.#room?.members)
    for (const id of (await this.#room?.send(encodeText(text, Date.now()))) ?? []) {
      addChatNote(`Not delivered to ${nameOf(members.get(id))}.`)
    }
  }

  /** @param {File[]} files */
  offerFiles(files) {
    this.#files?.offer(files)
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

  async toggleScreen() {
    clearNotice('screen')
    if (this.#room?.sharing) return this.#room.stopScreen()
    try {
      await this.#room?.shareScreen()
    } catch (error) {
      if (!this.#ended) notify('screen', 'warning', screenWords(error))
    }
  }

  toggleLock() {
    this.#room?.lock(!this.#room.locked)
  }

  /** @param {Member} member */
  remove(member) {
    this.#room?.remove(member.id)
  }

  get #ended() {
    return this.#end.signal.aborted
  }

  /** @param {Room} room */
  #enter(room) {
    this.#room = room
    this.#people = new People(room)
    this.#files = new Files(room)
    this.#watch(room)
    useSettings(room, this.#options.relayOnly)
    this.#showLock()
    this.#showMedia(room.stream)
    for (const member of room.members.values()) this.#onMember(member)
    this.#onState(room.state)
  }

  async #openMedia() {
    notify('media', 'info', 'If the browser asks, allow the camera and the microphone.')
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
      stream: (member) => this.#people?.show(member),
      update: (member) => this.#onUpdate(member),
      message: ({ member, data }) => this.#onData(member, data),
      media: () => this.#showMedia(room.stream),
      screen: () => this.#showMedia(room.stream),
      device: (change) => notify('device', change.track ? 'info' : 'warning', deviceWords(change)),
      stats: () => this.#people?.showStats(),
      locked: () => this.#showLock(),
      down: () => this.#onDown(),
      error: (refusal) => this.#onError(refusal),
    }
    for (const [type, handle] of Object.entries(handlers)) {
      const known = /** @type {keyof import('./hairpin.js').RoomEvents} */ (type)
      room.addEventListener(known, ({ detail }) => handle(detail), { signal: this.#end.signal })
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
    this.#people?.add(member)
    this.#showStatus()
    if (!this.#crowdTold && (this.#room?.members.size ?? 0) + 1 >= CROWD) {
      this.#crowdTold = true
      notify('crowd', 'info', CROWD_WORDS)
    }
  }

  /** @param {Member} member */
  #onLeft(member) {
    this.#people?.remove(member)
    this.#files?.gone(member)
    clearNotice(`member-${member.id}`)
    // Members dropped because we come back under another id have not left.
    if (this.#room?.state !== 'reconnecting') {
      addChatNote(member.leftReason === 'removed' ? `${nameOf(member)} was removed.` : `${nameOf(member)} left.`)
    }
    this.#showChat()
    this.#showStatus()
  }

  /** @param {Member} member */
  #onUpdate(member) {
    this.#people?.show(member)
    this.#files?.update(member)
    this.#showChat()
    const subject = `member-${member.id}`
    clearNotice(subject)
    if (!member.failure) return
    const choice = { ...this.#options, relayOnly: relayOnlyChosen() }
    const words = `${nameOf(member)}: ${failureWords(member.failure, choice)}`
    notify(subject, 'error', words, { label: 'Connect again', run: this.#handlers.onRetry }, '/test')
  }

  /**
   * @param {Member} member
   * @param {unknown} data
   */
  #onData(member, data) {
    if (this.#files?.receive(member, data)) return
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

  /** @param {MediaStream | null} stream ours */
  #showMedia(stream) {
    const sharing = this.#room?.sharing ?? false
    this.#own.setStream(stream, trackOf(stream, 'video')?.enabled ?? false)
    this.#own.setSharing(sharing)
    showToggles(stream, sharing)
  }

  #showLock() {
    showLock(this.#room?.capabilities.includes('moderate') ?? false, this.#room?.locked ?? false)
  }

  #showStatus() {
    showStatus(this.#room?.state ?? 'joining', this.#room?.members.size ?? 0)
  }

  #showChat() {
    setChatOpen([...(this.#room?.members.values() ?? [])].some(({ ready }) => ready))
  }
}
