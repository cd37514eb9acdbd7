/**
 * A token bucket, so that a burst of ICE candidates to a full room stays under the server's limit of messages a second.
 */
export class Pace {
  #perSecond
  #burst
  #tokens
  #last = 0

  /**
   * @param {number} perSecond messages a second in the long run
   * @param {number} burst messages at once
   */
  constructor(perSecond, burst) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /**
   * @param {number} now milliseconds of a clock that never goes back
   * @returns {number} 0 when a message may go now, else the milliseconds to wait before asking again
   */
  take(now) {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#last) * this.#perSecond) / 1000)
    this.#last = now
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000)
    this.#tokens -= 1
    return 0
  }
}
