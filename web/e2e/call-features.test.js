import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, selectedPair, waitForChat, waitForNotice, waitForOthers, waitForState } from './lib/call.js'
import { complaints, openPage, waitUntil } from './lib/page.js'
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
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} [parameters]
 */
async function annAndBob(t, parameters = {}) {
  const common = { room: t.name, join: '1', ...parameters }
  const ann = await openCall(t, browser, server.origin, { ...common, name: 'Ann' })
  await waitForState(ann, 'connected')
  const bob = await openCall(t, browser, server.origin, { ...common, name: 'Bob' })
  for (const page of [ann, bob]) await waitForOthers(page)
  return { ann, bob }
}

test('the lobby shows us, hears us, and lets us choose', { skip }, async (t) => {
  const page = await openCall(t, browser, server.origin, { room: t.name, name: 'Ann' })
  const covered = await page.$eval('#preview-off', (off) => {
    const { x, y, width, height } = off.getBoundingClientRect()
    return width > 0 && !off.contains(document.elementFromPoint(x + width / 2, y + height / 2))
  })
  assert.ok(!covered, 'the button can be clicked')
  // Where the camera is allowed already, the preview opens by itself.
  if (await page.$eval('#preview-open', (button) => button.checkVisibility())) await page.click('#preview-open')
  await waitUntil(page, 'a picture and a level', () => {
    const video = document.querySelector('#preview-video')
    const level = document.querySelector('#level')
    return video instanceof HTMLVideoElement && video.videoWidth > 0 && level instanceof HTMLMeterElement && level.value > 0.1
  })
  const choices = await page.$$eval('#lobby-video option, #lobby-audio option', (options) => options.map(({ textContent }) => textContent))
  assert.ok(choices.length >= 2 && choices.every((choice) => choice), choices.join())

  await page.select('#lobby-audio', await page.$eval('#lobby-audio option:last-child', (option) => /** @type {HTMLOptionElement} */ (option).value))
  await waitUntil(page, 'the other microphone', () => {
    const video = document.querySelector('#preview-video')
    const chosen = document.querySelector('#lobby-audio')
    if (!(video instanceof HTMLVideoElement && chosen instanceof HTMLSelectElement && video.srcObject instanceof MediaStream)) return false
    return video.srcObject.getAudioTracks()[0]?.getSettings().deviceId === chosen.value
  })
  await page.evaluate(() => {
    Object.assign(globalThis, { asked: false })
    navigator.mediaDevices.getUserMedia = async () => {
      Object.assign(globalThis, { asked: true })
      return new MediaStream()
    }
  })
  await page.click('#lobby [type="submit"]')
  await waitForState(page, 'connected')
  assert.equal(await page.evaluate('asked'), false, 'the call takes over what the lobby opened')
  await waitUntil(page, 'our picture in the call', () => document.querySelector('.own.pictured'))
  assert.deepEqual(complaints(page), [])
})

test('silence is shown to the others, and so is a camera that is off', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t)
  await ann.click('#microphone')
  await waitUntil(bob, 'Ann to be muted', () => {
    const silent = document.querySelector('.silent')
    return silent instanceof HTMLElement && !silent.hidden
  })
  await ann.click('#camera')
  await waitUntil(bob, 'no picture of Ann', () => document.querySelector('.tile:not(.own):not(.pictured)'))
  await ann.click('#microphone')
  await ann.click('#camera')
  await waitUntil(bob, 'Ann as before', () => {
    const silent = document.querySelector('.silent')
    return silent instanceof HTMLElement && silent.hidden && document.querySelector('.tile.pictured:not(.own)')
  })
})

