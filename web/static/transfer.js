/**
 * Files from member to member, over whatever carries strings and buffers between them.
 *
 * A file is offered by an id that nobody can guess. Whoever accepts it asks for it from an offset; it then comes in pieces,
 * each in chunks that say where they belong, followed by the digest of all pieces so far. What was verified is never asked for
 * again: after a lost connection the receiver asks whoever comes for the rest, and only the sender knows the id.
 *
 * Messages: `file` offers, `file-want` asks, `file-piece` ends a piece, `file-got` says that it is all there, `file-cancel`
 * ends it from either side. Chunks are binary: 16 bytes of id, 8 of offset (little endian), then data.
 *
 * @typedef {import('./hairpin.js').Room['send']} Send
 *
 * @typedef {object} Transfer what the page shows of one file and one member
 * @property {string} id
 * @property {string} name
 * @property {number} size in bytes
 * @property {boolean} incoming
 * @property {string} member whose it is, or who gets it
 * @property {'offered' | 'running' | 'paused' | 'done' | 'cancelled' | 'failed'} state
 * @property {number} done bytes
 * @property {Blob | null} blob what was received, once it is done
 */

/** Digests are made for so much at once; it is also what is sent twice at most when a connection is lost. */
export const PIECE_BYTES = 1 << 20

/** Below what every browser takes as one message. */
export const CHUNK_BYTES = 60 << 10

/** What a page can hold in memory with some certainty. */
export const MAX_FILE_BYTES = 2 * 1024 ** 3

const ID_BYTES = 16
const HEADER_BYTES = ID_BYTES + 8
const MAX_NAME_LENGTH = 200

/** Offers of one member that wait for us: more is a flood. */
const MAX_OFFERS = 20

/** A piece that comes broken so often will not come whole. */
const MAX_BROKEN = 3

/**
 * The digest of all pieces up to this one: SHA-256 over the digest before it and the piece. Empty where the browser has no
 * cryptography to offer, outside HTTPS; offsets alone then say that nothing is missing.
 *
 * @param {string} before
 * @param {BufferSource} piece
 * @param {SubtleCrypto | undefined} [subtle]
 */
export async function chainDigest(before, piece, subtle = globalThis.crypto?.subtle) {
  if (!subtle) return ''
  const data = new Blob([before, piece])
  return toHex(new Uint8Array(await subtle.digest('SHA-256', await data.arrayBuffer())))
}

/** @param {Uint8Array} bytes */
function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** @param {string} hex */
function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/**
 * @param {string} id
 * @param {number} offset
 * @param {Uint8Array} data
 */
export function encodeChunk(id, offset, data) {
  const chunk = new Uint8Array(HEADER_BYTES + data.length)
  chunk.set(fromHex(id))
  new DataView(chunk.buffer).setBigUint64(ID_BYTES, BigInt(offset), true)
  chunk.set(data, HEADER_BYTES)
  return chunk.buffer
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {{ id: string, offset: number, data: Uint8Array<ArrayBuffer> } | null} null when it is no chunk
 */
export function parseChunk(buffer) {
  if (buffer.byteLength <= HEADER_BYTES || buffer.byteLength > HEADER_BYTES + CHUNK_BYTES) return null
  const offset = new DataView(buffer).getBigUint64(ID_BYTES, true)
  if (offset > BigInt(MAX_FILE_BYTES)) return null
  return { id: toHex(new Uint8Array(buffer, 0, ID_BYTES)), offset: Number(offset), data: new Uint8Array(buffer, HEADER_BYTES) }
}

/**
 * Another member wrote this: everything is checked and bounded.
 *
 * @param {unknown} data
 * @returns {Record<string, any> | null} a message of this vocabulary, or null
 */
export function parseFileMessage(data) {
  if (typeof data !== 'string' || data.length > 2048 || !data.startsWith('{"type":"file')) return null
  /** @type {Record<string, any>} */
  let message
  try {
    message = JSON.parse(data)
  } catch {
    return null
  }
  const { type, id, name, size, offset, digest } = message
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) return null
  const whole = (/** @type {unknown} */ value) => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= MAX_FILE_BYTES
  switch (type) {
    case 'file':
      return typeof name === 'string' && whole(size) ? { type, id, name: plainName(name), size } : null
    case 'file-want':
      return whole(offset) ? { type, id, offset } : null
    case 'file-piece':
      return whole(offset) && typeof digest === 'string' ? { type, id, offset, digest } : null
    case 'file-got':
    case 'file-cancel':
      return { type, id }
  }
  return null
}

