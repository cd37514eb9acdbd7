/**
 * A room as one member sees it: who is there, and a connection to each.
 *
 * @typedef {import('./signaling.js').Message} Message
 * @typedef {import('./signaling.js').Refusal} Refusal
 * @typedef {import('./ice.js').Transport} Transport
 * @typedef {import('./state.js').CallState} CallState
 *
 * @typedef {object} RoomOptions
 * @property {string} url address of the signaling endpoint
 * @property {string} room
 * @property {string} [name] what others see
 * @property {string} [token] key for servers that ask for one
 * @property {MediaStream | null} media ours, or null to receive only; the caller keeps owning it
 * @property {boolean} [relayOnly]
 * @property {Transport} [transport]
 */
import { Connection } from './connection.js'
import { configuration } from './ice.js'
import { Signaling } from './signaling.js'
import { callState } from './state.js'

/** The server sends the ICE servers right after the members; without them only direct paths are left to try. */
const ICE_SERVERS_DEADLINE_MS = 10_000

/** Another member of the room. */
export class Member {
  /** @type {import('./stats.js').Pair | null} */
  pair = null

  /**
   * @param {string} id
   * @param {string} name
   * @param {Connection} connection
   */
  constructor(id, name, connection) {
    this.id = id
    this.name = name
    this.connection = connection
  }

  get stream() {
    return this.connection.stream
  }

  get state() {
    return this.connection.state
  }

  get failure() {
    return this.connection.failure
  }
}

/**
 * Events, with their detail: `state` (CallState), `member` and `left` (Member), `stream`, `member-state` and `name`
 * (Member), `message` ({ member, text, timestamp }), `chat` (a channel opened or closed), `down` (milliseconds until the
 * server is tried again), `error` (Refusal).
 */
export class Room extends EventTarget {
  /** Ours, given by the server; another one after each reconnection. */
  id = ''
  /** @type {Map<string, Member>} */
  members = new Map()
  /** @type {CallState} */
  state = 'joining'

  #options
  #signaling
  /** @type {RTCIceServer[] | null} null until the server has sent them for this membership */
  #iceServers = null
  /** @type {Message[]} what came before the ICE servers, in order */
  #waiting = []
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #iceServersDeadline
  /** Set by leave and by a refusal, after which nothing changes any more. */
  closed = false

  /** @param {RoomOptions} options */
  constructor(options) {
    super()
    this.#options = options
    const { room, name, token } = options
    const join = { type: /** @type {const} */ ('join'), roomId: room, ...(name && { name }), ...(token && { token }) }
    this.#signaling = new Signaling(options.url, join)
    this.#signaling.addEventListener('message', (event) => this.#onMessage(detailOf(event)))
    this.#signaling.addEventListener('down', (event) => this.#onDown(detailOf(event)))
    this.#signaling.addEventListener('refused', (event) => this.#onRefused(detailOf(event)))
  }

  join() {
    this.#signaling.open()
  }

  leave() {
    this.#signaling.close()
    this.#end('left')
  }

  /**
   * @param {string} text
   * @returns {Member[]} those it could not be sent to
   */
  sendText(text) {
    return [...this.members.values()].filter((member) => !member.connection.sendText(text))
  }

  /** @param {MediaStream | null} media */
  setMedia(media) {
    this.#options.media = media
    for (const { connection } of this.members.values()) connection.setMedia(media)
  }

  /** @param {string} id */
  async stats(id) {
    const member = this.members.get(id)
    if (!member) return null
    const stats = await member.connection.stats()
    member.pair = stats.pair
    return stats
  }

  /** @param {Message} message */
  #onMessage(message) {
    switch (message.type) {
      case 'room-users':
        return this.#onJoined(message)
      case 'ice-servers':
        return this.#onIceServers(message.iceServers)
      case 'error':
        return this.#onError({ reason: message.reason, message: message.message })
    }
    if (this.#iceServers) this.#onMemberMessage(message)
    else this.#waiting.push(message)
  }