test('a screen in place of the camera, and back', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t)
  await ann.evaluate(drawScreen)
  await ann.click('#screen')
  await waitUntil(bob, 'the screen', () => {
    const video = document.querySelector('.tile.screen video[data-member]')
    return video instanceof HTMLVideoElement && video.videoWidth * 2 === video.videoHeight * 4 && video.videoWidth > 0
  })
  assert.equal(await ann.$eval('#screen', ({ textContent }) => textContent), 'Stop sharing')

  await ann.click('#screen')
  await waitUntil(bob, 'the camera', () => {
    const video = document.querySelector('.tile:not(.screen) video[data-member]')
    return video instanceof HTMLVideoElement && video.videoWidth > 0 && video.videoWidth * 2 !== video.videoHeight * 4
  })
  await waitForOthers(bob)

  await ann.click('#screen')
  await waitUntil(bob, 'the screen again', () => document.querySelector('.tile.screen'))
  await ann.evaluate(() => globalThis.drawn.getVideoTracks()[0].dispatchEvent(new Event('ended')))
  await waitUntil(bob, 'the camera, after the browser ended the sharing', () => document.querySelector('.tile.pictured:not(.own):not(.screen)'))
  assert.deepEqual(complaints(ann), [])
})

/** Runs in the page: a screen of unmistakable shape, since a headless browser has none to share. */
function drawScreen() {
  navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = document.createElement('canvas')
    canvas.width = 640
    canvas.height = 320
    const context = canvas.getContext('2d')
    let step = 0
    const timer = setInterval(() => context?.fillRect(step++ % 640, 0, 4, 320), 100)
    const drawn = canvas.captureStream(10)
    Object.assign(globalThis, { drawn })
    drawn.getVideoTracks()[0].addEventListener('ended', () => clearInterval(timer))
    return drawn
  }
}

test('a lost socket is resumed: the same member, and not even the picture stops', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t)
  await ann.evaluate(() => document.querySelector('video[data-member]')?.setAttribute('data-kept', 'yes'))
  const sockets = await bob.evaluate(() => globalThis.kept.sockets.length)
  await bob.evaluate(() => globalThis.kept.sockets.at(-1)?.close(4001))
  await waitForState(bob, 'reconnecting')
  await waitUntil(bob, 'another socket', (count) => globalThis.kept.sockets.length > count, sockets)
  await waitForState(bob, 'connected')
  for (const page of [ann, bob]) await waitForOthers(page)
  assert.equal(await ann.$$eval('video[data-kept]', ({ length }) => length), 1)
  assert.equal(await bob.evaluate(() => globalThis.kept.connections.length), 1)
  assert.equal(await ann.$$eval('#chat-log .note', ({ length }) => length), 0)

  // What is signaled after it arrives too: a renegotiation in each direction.
  for (const page of [ann, bob]) {
    await page.evaluate(() => globalThis.kept.connections[0].restartIce())
    await waitUntil(page, 'the restart', () => globalThis.kept.connections[0].signalingState === 'stable')
    await waitForOthers(page)
  }
})

test('relay only can be switched on and off in the call', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t)
  assert.equal((await selectedPair(ann)).local, 'host')
  await ann.click('#settings-open')
  await ann.click('#call-relay')
  await waitUntil(ann, 'a relayed path', async () => (await globalThis.kept.read()).local?.candidateType === 'relay')
  for (const page of [ann, bob]) await waitForOthers(page)
  assert.equal(await ann.$$eval('#chat-log .note', ({ length }) => length), 0, 'for us, nobody has left')
  await ann.click('#call-relay')
  await waitUntil(ann, 'a direct path', async () => (await globalThis.kept.read()).local?.candidateType === 'host')
  for (const page of [ann, bob]) await waitForOthers(page)
})

test('bitrate and resolution are bounded as chosen', { skip }, async (t) => {
  const { ann } = await annAndBob(t)
  await ann.click('#settings-open')
  await ann.select('#bitrate', '250')
  await ann.select('#height', '240')
  await waitUntil(ann, 'the limits', () => {
    const sender = globalThis.kept.connections[0].getSenders().find(({ track }) => track?.kind === 'video')
    const encoding = sender?.getParameters().encodings[0]
    const height = sender?.track?.getSettings().height ?? 0
    return encoding?.maxBitrate === 250_000 && height / (encoding.scaleResolutionDownBy ?? 1) === 240
  })
  await ann.select('#bitrate', '0')
  await waitUntil(ann, 'no limit', () => {
    const sender = globalThis.kept.connections[0].getSenders().find(({ track }) => track?.kind === 'video')
    return sender?.getParameters().encodings[0].maxBitrate === undefined
  })
})