/**
 * A name to show and to save under: no folders, and nothing that turns the direction of writing around.
 *
 * @param {string} name
 */
export function plainName(name) {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  return last.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, MAX_NAME_LENGTH) || 'file'
}

/** One file that we offer: read piece by piece, each recipient at a pace of its own. */
class Offer {
  /** @type {Map<string, Transfer>} by member */
  transfers = new Map()
  /** @type {Map<string, object>} what runs for each member; another run takes the place of the one before */
  runs = new Map()
  /** @type {string[]} the digest up to each piece */
  digests = []

  /**
   * @param {string} id
   * @param {File} file
   */
  constructor(id, file) {
    this.id = id
    this.file = file
  }

  /**
   * @param {number} index
   * @returns {Promise<{ data: Uint8Array, digest: string }>}
   */
  async piece(index) {
    const start = index * PIECE_BYTES
    const data = new Uint8Array(await this.file.slice(start, start + PIECE_BYTES).arrayBuffer())
    this.digests[index] ??= await chainDigest(this.digests[index - 1] ?? '', data)
    return { data, digest: this.digests[index] }
  }
}

/** One file on its way to us. Its size is what the offer said; nothing beyond it is kept. */
class Arrival {
  /** @type {Blob[]} verified pieces */
  #pieces = []
  /** @type {Uint8Array<ArrayBuffer> | null} */
  #piece = null
  #filled = 0
  #digest = ''
  #broken = 0
  /** @type {Promise<unknown>} settles when all pieces so far have been verified */
  queue = Promise.resolve()

  /** @param {Transfer} transfer */
  constructor(transfer) {
    this.transfer = transfer
  }

