import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, waitForOthers, waitForState } from './lib/call.js'
import { complaints, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip('chromium', 'firefox')

/** @type {import('./lib/server.js').Server} */
let server
/** @type {Record<import('./lib/browser.js').Kind, import('./lib/browser.js').Browser>} */
let browsers

before(async () => {
  if (skip) return
  // They negotiate more in a second than people do.
  server = await startServer({ flags: ['--signal-messages-per-second', '1000'] })
  const [chromium, firefox] = await Promise.all([startBrowser(), startBrowser({ kind: 'firefox' })])
  browsers = { chromium, firefox }
})

after(async () => {
  await browsers?.chromium.stop()
  await browsers?.firefox.stop()
  await server?.stop()
})

/** Runs in the page: offers anew, and keeps the offer back. Returns the ICE credentials that it replaces. */
async function makeOffer() {
  const connection = kept.connections[0]
  const ufrag = /a=ice-ufrag:\S+/.exec(connection.currentLocalDescription?.sdp ?? '')?.[0] ?? ''
  kept.held = []
  connection.restartIce()
  return ufrag
}

/** Runs in the page. */
function hasOffer() {
  return kept.held?.some(({ data }) => JSON.parse(data).type === 'offer')
}

/**
 * Runs in the page.
 *
 * @param {string} before
 */
function isSettled(before) {
  const { signalingState, currentLocalDescription, connectionState } = kept.connections[0]
  return signalingState === 'stable' && connectionState === 'connected' && !currentLocalDescription?.sdp.includes(before)
}

/** @type {[number, import('./lib/browser.js').Kind[]][]} */
const CALLS = [[10, ['chromium', 'chromium']], [50, ['chromium', 'firefox']], [10, ['firefox', 'firefox']]]

for (const [rounds, kinds] of CALLS) {
  test(`${kinds.join(' and ')}: offers that cross, ${rounds} times`, { skip }, async (t) => {
    const pages = []
    for (const [i, kind] of kinds.entries()) {
      const page = await openCall(t, browsers[kind], server.origin, { room: t.name, join: '1', name: `${kind} ${i}` })
      await waitForState(page, 'connected')
      pages.push(page)
    }
    for (const page of pages) await waitForOthers(page)

    for (let round = 1; round <= rounds; round++) {
      const before = await Promise.all(pages.map((page) => page.evaluate(makeOffer)))
      await Promise.all(pages.map((page) => waitUntil(page, `offer ${round}`, hasOffer)))
      await Promise.all(pages.map((page) => page.evaluate(() => kept.release())))
      await Promise.all(pages.map((page, i) => waitUntil(page, `the end of round ${round}`, isSettled, before[i])))
    }

    for (const page of pages) {
      await waitForOthers(page)
      await waitForState(page, 'connected')
      assert.equal(await page.evaluate(() => kept.connections.length), 1, 'another connection was made')
      assert.deepEqual(complaints(page), [])
    }
  })
}