  /** @param {Message} message about another member, or from one */
  #onMemberMessage(message) {
    switch (message.type) {
      case 'room-users':
        for (const id of message.users) this.#meet(id).connection.initiate()
        return this.#update()
      case 'user-joined':
        this.#meet(message.clientId, message.name)
        return this.#update()
      case 'user-left':
        this.#part(message.clientId)
        return this.#update()
      case 'offer':
      case 'answer':
      case 'candidate':
        this.members.get(message.clientId)?.connection.receive(message)
    }
  }

  /**
   * Whoever was known before the socket was lost is met anew: for the others, the member we were has left. Nothing is
   * offered or answered before the ICE servers are there.
   *
   * @param {Message} message
   */
  #onJoined(message) {
    this.id = message.clientId
    this.#dropMembers()
    this.#awaitIceServers()
    this.#waiting.push(message)
  }

  #awaitIceServers() {
    this.#iceServers = null
    this.#waiting = []
    clearTimeout(this.#iceServersDeadline)
    this.#iceServersDeadline = setTimeout(() => {
      this.#onError({ reason: 'no-ice-servers', message: '' })
      this.#onIceServers([])
    }, ICE_SERVERS_DEADLINE_MS)
  }

  /** @param {RTCIceServer[]} iceServers the first ones, or renewed ones */
  #onIceServers(iceServers) {
    clearTimeout(this.#iceServersDeadline)
    this.#iceServers = iceServers
    for (const { connection } of this.members.values()) connection.configure(this.#configuration())
    for (const message of this.#waiting.splice(0)) this.#onMemberMessage(message)
  }

  #configuration() {
    const { relayOnly = false, transport = 'any' } = this.#options
    return configuration(this.#iceServers ?? [], { relayOnly, transport })
  }

  /**
   * @param {string} id
   * @param {string} [name]
   */
  #meet(id, name = '') {
    const connection = new Connection({
      send: (message) => this.#signaling.send({ ...message, targetClientId: id }),
      polite: this.id < id,
      configuration: this.#configuration(),
      media: this.#options.media,
      name: this.#options.name ?? '',
    })
    const member = new Member(id, name, connection)
    this.members.set(id, member)
    this.#watch(member)
    this.#emit('member', member)
    return member
  }

  /** @param {Member} member */
  #watch(member) {
    const { connection } = member
    connection.addEventListener('state', () => {
      this.#emit('member-state', member)
      this.#update()
    })
    connection.addEventListener('stream', () => this.#emit('stream', member))
    connection.addEventListener('channel', () => this.#emit('chat', member))
    connection.addEventListener('text', (event) => this.#emit('message', { member, ...detailOf(event) }))
    connection.addEventListener('hello', (event) => {
      member.name ||= detailOf(event)
      this.#emit('name', member)
    })
  }

  /** @param {string} id */
  #part(id) {
    const member = this.members.get(id)
    if (!member) return
    this.members.delete(id)
    member.connection.close()
    this.#emit('left', member)
  }

  #dropMembers() {
    for (const id of [...this.members.keys()]) this.#part(id)
  }

  /**
   * Calls go on without the server, so connections are kept until it is back.
   *
   * @param {number} retryMs
   */
  #onDown(retryMs) {
    this.#iceServers = null
    clearTimeout(this.#iceServersDeadline)
    this.#emit('down', retryMs)
    this.#update()
  }

  /** @param {Refusal} refusal */
  #onRefused(refusal) {
    this.#end('failed')
    this.#onError(refusal)
  }

  /** @param {CallState} state */
  #end(state) {
    this.closed = true
    clearTimeout(this.#iceServersDeadline)
    this.#dropMembers()
    this.#setState(state)
  }

  /** @param {Refusal} refusal */
  #onError(refusal) {
    // The member we signaled to has just left.
    if (refusal.reason !== 'unknown-target') this.#emit('error', refusal)
  }

  #update() {
    if (this.closed) return
    if (this.#iceServers) this.#setState(callState([...this.members.values()].map(({ state }) => state)))
    else this.#setState(this.id ? 'reconnecting' : 'joining')
  }

  /** @param {CallState} state */
  #setState(state) {
    if (state === this.state) return
    this.state = state
    this.#emit('state', state)
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail
}
