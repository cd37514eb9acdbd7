import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { links, openCall, waitForOthers, waitForState } from './lib/call.js'
import { waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip('chromium', 'firefox')

/** @type {Record<import('./lib/browser.js').Kind, import('./lib/browser.js').Browser>} */
let browsers

before(async () => {
  if (skip) return
  const [chromium, firefox] = await Promise.all([startBrowser(), startBrowser({ kind: 'firefox' })])
  browsers = { chromium, firefox }
})

after(async () => {
  await browsers?.chromium.stop()
  await browsers?.firefox.stop()
})

/**
 * A call of both browsers, in a room and through a server of its own.
 *
 * @param {import('node:test').TestContext} t
 * @param {{ parameters?: Record<string, string>, flags?: string[] }} [options]
 */
async function openBoth(t, { parameters = {}, flags } = {}) {
  const server = await startServer({ flags })
  t.after(server.stop)
  const common = { room: t.name, join: '1', ...parameters }
  const chromium = await openCall(t, browsers.chromium, server.origin, { ...common, name: 'Chromium' })
  await waitForState(chromium, 'connected')
  const firefox = await openCall(t, browsers.firefox, server.origin, { ...common, name: 'Firefox' })
  const pages = [chromium, firefox]
  for (const page of pages) await waitForOthers(page)
  return { server, pages }
}

/**
 * @param {import('node:test').TestContext} t
 * @param {import('./lib/server.js').Server} server that has stopped
 */
async function startAgain(t, server) {
  const again = await startServer({ http: new URL(server.origin).host, listen: server.udp })
  t.after(again.stop)
}

test('the server is restarted under a direct call: media goes on', { skip }, async (t) => {
  const { server, pages } = await openBoth(t)
  await server.stop()
  for (const page of pages) await waitForState(page, 'reconnecting')
  for (const page of pages) await waitForOthers(page)
  await startAgain(t, server)
  for (const page of pages) {
    await waitForState(page, 'connected')
    await waitForOthers(page)
  }
})

test('the server is restarted under a relayed call: the call recovers', { skip }, async (t) => {
  const { server, pages } = await openBoth(t, { parameters: { relay: '1' } })
  await server.stop()
  for (const page of pages) await waitForState(page, 'reconnecting')
  await startAgain(t, server)
  for (const page of pages) {
    await waitForState(page, 'connected')
    await waitForOthers(page)
    const [{ local, remote }] = await links(page)
    assert.deepEqual([local, remote], ['relay', 'relay'])
  }
})

/** Of the call with short-lived credentials, in seconds. */
const LONG = Number(process.env.HAIRPIN_LONG_CALL ?? 45)

describe('with credentials of 30 seconds', { skip }, () => {
  test(`they are renewed through a relayed call of ${LONG} seconds`, async (t) => {
    const { pages } = await openBoth(t, { parameters: { relay: '1' }, flags: ['--credential-ttl', '30s'] })
    await Promise.all(pages.map((page) => page.evaluate(() => {
      Object.assign(globalThis, { gap: kept.watchGap() })
    })))
    const ports = await Promise.all(pages.map(async (page) => (await links(page))[0].port))
    const end = Date.now() + LONG * 1000
    for (const [i, page] of pages.entries()) {
      page.setDefaultTimeout((LONG + 30) * 1000)
      await waitUntil(page, 'another relayed transport address', async (old) => (await kept.links())[0].port !== old, ports[i])
      await waitUntil(page, 'the end of the call', (time) => Date.now() > time, end)
    }
    for (const page of pages) {
      await waitForOthers(page)
      const longest = await page.evaluate(() => {
        const { gap } = /** @type {any} */ (globalThis)
        gap.stop()
        return gap.longest
      })
      t.diagnostic(`longest time without a picture: ${Math.round(longest)} ms`)
      assert.ok(longest < 2000, `no picture for ${longest} ms`)
      assert.equal((await page.evaluate(() => kept.connections.length)), 1, 'another connection was made')
    }
  })

  test('the server ends the relays of a page that was not renewed in time, and the call recovers when it is', async (t) => {
    const { pages } = await openBoth(t, { parameters: { relay: '1' }, flags: ['--credential-ttl', '30s'] })
    const [late] = pages
    await late.evaluate(() => {
      kept.withheld = []
    })
    for (const page of pages) page.setDefaultTimeout(90_000)
    await waitUntil(late, 'renewed credentials', () => kept.withheld?.length)
    await waitForState(late, 'reconnecting')
    await waitUntil(late, 'no path', async () => (await kept.links()).length === 0)
    await late.evaluate(() => kept.deliver())
    for (const page of pages) {
      await waitForOthers(page)
      await waitForState(page, 'connected')
    }
  })
})
