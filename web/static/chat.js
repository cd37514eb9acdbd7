/**
 * What members write to each other: JSON, one object a message.
 *
 * @typedef {{ type: 'message', text: string, timestamp: number }} ChatText
 */

/** Longest text in UTF-16 code units; the entry field has the same limit. */
export const MAX_TEXT_LENGTH = 4000
const MAX_MESSAGE_LENGTH = 32_768

/**
 * @param {string} text
 * @param {number} now milliseconds since 1970
 */
export function encodeText(text, now) {
  return JSON.stringify({ type: 'message', text: text.slice(0, MAX_TEXT_LENGTH), timestamp: now })
}

/**
 * Another member wrote these bytes: everything is checked and bounded.
 *
 * @param {unknown} data
 * @returns {ChatText | null} null when it is no message of this vocabulary
 */
export function parseChat(data) {
  if (typeof data !== 'string' || data.length > MAX_MESSAGE_LENGTH) return null
  const message = parseObject(data)
  if (message?.type !== 'message' || typeof message.text !== 'string') return null
  const timestamp = Number.isFinite(message.timestamp) ? Number(message.timestamp) : 0
  return { type: 'message', text: message.text.slice(0, MAX_TEXT_LENGTH), timestamp }
}

/**
 * @param {string} data
 * @returns {Record<string, unknown> | null}
 */
function parseObject(data) {
  try {
    const value = JSON.parse(data)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