  /**
   * @param {number} offset
   * @param {Uint8Array} data
   */
  add(offset, data) {
    const { done, size } = this.transfer
    const wanted = Math.min(PIECE_BYTES, size - done)
    // What a lost connection had on its way may still come; it is asked for again.
    if (offset !== done + this.#filled || this.#filled + data.length > wanted) return
    this.#piece ??= new Uint8Array(wanted)
    this.#piece.set(data, this.#filled)
    this.#filled += data.length
  }

  /**
   * @param {number} offset of the end of the piece
   * @param {string} digest
   * @returns {Promise<boolean>} false when the piece was not whole
   */
  async verify(offset, digest) {
    const { transfer } = this
    const piece = this.#piece
    if (!piece || this.#filled !== piece.length || offset !== transfer.done + piece.length) return false
    const own = await chainDigest(this.#digest, piece)
    this.reset()
    if (own && digest && own !== digest) {
      if (++this.#broken >= MAX_BROKEN) transfer.state = 'failed'
      return false
    }
    this.#digest = own
    this.#pieces.push(new Blob([piece]))
    transfer.done += piece.length
    return true
  }

  /** Forgets the piece that is not whole. */
  reset() {
    this.#piece = null
    this.#filled = 0
  }

  finish() {
    this.transfer.blob = new Blob(this.#pieces)
    this.transfer.state = 'done'
    this.#pieces = []
  }
}

/**
 * All files of one call. Events: `transfer` (detail: Transfer, new or changed).
 */
export class Transfers extends EventTarget {
  #send
  /** @type {Map<string, Offer>} */
  #offers = new Map()
  /** @type {Map<string, Arrival>} */
  #arrivals = new Map()

  /** @param {Send} send */
  constructor(send) {
    super()
    this.#send = send
  }

  /**
   * @param {File} file at most MAX_FILE_BYTES
   * @param {Iterable<string>} members who may have it
   */
  offer(file, members) {
    const id = toHex(crypto.getRandomValues(new Uint8Array(ID_BYTES)))
    const offer = new Offer(id, file)
    this.#offers.set(id, offer)
    for (const member of members) {
      offer.transfers.set(member, outgoing(offer, member))
      void this.#tell(member, { type: 'file', id, name: file.name, size: file.size })
      this.#changed(offer.transfers.get(member))
    }
  }

  /** @param {string} id of an offer to us */
  accept(id) {
    const arrival = this.#arrivals.get(id)
    if (arrival?.transfer.state === 'offered') this.#want(arrival, arrival.transfer.member)
  }

  /** @param {Transfer} transfer of either direction */
  cancel({ id, member, incoming }) {
    void this.#tell(member, { type: 'file-cancel', id })
    if (incoming) this.#cancelArrival(id, member)
    else this.#cancelOffer(id, member)
  }

  /**
   * @param {string} member who sent it
   * @param {unknown} data
   * @returns {boolean} whether it was about a file
   */
  receive(member, data) {
    if (data instanceof ArrayBuffer) {
      const chunk = parseChunk(data)
      const arrival = chunk && this.#arrivalOf(chunk.id, member)
      if (arrival) void this.#inTurn(arrival, () => arrival.add(chunk.offset, chunk.data))
      return true
    }
    const message = parseFileMessage(data)
    if (message) this.#onMessage(member, message)
    return message !== null
  }

  /**
   * Data can be sent to this member, perhaps again, perhaps under another id: what was broken off is asked for.
   *
   * @param {string} member
   */
  memberReady(member) {
    for (const arrival of this.#arrivals.values()) if (arrival.transfer.state === 'paused') this.#ask(arrival, member)
  }

  /** @param {string} member to whom nothing can be sent for now */
  memberGone(member) {
    for (const arrival of this.#arrivals.values()) {
      const { transfer } = arrival
      if (transfer.member !== member) continue
      if (transfer.state === 'running') this.#setState(transfer, 'paused')
      else if (transfer.state === 'offered') this.#setState(transfer, 'cancelled')
    }
    for (const offer of this.#offers.values()) {
      const transfer = offer.transfers.get(member)
      offer.runs.delete(member)
      if (transfer?.state === 'running') this.#setState(transfer, 'paused')
    }
  }

  /**
   * @param {string} member
   * @param {Record<string, any>} message
   */
  #onMessage(member, message) {
    const { id } = message
    switch (message.type) {
      case 'file':
        return this.#onOffer(member, message)
      case 'file-want':
        return void this.#onWant(member, message)
      case 'file-piece':
        return void this.#onPiece(member, message)
      case 'file-got':
        return this.#onGot(member, id)
      case 'file-cancel':
        this.#cancelArrival(id, member)
        this.#cancelOffer(id, member)
    }
  }

  /**
   * @param {string} member
   * @param {Record<string, any>} message
   */
  #onOffer(member, { id, name, size }) {
    const waiting = [...this.#arrivals.values()].filter(({ transfer }) => transfer.member === member && transfer.state === 'offered')
    if (this.#arrivals.has(id) || waiting.length >= MAX_OFFERS) return
    /** @type {Transfer} */
    const transfer = { id, name, size, member, incoming: true, state: 'offered', done: 0, blob: null }
    this.#arrivals.set(id, new Arrival(transfer))
    this.#changed(transfer)
  }

  /**
   * Sends the file from there on. Whoever knows the id was offered it, be it under another id of its own.
   *
   * @param {string} member
   * @param {Record<string, any>} message
   */
  async #onWant(member, { id, offset }) {
    const offer = this.#offers.get(id)
    if (!offer) return void this.#tell(member, { type: 'file-cancel', id })
    const transfer = this.#transferTo(offer, member)
    if (transfer.state === 'cancelled') return
    const run = {}
    offer.runs.set(member, run)
    this.#setState(transfer, 'running')
    // Pieces whose digests are not known yet cannot have been received.
    let index = Math.min(Math.floor(offset / PIECE_BYTES), offer.digests.length)
    try {
      for (; index * PIECE_BYTES < offer.file.size; index++) {
        if (!(await this.#sendPiece(offer, transfer, index, run))) break
      }
    } catch {
      // The file was changed or taken away under the page.
      this.#setState(transfer, 'failed')
      void this.#tell(transfer.member, { type: 'file-cancel', id })
    }
  }

  /**
   * @param {Offer} offer
   * @param {Transfer} transfer
   * @param {number} index
   * @param {object} run
   * @returns {Promise<boolean>} false when it was broken off
   */
  async #sendPiece(offer, transfer, index, run) {
    const { id, member } = transfer
    const { data, digest } = await offer.piece(index)
    const start = index * PIECE_BYTES
    for (let at = 0; at < data.length; at += CHUNK_BYTES) {
      if (offer.runs.get(member) !== run) return false
      const chunk = encodeChunk(id, start + at, data.subarray(at, at + CHUNK_BYTES))
      if ((await this.#send(chunk, { to: member, bulk: true })).length > 0) return this.#pause(offer, transfer, run)
    }
    const end = start + data.length
    const piece = JSON.stringify({ type: 'file-piece', id, offset: end, digest })
    if ((await this.#send(piece, { to: member, bulk: true })).length > 0) return this.#pause(offer, transfer, run)
    transfer.done = end
    this.#changed(transfer)
    return offer.runs.get(member) === run
  }

  /**
   * @param {Offer} offer
   * @param {Transfer} transfer
   * @param {object} run
   */
  #pause(offer, transfer, run) {
    if (offer.runs.get(transfer.member) === run && transfer.state === 'running') this.#setState(transfer, 'paused')
    return false
  }

  /**
   * A recipient that came back under another id goes on with the transfer it had.
   *
   * @param {Offer} offer
   * @param {string} member
   */
  #transferTo(offer, member) {
    const known = offer.transfers.get(member)
    if (known) return known
    const paused = [...offer.transfers.values()].find(({ state }) => state === 'paused')
    const transfer = paused ?? outgoing(offer, member)
    offer.transfers.delete(transfer.member)
    transfer.member = member
    offer.transfers.set(member, transfer)
    return transfer
  }

  /**
   * @param {string} member
   * @param {Record<string, any>} message
   */
  async #onPiece(member, { id, offset, digest }) {
    const arrival = this.#arrivalOf(id, member)
    if (!arrival) return
    await this.#inTurn(arrival, async () => {
      const { transfer } = arrival
      const whole = await arrival.verify(offset, digest)
      if (transfer.state === 'failed') void this.#tell(member, { type: 'file-cancel', id })
      else if (!whole && offset > transfer.done) this.#ask(arrival, member)
      else if (transfer.done === transfer.size) this.#finish(arrival)
      this.#changed(transfer)
    })
  }

  /**
   * @param {string} member
   * @param {string} id
   */
  #onGot(member, id) {
    const transfer = this.#offers.get(id)?.transfers.get(member)
    if (transfer) this.#setState(transfer, 'done')
  }

  /**
   * @param {Arrival} arrival
   * @param {string} member
   */
  #want(arrival, member) {
    if (arrival.transfer.size === 0) return this.#finish(arrival)
    this.#setState(arrival.transfer, 'running')
    this.#ask(arrival, member)
  }

  /**
   * @param {Arrival} arrival
   * @param {string} member
   */
  #ask(arrival, member) {
    const { transfer } = arrival
    void this.#inTurn(arrival, () => {
      arrival.reset()
      void this.#tell(member, { type: 'file-want', id: transfer.id, offset: transfer.done })
    })
  }