test('details: the path drawn, and numbers over time; the keyboard leads there and back', { skip }, async (t) => {
  const { ann } = await annAndBob(t, { relay: '1' })
  await waitUntil(ann, 'a verdict', () => document.querySelector('.tile[data-verdict]:not([data-verdict="unknown"]) .badge'))
  await ann.focus('.badge')
  await ann.keyboard.press('Enter')
  await waitUntil(ann, 'plots with lines', () =>
    [...document.querySelectorAll('#plots .plot')].filter((plot) => plot.querySelector('polyline')).length === 4)
  const hops = await ann.$$eval('#path .hop', (all) => all.map(({ textContent }) => textContent))
  assert.deepEqual(hops, ['You', 'Your relay', 'Their relay', 'Bob'])
  assert.match(await ann.$eval('#plots svg', (plot) => plot.getAttribute('aria-label') ?? ''), /Round trip over the last two minutes, now \d+ ms/)
  await ann.keyboard.press('Escape')
  await waitUntil(ann, 'the focus back on the badge', () => document.activeElement?.className === 'badge')
})

test('a moderator locks the room and removes a member, and both are told in words', { skip }, async (t) => {
  const { ann, bob } = await annAndBob(t)
  await ann.click('#lock')
  await waitUntil(bob, 'the lock', () => document.body.classList.contains('locked'))
  const cleo = await openCall(t, browser, server.origin, { room: t.name, join: '1', name: 'Cleo' })
  await waitForState(cleo, 'failed')
  await waitForNotice(cleo, 'The room is locked')
  await ann.click('#lock')
  await waitUntil(bob, 'no lock', () => !document.body.classList.contains('locked'))

  await ann.click('.badge')
  await ann.click('#remove')
  await waitForState(bob, 'failed')
  await waitForNotice(bob, 'A moderator removed you')
  await waitUntil(ann, 'Bob to be gone', () => document.querySelector('#chat-log .note')?.textContent === 'Bob was removed.')
  await waitForState(ann, 'connected')
})

test('a crowd is told that a media server would serve it better', { skip }, async (t) => {
  const page = await openCall(t, browser, server.origin, { room: t.name, join: '1' })
  await waitForState(page, 'connected')
  await page.evaluate((room) => {
    const address = location.origin.replace('http', 'ws')
    for (let i = 0; i < 4; i++) {
      const socket = new WebSocket(`${address}/v1/signal`)
      socket.onopen = () => socket.send(JSON.stringify({ type: 'join', roomId: room, name: `Extra ${i}` }))
    }
  }, t.name)
  await waitForNotice(page, 'media server')
})

test('a microphone that is unplugged is told of, and the next one is used', { skip }, async (t) => {
  const page = await openPage(t, browser, 'about:blank')
  await page.evaluateOnNewDocument(keepOpened)
  await page.goto(`${server.origin}/?${new URLSearchParams({ room: t.name, join: '1', name: 'Ann' })}`)
  await waitForState(page, 'connected')
  await page.evaluate(() => globalThis.opened[0].getAudioTracks()[0].dispatchEvent(new Event('ended')))
  await waitForNotice(page, 'The microphone “.+” is gone\\. Your microphone is “.+” now\\.')
  const bob = await openCall(t, browser, server.origin, { room: t.name, join: '1', name: 'Bob' })
  await waitForOthers(bob)
  await say(bob, 'I hear you')
  await waitForChat(page, 'Bob', 'I hear you')
})

/** Runs in the page, before anything of it does. */
function keepOpened() {
  const devices = navigator.mediaDevices
  const open = devices.getUserMedia.bind(devices)
  Object.assign(globalThis, { opened: [] })
  devices.getUserMedia = async (wish) => {
    const stream = await open(wish)
    globalThis.opened.push(stream)
    return stream
  }
}
