import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, selectedPair, waitForChat, waitForState, waitForVideo } from './lib/call.js'
import { complaints, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()

/** @type {import('./lib/server.js').Server} */
let server
/** @type {import('./lib/browser.js').Browser} */
let browser

before(async () => {
  if (skip) return
  server = await startServer()
  browser = await startBrowser()
})

after(async () => {
  await browser?.stop()
  await server?.stop()
})

/**
 * Ann is there first, then Bob comes; both are closed at the end of the test.
 *
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} parameters
 */
async function annAndBob(t, parameters) {
  const common = { room: t.name, join: '1', ...parameters }
  const ann = await openCall(t, browser, server.origin, { ...common, name: 'Ann' })
  await waitForState(ann, 'connected')
  const bob = await openCall(t, browser, server.origin, { ...common, name: 'Bob' })
  for (const page of [ann, bob]) {
    await waitForState(page, 'connected')
    await waitForVideo(page)
  }
  return { ann, bob }
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} path
 */
async function checkStatistics(page, path) {
  await waitUntil(page, `statistics of a path ${path}`, (wanted) => {
    const shown = (/** @type {string} */ key) => document.querySelector(`[data-stat="${key}"]`)?.textContent ?? ''
    return shown('path') === wanted &&
      /^\d+ ms$/.test(shown('round-trip')) &&
      /^\d+\.\d %$/.test(shown('loss')) &&
      /^↓ [1-9]\d* ↑ [1-9]\d* kbit\/s$/.test(shown('bitrate'))
  }, path)
}

for (const transport of ['udp', 'tcp']) {
  test(`relay-only call over ${transport}`, { skip }, async (t) => {
    const { ann, bob } = await annAndBob(t, { relay: '1', transport })

    for (const page of [ann, bob]) {
      assert.deepEqual(await selectedPair(page), { local: 'relay', remote: 'relay', relayProtocol: transport })
      await checkStatistics(page, `relay ⇄ relay · ${transport.toUpperCase()}`)
    }

    await say(ann, 'Hello <b>Bob</b>')
    await waitForChat(bob, 'Ann', 'Hello <b>Bob</b>')
    await say(bob, 'Grüße, Ann 👋')
    await waitForChat(ann, 'Bob', 'Grüße, Ann 👋')

    await bob.click('#leave')
    await waitForState(bob, 'left')
    await waitUntil(ann, 'Bob to be gone', () => !document.querySelector('video[data-member]'))
    await waitForState(ann, 'connected')
    for (const page of [ann, bob]) assert.deepEqual(complaints(page), [])
  })
}

test('call on any path', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t, {})
  assert.ok((await selectedPair(ann)).local)

  await ann.click('#camera')
  assert.equal(await ann.$eval('#camera', (button) => button.textContent), 'Start camera')
  await bob.close()
  await waitUntil(ann, 'Bob to be gone', () => !document.querySelector('video[data-member]'))
})

test('three members see each other', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t, { relay: '1' })
  const cleo = await openCall(t, browser, server.origin, { room: t.name, join: '1', relay: '1', name: 'Cleo' })
  for (const page of [ann, bob, cleo]) {
    await waitUntil(page, 'pictures of two others', () => {
      const videos = [...document.querySelectorAll('video[data-member]')]
      return videos.length === 2 && videos.every((video) => video instanceof HTMLVideoElement && video.videoWidth > 0)
    })
  }
  await say(cleo, 'Hello both')
  for (const page of [ann, bob]) await waitForChat(page, 'Cleo', 'Hello both')
})

test('lobby: what the address says is filled in, and joining keeps it', { skip }, async (t) => {
  const page = await openCall(t, browser, server.origin, { room: 'blue room', name: 'Ann', relay: '1', transport: 'tcp' })
  await waitForState(page, 'lobby')
  const filled = await page.$eval('#lobby', (form) => Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (form))))
  assert.deepEqual(filled, { name: 'Ann', room: 'blue room', relay: 'on', transport: 'tcp', token: '' })

  await page.click('#lobby [type="submit"]')
  await waitForState(page, 'connected')
  assert.equal(new URL(page.url()).search, '?room=blue+room&name=Ann&relay=1&transport=tcp')
})

test('a lost socket is opened again and the call comes back', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t, { relay: '1' })
  const before = await ann.$eval('video[data-member]', (video) => video.getAttribute('data-member'))

  await bob.evaluate(() => globalThis.kept.sockets.at(-1)?.close())
  await waitUntil(ann, 'Bob under a new id', (id) => {
    const video = document.querySelector('video[data-member]')
    return video instanceof HTMLVideoElement && video.dataset.member !== id && video.videoWidth > 0
  }, before)
  for (const page of [ann, bob]) await waitForState(page, 'connected')
})