  /** @param {Arrival} arrival */
  #finish(arrival) {
    arrival.finish()
    void this.#tell(arrival.transfer.member, { type: 'file-got', id: arrival.transfer.id })
    this.#changed(arrival.transfer)
  }

  /**
   * The arrival of that id, if this member may add to it: it is whose it was, or, after it was broken off, who answers.
   *
   * @param {string} id
   * @param {string} member
   */
  #arrivalOf(id, member) {
    const arrival = this.#arrivals.get(id)
    if (arrival?.transfer.state === 'paused') {
      arrival.transfer.member = member
      this.#setState(arrival.transfer, 'running')
    }
    return arrival?.transfer.state === 'running' && arrival.transfer.member === member ? arrival : undefined
  }

  /**
   * @param {string} id
   * @param {string} member
   */
  #cancelArrival(id, member) {
    const transfer = this.#arrivals.get(id)?.transfer
    if (transfer?.member === member && transfer.state !== 'done') this.#setState(transfer, 'cancelled')
  }

  /**
   * @param {string} id
   * @param {string} member
   */
  #cancelOffer(id, member) {
    const offer = this.#offers.get(id)
    const transfer = offer?.transfers.get(member)
    if (!offer || !transfer || transfer.state === 'done') return
    offer.runs.delete(member)
    this.#setState(transfer, 'cancelled')
  }

  /**
   * @param {Arrival} arrival
   * @param {() => void | Promise<void>} work
   */
  #inTurn(arrival, work) {
    arrival.queue = arrival.queue.then(work)
    return arrival.queue
  }

  /**
   * @param {string} member
   * @param {Record<string, unknown>} message
   */
  #tell(member, message) {
    return this.#send(JSON.stringify(message), { to: member })
  }

  /**
   * @param {Transfer} transfer
   * @param {Transfer['state']} state
   */
  #setState(transfer, state) {
    transfer.state = state
    this.#changed(transfer)
  }

  /** @param {Transfer | undefined} transfer */
  #changed(transfer) {
    this.dispatchEvent(new CustomEvent('transfer', { detail: transfer }))
  }
}

/**
 * @param {Offer} offer
 * @param {string} member
 * @returns {Transfer}
 */
function outgoing({ id, file }, member) {
  return { id, name: plainName(file.name), size: file.size, member, incoming: false, state: 'offered', done: 0, blob: null }
}
