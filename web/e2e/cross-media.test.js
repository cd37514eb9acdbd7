import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, waitForChat, waitForMore, waitForNotice, waitForOthers, waitForState } from './lib/call.js'
import { complaints, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

/** @typedef {import('puppeteer-core').Page} Page */

const skip = whySkip('chromium', 'firefox')

/** @type {import('./lib/server.js').Server} */
let server
/** @type {Record<import('./lib/browser.js').Kind, import('./lib/browser.js').Browser>} */
let browsers

before(async () => {
  if (skip) return
  server = await startServer()
  const [chromium, firefox] = await Promise.all([startBrowser(), startBrowser({ kind: 'firefox' })])
  browsers = { chromium, firefox }
})

after(async () => {
  await browsers?.chromium.stop()
  await browsers?.firefox.stop()
  await server?.stop()
})

/**
 * Waits for two seconds of sound, or of silence, in what the page takes in.
 *
 * @param {Page} page
 * @param {boolean} silent
 */
function waitForSound(page, silent) {
  return waitUntil(page, silent ? 'silence' : 'sound', async (wanted) => {
    const [before] = await kept.links()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const [now] = await kept.links()
    // The test tones have some 0.01 a second; packets come in silence too.
    return now.packets > before.packets && (now.energy - before.energy < 1e-6) === wanted
  }, silent)
}

/** Runs in the page: the camera is gone, and comes back with `plugged`. */
function unplugCamera() {
  const devices = navigator.mediaDevices
  const open = devices.getUserMedia.bind(devices)
  let gone = true
  devices.getUserMedia = async (wish) => {
    if (gone && wish?.video) throw new DOMException('no camera', 'NotFoundError')
    return open(wish)
  }
  Object.assign(globalThis, {
    plugIn: () => {
      gone = false
      devices.dispatchEvent(new Event('devicechange'))
    },
  })
  const track = kept.connections[0].getSenders().find(({ track }) => track?.kind === 'video')?.track
  // A track that we stop ends without an event.
  track?.dispatchEvent(new Event('ended'))
  track?.stop()
}

/** Runs in the page: a screen for a browser without one. */
function drawScreen() {
  navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = document.createElement('canvas')
    const context = canvas.getContext('2d')
    Object.assign(canvas, { width: 800, height: 200 })
    let step = 0
    setInterval(() => context?.fillRect(step++ % 800, 0, 4, 200), 100)
    return canvas.captureStream(10)
  }
}

/**
 * @param {Page} page
 * @param {boolean} screen
 */
function waitForPicture(page, screen) {
  return waitUntil(page, screen ? 'the screen' : 'the camera', (wanted) => {
    const video = document.querySelector('.tile:not(.own).pictured video[data-member]')
    return video instanceof HTMLVideoElement && video.videoWidth > 0 && video.closest('.tile')?.classList.contains('screen') === wanted
  }, screen)
}

test('what one browser does with its devices, the other sees and hears', { skip }, async (t) => {
  const common = { room: t.name, join: '1' }
  const chromium = await openCall(t, browsers.chromium, server.origin, { ...common, name: 'Chromium' })
  await waitForState(chromium, 'connected')
  const firefox = await openCall(t, browsers.firefox, server.origin, { ...common, name: 'Firefox' })
  for (const page of [chromium, firefox]) await waitForOthers(page)

  /** @type {[string, Page, Page][]} */
  const sides = [['Chromium', chromium, firefox], ['Firefox', firefox, chromium]]
  for (const [name, one, other] of sides) {
    await t.test(`${name} is muted: silence, and then sound again`, async () => {
      await waitForSound(other, false)
      await one.click('#microphone')
      await waitForSound(other, true)
      await one.click('#microphone')
      await waitForSound(other, false)
    })

    await t.test(`${name} shares a screen, and stops`, async () => {
      // Headless Firefox has no screen; that of Chromium is its own.
      if (name === 'Firefox') await one.evaluate(drawScreen)
      await waitForPicture(other, false)
      await one.click('#screen')
      await waitForPicture(other, true)
      await waitForMore(other)
      await one.click('#screen')
      await waitForPicture(other, false)
      await waitForMore(other)
    })

    // What says so to a page cannot be made up in Firefox: its tracks take no events but their own.
    if (name === 'Firefox') continue
    await t.test(`${name}'s camera is unplugged, and plugged in again`, async () => {
      await one.evaluate(unplugCamera)
      await waitUntil(other, 'no picture', () => document.querySelector('.tile:not(.own):not(.pictured) video[data-member]'))
      await one.evaluate('plugIn()')
      await waitForPicture(other, false)
      await waitForMore(other)
    })
  }
  for (const page of [chromium, firefox]) assert.deepEqual(complaints(page), [])
})

test('Firefox refuses the camera: the page says so, sees and chats', { skip }, async (t) => {
  const refusing = await startBrowser({ kind: 'firefox', camera: 'refused' })
  t.after(refusing.stop)
  const common = { room: t.name, join: '1', relay: '1' }
  const shy = await openCall(t, refusing, server.origin, { ...common, name: 'Shy' })
  await waitForState(shy, 'connected')
  await waitForNotice(shy, 'may not use your camera and microphone.*you can chat')
  const ann = await openCall(t, browsers.chromium, server.origin, { ...common, name: 'Ann' })
  for (const page of [shy, ann]) await waitForState(page, 'connected')
  await waitForOthers(shy)
  await say(shy, 'I see you')
  await waitForChat(ann, 'Shy', 'I see you')
})
