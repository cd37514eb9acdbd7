/**
 * How good a connected pair of connections is: round trip, loss and jitter of small packets as speech has them, and how much
 * goes through.
 *
 * @typedef {object} Measured
 * @property {number} roundTripMs median
 * @property {number} jitterMs mean difference between round trips that follow each other
 * @property {number} lossPercent of packets that were not sent again
 * @property {number} throughputKbps
 */

const PINGS = 100
const PING_EVERY_MS = 20
const PING_BYTES = 160

/** How long the last pings may take to come back. */
const STRAGGLERS_MS = 1000

/** Throughput: for how long, in pieces of which size, with how much waiting to be sent. */
const BULK_MS = 2000
const PIECE_BYTES = 1150
const MAX_WAITING = 256 << 10

/** How long a channel may take to open over a path that is there. */
const OPEN_MS = 5000

/**
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @returns {Promise<Measured>}
 */
export async function measure(near, far) {
  const pings = await channels(near, far, 1)
  const times = await ping(pings)
  const bulk = await channels(near, far, 2)
  const throughputKbps = await flood(bulk)
  const answered = times.filter((time) => time !== null)
  if (answered.length === 0) throw new Error('nothing came back')
  return {
    roundTripMs: median(answered),
    jitterMs: jitter(answered),
    lossPercent: (100 * (times.length - answered.length)) / times.length,
    throughputKbps,
  }
}

/**
 * Two ends of a channel that loses what the path loses.
 *
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @param {number} id
 */
async function channels(near, far, id) {
  const options = { negotiated: true, id, ordered: false, maxRetransmits: 0 }
  const ends = [near, far].map((connection) => connection.createDataChannel(`measure ${id}`, options))
  await Promise.all(ends.map(opened))
  for (const end of ends) end.binaryType = 'arraybuffer'
  return ends
}

/** @param {RTCDataChannel} channel */
function opened(channel) {
  if (channel.readyState === 'open') return Promise.resolve()
  return new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error('no data channel opened')), OPEN_MS)
    channel.addEventListener('open', () => {
      clearTimeout(timeout)
      resolve(undefined)
    }, { once: true })
  })
}

/**
 * @param {RTCDataChannel[]} ends
 * @returns {Promise<(number | null)[]>} the round trip of each packet, null of those that did not come back
 */
async function ping([near, far]) {
  far.addEventListener('message', ({ data }) => far.send(data))
  /** @type {(number | null)[]} */
  const times = new Array(PINGS).fill(null)
  /** @type {number[]} */
  const sent = []
  let back = 0
  const all = new Promise((resolve) => {
    near.addEventListener('message', ({ data }) => {
      const number = new DataView(data).getUint32(0)
      if (times[number] !== null) return
      times[number] = performance.now() - sent[number]
      if (++back === PINGS) resolve(undefined)
    })
  })
  for (let number = 0; number < PINGS; number++) {
    const packet = new DataView(new ArrayBuffer(PING_BYTES))
    packet.setUint32(0, number)
    sent.push(performance.now())
    near.send(packet)
    await pause(PING_EVERY_MS)
  }
  await Promise.race([all, pause(STRAGGLERS_MS)])
  return times
}

/**
 * @param {RTCDataChannel[]} ends
 * @returns {Promise<number>} kbit/s that arrived
 */
async function flood([near, far]) {
  let bytes = 0
  far.addEventListener('message', ({ data }) => {
    bytes += data.byteLength
  })
  const piece = new Uint8Array(PIECE_BYTES)
  const began = performance.now()
  while (performance.now() - began < BULK_MS) {
    while (near.bufferedAmount < MAX_WAITING) near.send(piece)
    await pause(10)
  }
  return (8 * bytes) / (performance.now() - began)
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

/** @param {number[]} times */
export function jitter(times) {
  if (times.length < 2) return 0
  const steps = times.slice(1).map((time, i) => Math.abs(time - times[i]))
  return steps.reduce((total, step) => total + step, 0) / steps.length
}
