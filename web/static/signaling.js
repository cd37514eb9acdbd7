/**
 * The WebSocket to `/v1/signal`: joins, sends, receives, and joins again when the socket is lost.
 *
 * @typedef {{ type: string, [key: string]: any }} Message
 * @typedef {{ type: 'join', roomId: string, name?: string, token?: string }} Join
 * @typedef {{ reason: string, message: string }} Refusal
 */
import { Pace } from './pace.js'

/** Well below what the server takes from one socket: 30 messages a second, 200 at once. */
const MESSAGES_PER_SECOND = 20
const MESSAGE_BURST = 100

/** First and longest wait before the next attempt, in milliseconds. */
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 15_000

/** Refusals that time mends: trying again is right, giving up is not. */
const PASSING = new Set(['internal', 'rate-limited', 'shutting-down', 'too-many-joins'])

/**
 * Events: `message` (detail: the server's message), `down` (detail: milliseconds until the next attempt) and `refused`
 * (detail: Refusal), after which it stays closed. Every `room-users` message starts a new membership with a new id.
 */
export class Signaling extends EventTarget {
  #url
  #join
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {string[]} */
  #queue = []
  #pace = new Pace(MESSAGES_PER_SECOND, MESSAGE_BURST)
  #closed = false
  /** Whether any attempt ever led into the room: the first failure is told at once, later ones are retried. */
  #everJoined = false
  #attempts = 0
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #paceTimer

  /**
   * @param {string} url ws: or wss: address
   * @param {Join} join first message of every attempt
   */
  constructor(url, join) {
    super()
    this.#url = url
    this.#join = join
  }

  open() {
    if (this.#closed || this.#socket) return
    clearTimeout(this.#retryTimer)
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    /** @type {Refusal | null} */
    let refusal = null
    let joined = false
    socket.onopen = () => socket.send(JSON.stringify(this.#join))
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      if (message.type === 'room-users') {
        joined = this.#everJoined = true
        this.#attempts = 0
      }
      if (message.type === 'error' && !joined) refusal = message
      else this.#emit('message', message)
    }
    socket.onclose = () => this.#lost(refusal)
  }

  /**
   * Sends in order, at the pace the server allows. What is still waiting when the socket is lost is dropped: it belongs
   * to a membership that has ended.
   *
   * @param {Message} message
   */
  send(message) {
    this.#queue.push(JSON.stringify(message))
    this.#flush()
  }

  /** Leaves the room for good. */
  close() {
    this.#closed = true
    this.#forget()
    const socket = this.#socket
    this.#socket = null
    if (!socket) return
    socket.onclose = socket.onmessage = null
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'leave' }))
    socket.close(1000)
  }

  #flush() {
    while (this.#queue.length > 0 && this.#socket?.readyState === WebSocket.OPEN) {
      const wait = this.#pace.take(performance.now())
      if (wait > 0) {
        clearTimeout(this.#paceTimer)
        this.#paceTimer = setTimeout(() => this.#flush(), wait)
        return
      }
      this.#socket.send(/** @type {string} */ (this.#queue.shift()))
    }
  }

  /** @param {Refusal | null} refusal why the server closed before letting us in */
  #lost(refusal) {
    this.#socket = null
    this.#forget()
    if (refusal && !PASSING.has(refusal.reason)) return this.#refuse(refusal)
    if (!this.#everJoined && !refusal) return this.#refuse({ reason: 'unreachable', message: '' })
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts++)
    // Half of it by chance, so that a restarted server is not met by everybody at once.
    const jittered = wait / 2 + Math.random() * (wait / 2)
    this.#retryTimer = setTimeout(() => this.open(), jittered)
    this.#emit('down', jittered)
  }

  /** @param {Refusal} refusal */
  #refuse(refusal) {
    this.#closed = true
    this.#emit('refused', refusal)
  }

  #forget() {
    this.#queue = []
    clearTimeout(this.#paceTimer)
    clearTimeout(this.#retryTimer)
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
