import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, waitForChat, waitForNotice, waitForState, waitForVideo } from './lib/call.js'
import { openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()

/** @type {import('./lib/browser.js').Browser} */
let chromium

before(async () => {
  if (!skip) chromium = await startBrowser()
})

after(() => chromium?.stop())

/**
 * @param {import('node:test').TestContext} t
 * @param {Parameters<typeof startServer>[0]} [options]
 */
async function server(t, options) {
  const started = await startServer(options)
  t.after(started.stop)
  return started
}

test('camera refused: the page says so, sees and chats', { skip }, async (t) => {
  const { origin } = await server(t)
  const parameters = { room: t.name, join: '1', relay: '1' }
  const refusing = await startBrowser({ camera: 'refused' })
  t.after(refusing.stop)
  const shy = await openCall(t, refusing, origin, { ...parameters, name: 'Shy' })
  await waitForState(shy, 'connected')
  await waitForNotice(shy, 'may not use your camera and microphone.*you can chat')

  const ann = await openCall(t, chromium, origin, { ...parameters, name: 'Ann' })
  for (const page of [shy, ann]) await waitForState(page, 'connected')
  await waitForVideo(shy)
  await say(shy, 'I see you')
  await waitForChat(ann, 'Shy', 'I see you')
})

test('the camera is allowed later: the others see it then', { skip }, async (t) => {
  const { origin } = await server(t)
  const parameters = { room: t.name, join: '1', relay: '1' }
  const ann = await openCall(t, chromium, origin, { ...parameters, name: 'Ann' })
  await waitForState(ann, 'connected')
  const shy = await openCall(t, chromium, `${origin}/favicon.svg`, {})
  await shy.evaluateOnNewDocument(() => {
    const devices = navigator.mediaDevices
    const lend = devices.getUserMedia.bind(devices)
    devices.getUserMedia = async (wish) => {
      if (!document.body.dataset.allowed) throw new DOMException('refused', 'NotAllowedError')
      return lend(wish)
    }
  })
  await shy.goto(`${origin}/?${new URLSearchParams({ ...parameters, name: 'Shy' })}`)
  await waitForVideo(shy)

  await shy.evaluate(() => {
    document.body.dataset.allowed = 'yes'
  })
  await shy.click('#camera')
  await waitForVideo(ann)
})

test('a server that asks for a key: the page asks for it too', { skip }, async (t) => {
  const key = 'correct-horse-battery-staple'
  const { origin } = await server(t, { flags: ['--demo=false'], env: { HAIRPIN_API_KEYS: `page:${key}` } })
  const page = await openCall(t, chromium, origin, { room: t.name, join: '1' })
  await waitForState(page, 'failed')
  await waitForNotice(page, 'needs a valid access key')
  await waitUntil(page, 'the field for the key', () => document.activeElement?.id === 'token')

  await page.keyboard.type(key)
  await page.keyboard.press('Enter')
  await waitForState(page, 'connected')
  assert.ok(!page.url().includes('horse'), 'what was typed does not get into the address')

  const other = await openPage(t, chromium, `${origin}/?room=other&join=1#${new URLSearchParams({ token: key })}`)
  await waitForState(other, 'connected')
})

test('no relay to be reached: failed, with words', { skip }, async (t) => {
  const { origin } = await server(t, { flags: ['--public-host', 'relay.invalid'] })
  const parameters = { room: t.name, join: '1', relay: '1' }
  const pages = [
    await openCall(t, chromium, origin, { ...parameters, name: 'Ann' }),
    await openCall(t, chromium, origin, { ...parameters, name: 'Bob' }),
  ]
  for (const page of pages) {
    await waitForState(page, 'failed')
    await waitForNotice(page, 'No relay could be used.*relay\\.invalid.*did not answer')
  }
})

test('no server: failed, with words, and the lobby to try again', { skip }, async (t) => {
  const { origin, stop } = await startServer()
  t.after(stop)
  const page = await openCall(t, chromium, origin, { room: t.name, name: 'Ann' })
  await stop()
  await page.click('#lobby [type="submit"]')
  await waitForState(page, 'failed')
  await waitForNotice(page, 'server did not answer')
  assert.equal(await page.$eval('#room', (field) => /** @type {HTMLInputElement} */ (field).value), t.name)
})

test('the server is restarted: the call comes back by itself', { skip }, async (t) => {
  const first = await startServer()
  t.after(first.stop)
  const parameters = { room: t.name, join: '1', relay: '1' }
  const ann = await openCall(t, chromium, first.origin, { ...parameters, name: 'Ann' })
  await waitForState(ann, 'connected')
  const bob = await openCall(t, chromium, first.origin, { ...parameters, name: 'Bob' })
  for (const page of [ann, bob]) await waitForVideo(page)

  await first.stop()
  for (const page of [ann, bob]) {
    await waitForState(page, 'reconnecting')
    await waitForNotice(page, 'server is out of reach')
  }
  await server(t, { http: new URL(first.origin).host, listen: first.udp })
  for (const page of [ann, bob]) {
    await waitForState(page, 'connected')
    await waitForVideo(page)
    await waitUntil(page, 'the notice to go', () => !document.querySelector('.notice'))
  }
})
