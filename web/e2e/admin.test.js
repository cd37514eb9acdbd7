import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()
const FOLDER = process.env.HAIRPIN_SCREENSHOTS
const KEY = 'app-key-0123456789abcdef'

/** @type {import('./lib/server.js').Server} */
let server
/** @type {import('./lib/browser.js').Browser} */
let browser

before(async () => {
  if (skip) return
  if (FOLDER) await mkdir(FOLDER, { recursive: true })
  server = await startServer({ env: { HAIRPIN_API_KEYS: `app:${KEY}` } })
  browser = await startBrowser()
})

after(async () => {
  await browser?.stop()
  await server?.stop()
})

/**
 * Runs in the page: two members of a room, without a call, who report how they are connected.
 *
 * @param {string} token
 * @param {string} roomId
 */
async function twoMembers(token, roomId) {
  /** @param {string} name @returns {Promise<{ id: string, socket: WebSocket }>} */
  const enter = (name) => new Promise((resolve, reject) => {
    const socket = new WebSocket('/v1/signal')
    socket.onopen = () => socket.send(JSON.stringify({ type: 'join', roomId, name, token }))
    socket.onerror = () => reject(new Error('no socket'))
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      if (message.type === 'room-users') resolve({ id: message.clientId, socket })
    }
  })
  const ann = await enter('Ann <img src=x>')
  const bob = await enter('')
  const good = { roundTripMs: 42, lossPercent: 0.2, jitterMs: 4, bitrateKbps: 1800, pairType: 'direct', transport: 'udp', timeToConnectMs: 310 }
  const bad = { roundTripMs: 420, lossPercent: 7, jitterMs: 60, bitrateKbps: 300, pairType: 'relay', transport: 'tls', restarts: 2 }
  ann.socket.send(JSON.stringify({ type: 'quality', targetClientId: bob.id, ...good }))
  bob.socket.send(JSON.stringify({ type: 'quality', targetClientId: ann.id, ...bad }))
  Object.assign(globalThis, { sockets: [ann.socket, bob.socket] })
}

/** Runs in the page. */
function oneLeaves() {
  /** @type {any} */ (globalThis).sockets.pop().close(1000)
}

test('the dashboard asks for a key, and then shows rooms and how their members fare', { skip }, async (t) => {
  const page = await openPage(t, browser, `${server.origin}/admin`)
  await waitUntil(page, 'the question for a key', () => document.body.dataset.state === 'locked')
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'key')
  await page.type('#key', 'wrong-wrong-wrong-wrong')
  await page.keyboard.press('Enter')
  await waitUntil(page, 'the refusal', () => /No API key/.test(document.getElementById('refusal')?.textContent ?? ''))
  await look(page, 'admin-login')

  await page.evaluate(twoMembers, KEY, '</script><b>room')
  await page.$eval('#key', (input) => { /** @type {HTMLInputElement} */ (input).value = '' })
  await page.type('#key', KEY)
  await page.keyboard.press('Enter')
  await waitUntil(page, 'both members and verdicts', () =>
    document.querySelector('[data-verdict="good"]') && document.querySelector('[data-verdict="critical"]'))
  const text = await page.$eval('#rooms', (rooms) => rooms.textContent ?? '')
  assert.ok(text.includes('Ann <img src=x>') && text.includes('</script><b>room'), text)
  assert.equal(await page.$$eval('#rooms img, #rooms b', (found) => found.length), 0)
  await look(page, 'admin')

  await page.evaluate(oneLeaves)
  await waitUntil(page, 'that one has left', () => document.querySelectorAll('[data-member]').length === 1)
  await page.evaluate(oneLeaves)
  await waitUntil(page, 'an empty server', () => document.getElementById('empty')?.hidden === false)
})

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} view
 */
async function look(page, view) {
  for (const [size, width] of Object.entries({ phone: 375, desk: 1200 })) {
    await page.setViewport({ width, height: 740 })
    for (const theme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      if (FOLDER) await page.screenshot({ path: `${FOLDER}/${view}-${theme}-${size}.png` })
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(overflow <= 0, `${view}, ${theme}, ${size} sticks out by ${overflow} px`)
    }
  }
}
