import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, waitForChat, waitForState, waitForVideo } from './lib/call.js'
import { waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()
const SIZES = { phone: { width: 375, height: 740 }, desk: { width: 1200, height: 780 } }

/** Where to keep pictures of what was looked at; none are made without it. */
const FOLDER = process.env.HAIRPIN_SCREENSHOTS

/** @type {import('./lib/server.js').Server} */
let server
/** @type {import('./lib/browser.js').Browser} */
let browser

before(async () => {
  if (skip) return
  if (FOLDER) await mkdir(FOLDER, { recursive: true })
  server = await startServer()
  browser = await startBrowser()
})

after(async () => {
  await browser?.stop()
  await server?.stop()
})

/**
 * Nothing sticks out sideways, and everything that takes input has a name a screen reader can say.
 *
 * @param {import('puppeteer-core').Page} page
 * @param {string} view
 */
async function look(page, view) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewport(viewport)
    for (const theme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      const name = `${view}-${theme}-${size}`
      if (FOLDER) await page.screenshot({ path: `${FOLDER}/${name}.png` })
      const { overflow, nameless } = await page.evaluate(measure)
      assert.ok(overflow <= 0, `${name} sticks out by ${overflow} px`)
      assert.deepEqual(nameless, [], `${name} has controls without a name`)
    }
  }
}

/** Runs in the page. */
function measure() {
  const fields = [...document.querySelectorAll('input, select')]
  const buttons = [...document.querySelectorAll('button')]
  const nameless = [
    ...fields.filter((field) => /** @type {HTMLInputElement} */ (field).labels?.length === 0),
    ...buttons.filter((button) => !button.textContent?.trim()),
  ]
  return { overflow: document.documentElement.scrollWidth - innerWidth, nameless: nameless.map(({ outerHTML }) => outerHTML) }
}

test('every view, in light and dark, at the desk and on a phone', { skip }, async (t) => {
  const parameters = { room: 'blue room', name: 'Ann' }
  const ann = await openCall(t, browser, server.origin, parameters)
  await look(ann, 'lobby')

  await ann.click('#lobby [type="submit"]')
  await waitForState(ann, 'connected')
  await look(ann, 'alone')

  const bob = await openCall(t, browser, server.origin, { ...parameters, name: 'Bob', join: '1' })
  await waitForVideo(ann)
  await say(bob, 'Can you see me?')
  await waitForChat(ann, 'Bob', 'Can you see me?')
  await say(ann, 'Yes, and I hear you too: nothing is lost, and the round trip is short.')
  await waitUntil(ann, 'statistics', () => document.querySelector('.tile[data-verdict="good"]'))
  await look(ann, 'call')

  await openCall(t, browser, server.origin, { ...parameters, name: 'Cleo', join: '1' })
  await waitUntil(ann, 'two pictures', () => document.querySelectorAll('.tile.pictured:not(.own)').length === 2)
  await look(ann, 'three')
})

test('keyboard alone leads through the lobby into the call', { skip }, async (t) => {
  const page = await openCall(t, browser, server.origin, { room: t.name })
  await page.focus('#name')
  await page.keyboard.type('Ann')
  await page.keyboard.press('Enter')
  await waitForState(page, 'connected')
})
