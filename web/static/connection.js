/**
 * The RTCPeerConnection to one other member: perfect negotiation, candidates trickled and held in order, one ICE restart
 * when the path is lost.
 *
 * @typedef {import('./state.js').MemberState} MemberState
 * @typedef {import('./stats.js').Stats} Stats
 * @typedef {import('./stats.js').Totals} Totals
 * @typedef {import('./signaling.js').Message} Message
 *
 * @typedef {object} RelayError what a STUN or TURN server answered, or that it did not
 * @property {string} url
 * @property {number} code a STUN error code, or 701 when the server was not reached
 * @property {string} text
 *
 * @typedef {object} Failure
 * @property {'no-relay' | 'no-path' | 'timeout'} reason
 * @property {RelayError[]} errors one for each server that failed
 * @property {string[]} relays the TURN URLs that were tried
 */
import { CHANNEL_LABEL, encodeHello, encodeText, parseChat } from './chat.js'
import { relayURLs } from './ice.js'
import { compareTotals, selectedPair, totalsOf } from './stats.js'

/** How long a path may take to come, or to come back. Longer than the browser's own ICE timeouts, which say more. */
const PATH_DEADLINE_MS = 40_000

/** A hostile member must not make us hold candidates without end; no honest one has as many. */
const MAX_HELD_CANDIDATES = 256

/**
 * Events: `state` (detail: MemberState), `stream` (a track came or went), `hello` (detail: name), `text` (detail: ChatText),
 * `channel` (the chat opened or closed).
 */
export class Connection extends EventTarget {
  /** What the member sends us; the same object for the life of the connection. */
  stream = new MediaStream()
  /** @type {MemberState} */
  state = 'connecting'
  /** @type {Failure | null} */
  failure = null

  #pc
  #configuration
  #send
  #polite
  #ownName
  /** @type {MediaStream | null} */
  #media
  /** Settles when the messages so far have been handled, one after the other. */
  #inbox = Promise.resolve()
  /** @type {RTCIceCandidateInit[]} */
  #held = []
  #makingOffer = false
  #ignoringOffer = false
  #settingAnswer = false
  #restarted = false
  /** Whether a relayed transport address was ever gathered. */
  #relayed = false
  /** @type {Map<string, RelayError>} */
  #errors = new Map()
  /** @type {RTCDataChannel | null} */
  #channel = null
  /** @type {Totals | null} */
  #totals = null
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline

  /**
   * @param {object} options
   * @param {(message: Message) => void} options.send signals to this member
   * @param {boolean} options.polite gives way when both offer at once; exactly one of two is polite
   * @param {RTCConfiguration} options.configuration
   * @param {MediaStream | null} options.media ours; the caller keeps owning it
   * @param {string} options.name ours
   */
  constructor({ send, polite, configuration, media, name }) {
    super()
    // Given here rather than by setConfiguration, which in Chromium makes a fresh connection offer nothing and break.
    this.#pc = new RTCPeerConnection(configuration)
    this.#configuration = configuration
    this.#send = send
    this.#polite = polite
    this.#media = media
    this.#ownName = name
    this.#watch()
    this.#armDeadline()
  }

