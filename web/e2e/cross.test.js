import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { links, openCall, say, waitForChat, waitForOthers, waitForState } from './lib/call.js'
import { complaints, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

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
 * The second one comes when the first is there, and so makes the offer.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('./lib/browser.js').Kind[]} kinds
 * @param {Record<string, string>} parameters
 */
async function openAll(t, kinds, parameters) {
  const pages = []
  for (const [i, kind] of kinds.entries()) {
    const name = `${kind} ${i}`
    const page = await openCall(t, browsers[kind], server.origin, { room: t.name, join: '1', name, ...parameters })
    await waitForState(page, 'connected')
    pages.push(page)
  }
  for (const page of pages) await waitForOthers(page, kinds.length - 1)
  return pages
}

/** @type {import('./lib/browser.js').Kind[][]} */
const PAIRS = [['firefox', 'firefox'], ['chromium', 'firefox'], ['firefox', 'chromium']]

for (const pair of PAIRS) {
  for (const transport of ['udp', 'tcp']) {
    test(`${pair.join(' and ')}, relay-only over ${transport}`, { skip }, async (t) => {
      const [first, second] = await openAll(t, pair, { relay: '1', transport })
      for (const page of [first, second]) {
        const [{ local, remote, relayProtocol }] = await links(page)
        assert.deepEqual({ local, remote, relayProtocol }, { local: 'relay', remote: 'relay', relayProtocol: transport })
      }
      await say(first, 'Hello <b>there</b>')
      await waitForChat(second, `${pair[0]} 0`, 'Hello <b>there</b>')
      await say(second, 'Grüße 👋')
      await waitForChat(first, `${pair[1]} 1`, 'Grüße 👋')
      await second.click('#leave')
      await waitUntil(first, 'the other to be gone', () => !document.querySelector('video[data-member]'))
      for (const page of [first, second]) assert.deepEqual(complaints(page), [])
    })
  }
}

test('Chromium and Firefox by any path', { skip }, async (t) => {
  const [chromium, firefox] = await openAll(t, ['chromium', 'firefox'], {})
  for (const page of [chromium, firefox]) {
    const [{ local, remote }] = await links(page)
    assert.ok(local && remote)
    assert.ok(![local, remote].includes('relay'), `${local} to ${remote}, though a direct path is there`)
  }
})

test('three members, of both browsers', { skip }, async (t) => {
  await openAll(t, ['chromium', 'firefox', 'chromium'], { relay: '1' })
})
