/**
 * What a test does with a call page, and what it reads from the browser's own statistics rather than from the page.
 *
 * @typedef {import('puppeteer-core').Page} Page
 */
import { openPage, waitUntil } from './page.js'

/**
 * @param {import('node:test').TestContext} t at whose end it is closed
 * @param {import('./browser.js').Browser} browser
 * @param {string} origin
 * @param {Record<string, string>} parameters of the page's address; the token's place is behind its `#`
 */
export function openCall(t, browser, origin, { token, ...parameters }) {
  return openPage(t, browser, `${origin}/?${new URLSearchParams(parameters)}${token ? `#${new URLSearchParams({ token })}` : ''}`)
}

/**
 * @param {Page} page
 * @param {string} state
 */
export function waitForState(page, state) {
  return waitUntil(page, `state ${state}`, (wanted) => document.body.dataset.state === wanted, state)
}

/**
 * Waits for pictures of another member, and for more of them: a first frame alone may be luck.
 *
 * @param {Page} page
 */
export async function waitForVideo(page) {
  await waitUntil(page, 'a picture of the other member', () => {
    const video = document.querySelector('video[data-member]')
    return video instanceof HTMLVideoElement && video.videoWidth > 0
  })
  const { framesDecoded, audioPackets } = await received(page)
  await waitUntil(
    page,
    'more pictures and more sound',
    async (frames, packets) => {
      const { inbound } = await kept.read()
      const video = inbound.find(({ kind }) => kind === 'video')
      const audio = inbound.find(({ kind }) => kind === 'audio')
      return video?.framesDecoded > frames + 5 && audio?.packetsReceived > packets
    },
    framesDecoded,
    audioPackets,
  )
}

/**
 * Waits until the page shows so many others, and the pictures and sounds of each keep coming.
 *
 * @param {Page} page
 * @param {number} [others]
 */
export async function waitForOthers(page, others = 1) {
  await waitUntil(page, `pictures of ${others} others`, async (count) => {
    const videos = [...document.querySelectorAll('video[data-member]')]
    return videos.length === count && (await kept.links()).length === count &&
      videos.every((video) => video instanceof HTMLVideoElement && video.videoWidth > 0)
  }, others)
  await waitForMore(page)
}

/**
 * Waits until the pictures and the sound of everybody keep coming: a first frame alone may be luck.
 *
 * @param {Page} page
 */
export async function waitForMore(page) {
  await waitUntil(page, 'more pictures and more sound of everybody', async () => {
    const before = await kept.links()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const now = await kept.links()
    return now.length > 0 && now.length === before.length &&
      now.every(({ frames, packets }, i) => frames > before[i].frames + 1 && packets > before[i].packets)
  })
}

/**
 * @param {Page} page
 * @returns {Promise<Link[]>}
 */
export function links(page) {
  return page.evaluate(() => kept.links())
}

/** @param {Page} page */
async function received(page) {
  const { inbound } = await page.evaluate(() => kept.read())
  return {
    framesDecoded: Number(inbound.find(({ kind }) => kind === 'video')?.framesDecoded ?? 0),
    audioPackets: Number(inbound.find(({ kind }) => kind === 'audio')?.packetsReceived ?? 0),
  }
}

/**
 * The selected candidate pair of the latest connection.
 *
 * @param {Page} page
 */
export async function selectedPair(page) {
  const { local, remote } = await page.evaluate(() => kept.read())
  return { local: local?.candidateType, remote: remote?.candidateType, relayProtocol: local?.relayProtocol }
}

/**
 * @param {Page} page
 * @param {string} text
 */
export async function say(page, text) {
  await page.waitForSelector('#chat-text:not(:disabled)')
  await page.type('#chat-text', text)
  await page.click('#chat-send')
}

/**
 * @param {Page} page
 * @param {string} author
 * @param {string} text
 */
export function waitForChat(page, author, text) {
  const matches = (/** @type {string} */ wantedAuthor, /** @type {string} */ wantedText) =>
    [...document.querySelectorAll('#chat-log li')].some((line) =>
      line.querySelector('.author')?.textContent === wantedAuthor && line.querySelector('.text')?.textContent === wantedText)
  return waitUntil(page, `“${text}” from ${author}`, matches, author, text)
}

/**
 * @param {Page} page
 * @param {string} pattern regular expression
 */
export function waitForNotice(page, pattern) {
  const matches = (/** @type {string} */ source) =>
    [...document.querySelectorAll('.notice p')].some(({ textContent }) => new RegExp(source).test(textContent ?? ''))
  return waitUntil(page, `a notice matching ${pattern}`, matches, pattern)
}
