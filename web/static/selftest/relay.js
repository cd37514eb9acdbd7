/**
 * A call from this page to this page through the relay, and how good it is.
 *
 * @typedef {import('./candidates.js').BrowserError} BrowserError
 * @typedef {import('./candidates.js').Address} Address
 * @typedef {import('./measure.js').Measured} Measured
 *
 * @typedef {object} Relayed
 * @property {boolean} ok
 * @property {'no-relay' | 'no-path' | 'no-data' | null} failure what did not come about
 * @property {number | null} connectMs
 * @property {Measured | null} measured
 * @property {Address[]} relayed addresses that were lent to us
 * @property {BrowserError[]} errors
 */
import { watchCandidates } from './candidates.js'
import { measure } from './measure.js'

/**
 * @param {RTCIceServer[]} iceServers
 * @param {number} patienceMs for the path to come about
 * @returns {Promise<Relayed>}
 */
export async function callThrough(iceServers, patienceMs) {
  const pair = new Pair(iceServers)
  const began = performance.now()
  try {
    const failure = await pair.connect(patienceMs)
    const connectMs = failure ? null : performance.now() - began
    const measured = failure ? null : await measure(pair.near, pair.far).catch(() => null)
    return {
      ok: measured !== null,
      failure: failure ?? (measured ? null : 'no-data'),
      connectMs,
      measured,
      relayed: pair.relayed(),
      errors: pair.errors(),
    }
  } finally {
    pair.close()
  }
}

/** Two connections of this page, each with nothing but its relayed address. */
class Pair {
  /** @param {RTCIceServer[]} iceServers */
  constructor(iceServers) {
    /** @type {RTCConfiguration} */
    const configuration = { iceServers, iceTransportPolicy: 'relay', bundlePolicy: 'max-bundle' }
    this.near = new RTCPeerConnection(configuration)
    this.far = new RTCPeerConnection(configuration)
    this.watched = [
      watchCandidates(this.near, (candidate) => void this.far.addIceCandidate(candidate).catch(() => {})),
      watchCandidates(this.far, (candidate) => void this.near.addIceCandidate(candidate).catch(() => {})),
    ]
  }

  /**
   * @param {number} patienceMs
   * @returns {Promise<'no-relay' | 'no-path' | null>} null when connected
   */
  async connect(patienceMs) {
    // The channels that are measured over are negotiated later; one is needed for there to be anything to connect.
    this.near.createDataChannel('hello', { negotiated: true, id: 0 })
    this.far.createDataChannel('hello', { negotiated: true, id: 0 })
    const offer = await this.near.createOffer()
    await this.far.setRemoteDescription(offer)
    const outcome = this.outcome(patienceMs)
    // Candidates begin with the local description, and the other side has the remote one by then.
    await this.near.setLocalDescription(offer)
    const answer = await this.far.createAnswer()
    await this.near.setRemoteDescription(answer)
    await this.far.setLocalDescription(answer)
    return outcome
  }

  /**
   * @param {number} patienceMs
   * @returns {Promise<'no-relay' | 'no-path' | null>}
   */
  outcome(patienceMs) {
    return new Promise((resolve) => {
      const fail = () => resolve(this.relayed().length === 0 ? 'no-relay' : 'no-path')
      const timeout = setTimeout(fail, patienceMs)
      const check = () => {
        const states = [this.near.connectionState, this.far.connectionState]
        const done = states.every((state) => state === 'connected')
        if (!done && !states.includes('failed')) return
        clearTimeout(timeout)
        if (done) resolve(null)
        else fail()
      }
      this.near.addEventListener('connectionstatechange', check)
      this.far.addEventListener('connectionstatechange', check)
      void Promise.all(this.watched.map(({ gathered }) => gathered)).then(() => {
        if (this.relayed().length > 0) return
        clearTimeout(timeout)
        fail()
      })
    })
  }

  /** @returns {Address[]} */
  relayed() {
    return this.watched
      .flatMap(({ candidates }) => candidates)
      .filter(({ type }) => type === 'relay')
      .map(({ address, port }) => ({ address: address ?? '', port: port ?? 0 }))
  }

  errors() {
    return this.watched[0].errors
  }

  close() {
    this.near.close()
    this.far.close()
  }
}