  /** Makes the first offer. The newcomer does, to everybody who was there. */
  initiate() {
    this.#enqueue(async () => {
      this.#useChannel(this.#pc.createDataChannel(CHANNEL_LABEL))
      for (const kind of ['audio', 'video']) {
        const track = this.#trackOf(kind)
        if (track) this.#pc.addTransceiver(track, { streams: this.#streams() })
        else this.#pc.addTransceiver(kind, { direction: 'recvonly' })
      }
    })
  }

  /** @param {Message} message an offer, answer or candidate of this member */
  receive(message) {
    this.#enqueue(async () => {
      if (message.type === 'candidate') await this.#onCandidate(message.candidate)
      else await this.#onDescription(message.type === 'offer' ? message.offer : message.answer)
    })
  }

  /**
   * Takes up renewed credentials. A relay lends its addresses no longer than the credentials last that asked for them, so
   * new ones are asked for at once; media goes on meanwhile.
   *
   * @param {RTCConfiguration} configuration
   */
  configure(configuration) {
    this.#configuration = configuration
    this.#pc.setConfiguration(configuration)
    if (this.#relayed && this.state === 'connected') this.#pc.restartIce()
  }

  /**
   * Sends other tracks, or the first ones.
   *
   * @param {MediaStream | null} media
   */
  setMedia(media) {
    this.#media = media
    this.#enqueue(() => this.#attachMedia())
  }

  /**
   * @param {string} text
   * @returns {boolean} false when the channel to this member is not open
   */
  sendText(text) {
    if (this.#channel?.readyState !== 'open') return false
    this.#channel.send(encodeText(text, Date.now()))
    return true
  }

  get chatOpen() {
    return this.#channel?.readyState === 'open'
  }

  /**
   * Rates and losses are those since the previous call.
   *
   * @returns {Promise<Stats>}
   */
  async stats() {
    const report = await this.#pc.getStats()
    const totals = totalsOf(report)
    const stats = compareTotals(totals, this.#totals, selectedPair(report))
    this.#totals = totals
    return stats
  }

  close() {
    clearTimeout(this.#deadline)
    this.#pc.close()
  }

  #watch() {
    const pc = this.#pc
    pc.onnegotiationneeded = () => this.#offer()
    pc.onicecandidate = ({ candidate }) => this.#onLocalCandidate(candidate)
    pc.onicecandidateerror = (event) => this.#onRelayError(event)
    pc.onicegatheringstatechange = () => this.#onGathering()
    pc.onconnectionstatechange = () => this.#onConnectionState()
    pc.ontrack = ({ track }) => this.#onTrack(track)
    pc.ondatachannel = ({ channel }) => {
      if (channel.label === CHANNEL_LABEL) this.#useChannel(channel)
    }
  }

  /** @param {() => Promise<void>} work */
  #enqueue(work) {
    this.#inbox = this.#inbox.then(async () => {
      if (this.#pc.signalingState !== 'closed') await work()
    }).catch((error) => console.warn('signaling of one member failed:', error.message))
  }

  async #offer() {
    // Chromium asks for an offer when a fresh connection is configured; an empty one breaks it.
    if (this.#pc.getTransceivers().length === 0 && !this.#channel) return
    try {
      this.#makingOffer = true
      await this.#pc.setLocalDescription()
      this.#sendDescription()
    } catch (error) {
      console.warn('no offer:', error)
    } finally {
      this.#makingOffer = false
    }
  }

  #sendDescription() {
    const description = this.#pc.localDescription
    if (description) this.#send({ type: description.type, [description.type]: description })
  }

  /**
   * Perfect negotiation (W3C WebRTC section 10.7): of two offers that cross, the impolite side's wins.
   *
   * @param {RTCSessionDescriptionInit} description
   */
  async #onDescription(description) {
    const pc = this.#pc
    const ready = !this.#makingOffer && (pc.signalingState === 'stable' || this.#settingAnswer)
    this.#ignoringOffer = !this.#polite && description.type === 'offer' && !ready
    if (this.#ignoringOffer) return
    this.#settingAnswer = description.type === 'answer'
    try {
      await pc.setRemoteDescription(description)
    } finally {
      this.#settingAnswer = false
    }
    await this.#addHeld()
    if (description.type !== 'offer') return
    await this.#attachMedia()
    await pc.setLocalDescription()
    this.#sendDescription()
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #onCandidate(candidate) {
    if (!candidate) return
    if (this.#pc.remoteDescription) return this.#addCandidate(candidate)
    if (this.#held.length < MAX_HELD_CANDIDATES) this.#held.push(candidate)
  }

  async #addHeld() {
    for (const candidate of this.#held.splice(0)) await this.#addCandidate(candidate)
  }

  /**
   * A candidate that cannot be used, be it of an ignored offer or of an older ICE generation, is one path less and no fault.
   *
   * @param {RTCIceCandidateInit} candidate
   */
  async #addCandidate(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate)
    } catch (error) {
      if (!this.#ignoringOffer) console.warn('candidate not used:', error)
    }
  }

  /** Puts our tracks where the offer has a place for them; a kind it has none for is offered anew. */
  async #attachMedia() {
    for (const kind of ['audio', 'video']) {
      const track = this.#trackOf(kind)
      if (!track) continue
      const transceiver = this.#pc.getTransceivers().find(({ receiver }) => receiver.track.kind === kind)
      if (!transceiver) {
        this.#pc.addTrack(track, ...this.#streams())
      } else if (transceiver.sender.track !== track) {
        await transceiver.sender.replaceTrack(track)
        transceiver.sender.setStreams(...this.#streams())
        transceiver.direction = 'sendrecv'
      }
    }
  }

  /** @param {string} kind */
  #trackOf(kind) {
    return this.#media?.getTracks().find((track) => track.kind === kind)
  }

  #streams() {
    return this.#media ? [this.#media] : []
  }

  /** @param {RTCIceCandidate | null} candidate */
  #onLocalCandidate(candidate) {
    if (!candidate) return
    if (candidate.type === 'relay') this.#relayed = true
    this.#send({ type: 'candidate', candidate })
  }

  /** @param {RTCPeerConnectionIceErrorEvent} event */
  #onRelayError({ url, errorCode, errorText }) {
    this.#errors.set(url, { url, code: errorCode, text: errorText })
  }

  /** Relay-only without a relay cannot come to anything; saying so need not wait for ICE to time out. */
  #onGathering() {
    if (this.#pc.iceGatheringState !== 'complete' || this.#relayed) return
    if (this.#configuration.iceTransportPolicy === 'relay') this.#fail('no-relay')
  }

  #onConnectionState() {
    switch (this.#pc.connectionState) {
      case 'connected':
        this.#restarted = false
        return this.#setState('connected')
      case 'disconnected':
        return this.#setState('reconnecting')
      case 'failed':
        return this.#restartOnce()
    }
  }

  #restartOnce() {
    if (this.state === 'failed') return
    if (this.#restarted) return this.#fail('no-path')
    this.#restarted = true
    this.#setState('reconnecting')
    this.#pc.restartIce()
  }

  /** @param {Failure['reason']} reason */
  #fail(reason) {
    const relays = relayURLs(this.#configuration.iceServers ?? [])
    this.failure = { reason, errors: [...this.#errors.values()], relays }
    this.#setState('failed')
  }

  /** @param {MemberState} state */
  #setState(state) {
    this.state = state
    if (state === 'connected') this.failure = null
    if (state === 'reconnecting') this.#armDeadline()
    else clearTimeout(this.#deadline)
    this.#emit('state', state)
  }

  #armDeadline() {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.#fail('timeout'), PATH_DEADLINE_MS)
  }

  /** @param {MediaStreamTrack} track */
  #onTrack(track) {
    this.stream.addTrack(track)
    track.onmute = track.onunmute = () => this.#emit('stream')
    this.#emit('stream')
  }

  /** @param {RTCDataChannel} channel */
  #useChannel(channel) {
    this.#channel = channel
    channel.onopen = () => {
      channel.send(encodeHello(this.#ownName))
      this.#emit('channel')
    }
    channel.onclose = () => this.#emit('channel')
    channel.onmessage = ({ data }) => {
      const message = parseChat(data)
      if (message?.type === 'hello') this.#emit('hello', message.name)
      if (message?.type === 'message') this.#emit('text', message)
    }
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}
