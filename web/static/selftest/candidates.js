/**
 * Candidates and complaints of a connection, as they come.
 *
 * @typedef {object} Address
 * @property {string} address
 * @property {number} port
 *
 * @typedef {object} BrowserError what the browser says of a server, of which it says little on purpose
 * @property {string} url
 * @property {number} code of STUN, or 701: no answer
 * @property {string} text
 *
 * @typedef {object} Watched
 * @property {RTCIceCandidate[]} candidates
 * @property {BrowserError[]} errors
 * @property {Promise<void>} gathered settles when there are no more
 */

/** One URL may fail over each network interface; a few tell the story. */
const MAX_ERRORS = 8

/**
 * @param {RTCPeerConnection} connection
 * @param {(candidate: RTCIceCandidate) => void} [onCandidate]
 * @returns {Watched}
 */
export function watchCandidates(connection, onCandidate = () => {}) {
  /** @type {RTCIceCandidate[]} */
  const candidates = []
  /** @type {BrowserError[]} */
  const errors = []
  /** @type {Promise<void>} */
  const gathered = new Promise((resolve) => {
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (!candidate) return resolve()
      if (!candidate.candidate) return
      candidates.push(candidate)
      onCandidate(candidate)
    })
  })
  connection.addEventListener('icecandidateerror', ({ url, errorCode, errorText }) => {
    const known = errors.some((error) => error.url === url && error.code === errorCode)
    if (!known && errors.length < MAX_ERRORS) errors.push({ url, code: errorCode, text: errorText })
  })
  return { candidates, errors, gathered }
}
