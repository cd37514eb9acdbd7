/**
 * One tile for each person: picture, name, and how the connection does.
 *
 * @typedef {import('./hairpin.js').Member} Member
 * @typedef {import('./hairpin.js').Stats} Stats
 */
import { notify } from './notices.js'
import { create, element } from './page.js'
import { bitrateWords, numberWords, pairTitle, pairWords, VERDICT_WORDS } from './words.js'

const grid = element('tiles', HTMLDivElement)

/** What each line of the statistics is called, and its key in `data-stat`. */
const STATISTICS = /** @type {const} */ ([
  ['path', 'Path'],
  ['round-trip', 'Round trip'],
  ['loss', 'Loss'],
  ['bitrate', 'Bitrate'],
])

class Tile {
  root = create('figure', 'tile')
  video = create('video')
  #name = create('span', 'who')
  #initial = create('span', 'initial')

  constructor() {
    this.video.autoplay = true
    this.video.playsInline = true
    this.#initial.setAttribute('aria-hidden', 'true')
    this.caption = create('figcaption')
    this.caption.append(this.#name)
    const picture = create('div', 'picture')
    picture.append(this.#initial, this.video)
    this.root.append(picture, this.caption)
    grid.append(this.root)
  }

  /** @param {string} name */
  setName(name) {
    this.#name.textContent = name
    this.#initial.textContent = [...name][0]?.toUpperCase() ?? ''
    this.video.setAttribute('aria-label', `Video of ${name}`)
  }

  /**
   * @param {MediaStream | null} stream
   * @param {boolean} visible whether it has a picture to show
   */
  setStream(stream, visible) {
    if (this.video.srcObject !== stream) this.video.srcObject = stream
    this.root.classList.toggle('pictured', visible)
  }

  remove() {
    this.video.srcObject = null
    this.root.remove()
  }
}

/** Ourselves: muted and mirrored, with nothing to measure. */
export class OwnTile extends Tile {
  /** @param {string} name */
  constructor(name) {
    super()
    this.setName(name ? `${name} (you)` : 'You')
    this.root.classList.add('own')
    this.video.muted = true
  }

  /** @param {boolean} sharing a screen, which must not be mirrored */
  setSharing(sharing) {
    this.root.classList.toggle('screen', sharing)
  }
}

export class MemberTile extends Tile {
  /** @type {Map<string, HTMLElement>} */
  #values = new Map()
  #state = create('span', 'state')

  #badge = create('button', 'badge')
  #advice = create('p', 'advice')
  #silent = create('span', 'silent', 'muted')

  /**
   * @param {Member} member
   * @param {() => void} open shows the details of the connection
   */
  constructor(member, open) {
    super()
    this.member = member
    this.video.dataset.member = member.id
    this.video.addEventListener('loadedmetadata', () => playAloud(this.video))
    this.#badge.type = 'button'
    this.#badge.addEventListener('click', open)
    this.caption.append(this.#silent, this.#state, this.#badge)
    this.#advice.hidden = true
    this.root.append(this.#advice, this.#statistics())
    this.showMember()
    this.#showVerdict('unknown')
  }

  showMember() {
    const { name, state, stream, media } = this.member
    this.setName(name || 'Guest')
    this.root.dataset.memberState = state
    this.#state.textContent = state === 'connected' ? '' : state
    this.#silent.hidden = media.audio
    this.root.classList.toggle('screen', media.screen)
    this.setStream(stream, media.video && stream.getVideoTracks().some((track) => !track.muted))
  }

  /**
   * @param {Stats} stats
   * @param {string} advice empty where all is well
   */
  showStats(stats, advice) {
    this.#showVerdict(stats.verdict)
    this.#advice.textContent = advice
    this.#advice.hidden = advice === ''
    this.#show('path', pairWords(stats.pair), pairTitle(stats.pair))
    this.#show('round-trip', numberWords(stats.roundTripMs, 'ms'))
    this.#show('loss', numberWords(stats.lossPercent, '%', 1))
    this.#show('bitrate', bitrateWords(stats))
  }

  /** @param {Stats['verdict']} verdict */
  #showVerdict(verdict) {
    const words = VERDICT_WORDS[verdict]
    this.root.dataset.verdict = verdict
    this.#badge.textContent = words
    const quality = verdict === 'unknown' ? 'not measured yet' : words.toLowerCase()
    this.#badge.setAttribute('aria-label', `Connection to ${this.member.name || 'Guest'}: ${quality}. Show details`)
  }

  #statistics() {
    const list = create('dl', 'stats')
    for (const [key, label] of STATISTICS) {
      const value = create('dd', '', '–')
      value.dataset.stat = key
      this.#values.set(key, value)
      const entry = create('div')
      entry.append(create('dt', '', label), value)
      list.append(entry)
    }
    return list
  }

  /**
   * @param {string} key
   * @param {string} text
   * @param {string} [title]
   */
  #show(key, text, title = '') {
    const value = this.#values.get(key)
    if (!value) return
    value.textContent = text
    value.title = title
  }
}

/**
 * Browsers may keep a page silent until it is touched. The picture then goes on without sound, and the user is told.
 *
 * @param {HTMLVideoElement} video
 */
async function playAloud(video) {
  try {
    await video.play()
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return
    video.muted = true
    void video.play()
    notify('sound', 'info', 'The browser keeps the sound off until you ask for it.', { label: 'Turn on sound', run: unmuteAll })
  }
}

function unmuteAll() {
  for (const video of grid.querySelectorAll('video[data-member]')) {
    if (video instanceof HTMLVideoElement) video.muted = false
  }
}
