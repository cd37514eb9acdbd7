import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, say, waitForChat, waitForNotice, waitForState, waitForVideo } from './lib/call.js'
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
  await say(ann, 'Yes, and I hear you too. Here are the plans.')
  await offerFile(ann, 'plans.txt')
  await offerFile(bob, 'a file with quite a long name, as they often are.txt')
  await ann.waitForSelector('.file .accept')
  await bob.waitForSelector('.file .accept')
  await bob.click('.file .accept')
  await waitUntil(ann, 'the file at Bob’s', () => document.querySelector('.file[data-state="done"]'))
  await waitUntil(ann, 'statistics', () => /[1-9]/.test(document.querySelector('[data-stat="bitrate"]')?.textContent ?? ''))
  await look(ann, 'call')

  await ann.click('.badge')
  await waitUntil(ann, 'the path', () => document.querySelector('#path li'))
  await look(ann, 'details')
  await ann.keyboard.press('Escape')

  await ann.click('#settings-open')
  await look(ann, 'settings')
  await ann.keyboard.press('Escape')

  await openCall(t, browser, server.origin, { ...parameters, name: 'Cleo', join: '1' })
  await waitUntil(ann, 'two pictures', () => document.querySelectorAll('.tile.pictured:not(.own)').length === 2)
  await look(ann, 'three')

  await ann.click('#leave')
  await waitForState(ann, 'left')
  await look(ann, 'left')
})

test('six people, and a locked room', { skip }, async (t) => {
  const ann = await openCall(t, browser, server.origin, { room: t.name, name: 'Ann', join: '1' })
  await waitForState(ann, 'connected')
  await ann.evaluate((room) => {
    for (const name of ['Bob', 'Cleo', 'Dan', 'Eve', 'Fay with a name as long as names may be, for the sake of the layout']) {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/signal`)
      socket.onopen = () => socket.send(JSON.stringify({ type: 'join', roomId: room, name: name.slice(0, 64) }))
    }
  }, t.name)
  await waitUntil(ann, 'five others', () => document.querySelectorAll('video[data-member]').length === 5)
  await ann.click('#lock')
  await waitUntil(ann, 'the lock', () => document.body.classList.contains('locked'))
  await look(ann, 'six')

  const late = await openCall(t, browser, server.origin, { room: t.name, name: 'Gus', join: '1' })
  await waitForNotice(late, 'The room is locked')
  await look(late, 'locked')
})

test('a preview, a server that is lost in the call, and one that is not there', { skip }, async (t) => {
  const own = await startServer()
  t.after(own.stop)
  const ann = await openCall(t, browser, own.origin, { room: 'blue room', name: 'Ann' })
  await ann.$eval('#preview-open', (button) => /** @type {HTMLButtonElement} */ (button).click())
  await waitUntil(ann, 'a picture', () => document.querySelector('.preview.pictured'))
  await look(ann, 'preview')

  await ann.click('#lobby [type="submit"]')
  await waitForState(ann, 'connected')
  await openCall(t, browser, own.origin, { room: 'blue room', name: 'Bob', join: '1' })
  await waitForVideo(ann)
  await own.stop()
  await waitForState(ann, 'reconnecting')
  await waitForNotice(ann, 'out of reach')
  await look(ann, 'reconnecting')

  await ann.click('#leave')
  await waitForState(ann, 'left')
  await ann.click('#lobby [type="submit"]')
  await waitForState(ann, 'failed')
  await look(ann, 'failed')
})

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} name
 */
async function offerFile(page, name) {
  await page.waitForSelector('#chat-attach:not(:disabled)')
  await page.$eval('#chat-files', (input, name) => {
    const files = new DataTransfer()
    files.items.add(new File(['x'.repeat(48_000)], name))
    if (!(input instanceof HTMLInputElement)) return
    input.files = files.files
    input.dispatchEvent(new Event('change'))
  }, name)
}

test('keyboard alone leads through the lobby into the call', { skip }, async (t) => {
  const page = await openCall(t, browser, server.origin, { room: t.name })
  await page.focus('#name')
  await page.keyboard.type('Ann')
  await page.keyboard.press('Enter')
  await waitForState(page, 'connected')
})
