import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { complaints, openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip('chromium', 'firefox')

/** Where to keep pictures of what was looked at; none are made without it. */
const FOLDER = process.env.HAIRPIN_SCREENSHOTS

/** @type {import('./lib/server.js').Server} */
let server
/** @type {Record<import('./lib/browser.js').Kind, import('./lib/browser.js').Browser>} */
let browsers

before(async () => {
  if (skip) return
  if (FOLDER) await mkdir(FOLDER, { recursive: true })
  server = await startServer()
  const [chromium, firefox] = await Promise.all([startBrowser(), startBrowser({ kind: 'firefox' })])
  browsers = { chromium, firefox }
})

after(async () => {
  await browsers?.chromium.stop()
  await browsers?.firefox.stop()
  await server?.stop()
})

/** @param {import('puppeteer-core').Page} page */
async function runTest(page) {
  await page.click('#run')
  await waitUntil(page, 'the end of the test', () => ['done', 'failed'].includes(document.body.dataset.state ?? ''))
}

/** @param {import('puppeteer-core').Page} page */
function rowsOf(page) {
  return page.evaluate(() => [...document.querySelectorAll('.row')].map((row) => ({
    ok: row instanceof HTMLElement && row.dataset.ok === 'true',
    transport: row instanceof HTMLElement ? row.dataset.transport : '',
    text: row.textContent ?? '',
  })))
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} name
 */
async function look(page, name) {
  for (const [size, viewport] of Object.entries({ phone: { width: 375, height: 740 }, desk: { width: 1100, height: 900 } })) {
    await page.setViewport(viewport)
    for (const theme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      if (FOLDER) await page.screenshot({ path: `${FOLDER}/${name}-${theme}-${size}.png`, fullPage: true })
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${theme} ${size} sticks out`)
    }
  }
}

for (const kind of /** @type {const} */ (['chromium', 'firefox'])) {
  test(`${kind}: every transport works, and the link shows the report to others`, { skip }, async (t) => {
    const page = await openPage(t, browsers[kind], `${server.origin}/test`)
    await runTest(page)
    const rows = await rowsOf(page)
    const relays = rows.filter(({ text }) => text.startsWith('Relay over'))
    assert.deepEqual(relays.map(({ transport, ok }) => ({ transport, ok })), [{ transport: 'udp', ok: true }, { transport: 'tcp', ok: true }], JSON.stringify(rows))
    for (const { text } of relays) assert.match(text, /Connected in\d+ msRound trip[\d.]+ msJitter[\d.]+ msLoss[\d.]+ %Throughput[\d.]+ Mbit/)
    assert.equal(await page.$eval('#verdict', ({ textContent }) => textContent), 'Everything works')
    assert.deepEqual(complaints(page), [])
    assert.match(page.url(), /\?id=\w+$/)

    const other = await openPage(t, browsers.chromium, page.url())
    await waitUntil(other, 'the kept report', () => document.body.dataset.state === 'done')
    assert.deepEqual(await rowsOf(other), rows)
    const kept = await other.evaluate(async () => (await fetch(`/v1/self-tests/${new URLSearchParams(location.search).get('id')}`)).json())
    assert.ok(!JSON.stringify(kept).includes('credential'), 'the report has no credential')
    const ends = kept.sightings.filter((/** @type {any} */ { what, packetsToPeer }) => what === 'ended' && packetsToPeer > 100)
    assert.ok(ends.length > 0, `the server saw packets relayed: ${JSON.stringify(kept.sightings)}`)
  })
}

test('what the server refused stands beside what the browser saw', { skip }, async (t) => {
  const tight = await startServer({ flags: ['--max-allocations-per-user', '1'] })
  t.after(tight.stop)
  const page = await openPage(t, browsers.chromium, `${tight.origin}/test`)
  await runTest(page)
  const [, udp] = await rowsOf(page)
  assert.equal(udp.ok, false)
  assert.match(udp.text, /The server: The server refused Allocate: .*quota-user/i)
  await look(page, 'test-failed')
})

test('servers of others are tested too, and one that is away is told apart', { skip }, async (t) => {
  const page = await openPage(t, browsers.chromium, `${server.origin}/test`)
  await page.click('#options summary')
  const iceServers = await page.evaluate(async () => (await (await fetch('/v1/ice-servers')).json()).iceServers)
  const [url] = iceServers[1].urls
  const away = { ...iceServers[1], urls: ['turn:127.0.0.1:9?transport=tcp'] }
  await page.type('#servers', JSON.stringify([{ ...iceServers[1], urls: url }, away]))
  await runTest(page)
  const rows = await rowsOf(page)
  assert.deepEqual(rows.map(({ ok }) => ok), [true, false])
  assert.match(rows[1].text, /This browser: The relay lent no address\./)
  assert.doesNotMatch(rows[1].text, /The server:/)
  assert.ok(!page.url().includes('?id='))
})

test('what cannot be tested is said in words', { skip }, async (t) => {
  const page = await openPage(t, browsers.chromium, `${server.origin}/test`)
  await page.click('#options summary')
  await page.type('#servers', '{"urls":')
  await runTest(page)
  assert.match(await page.$eval('#progress', ({ textContent }) => textContent ?? ''), /not JSON/)
  const gone = await openPage(t, browsers.chromium, `${server.origin}/test?id=NOBODY`)
  await waitUntil(gone, 'a word about it', () => /no such test/.test(document.querySelector('#progress')?.textContent ?? ''))
})

test('a server with keys asks for one', { skip }, async (t) => {
  const closed = await startServer({ flags: ['--demo=false'], env: { HAIRPIN_API_KEYS: 'desk:0123456789abcdef0123' } })
  t.after(closed.stop)
  const page = await openPage(t, browsers.chromium, `${closed.origin}/test`)
  await runTest(page)
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'key')
  await page.type('#key', '0123456789abcdef0123')
  await runTest(page)
  assert.ok((await rowsOf(page)).every(({ ok }) => ok))
})

test('the test in light and dark, at the desk and on a phone', { skip }, async (t) => {
  const page = await openPage(t, browsers.chromium, `${server.origin}/test`)
  await look(page, 'test-idle')
  await runTest(page)
  await look(page, 'test-done')
})
