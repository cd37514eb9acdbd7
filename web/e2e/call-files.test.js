import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openCall, waitForOthers, waitForState } from './lib/call.js'
import { complaints, openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()
const MEGABYTES = 50

/** @type {import('./lib/server.js').Server} */
let server
/** @type {import('./lib/browser.js').Browser} */
let browser
/** @type {string} */
let folder

before(async () => {
  if (skip) return
  folder = await mkdtemp(path.join(tmpdir(), 'hairpin-files-'))
  server = await startServer()
  browser = await startBrowser()
})

after(async () => {
  await browser?.stop()
  await server?.stop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

/** Runs in the page, before anything of it does: the page may not fetch what it saves. */
function keepBlobs() {
  const make = URL.createObjectURL.bind(URL)
  Object.assign(globalThis, { blobs: [] })
  URL.createObjectURL = (blob) => {
    globalThis.blobs.push(/** @type {Blob} */ (blob))
    return make(blob)
  }
}

/**
 * Ann offers Bob a file of random bytes, and Bob accepts it.
 *
 * @param {import('node:test').TestContext} t
 * @param {number} size in bytes
 */
async function sendFile(t, size) {
  const content = randomBytes(size)
  const file = path.join(folder, `${size} bytes.bin`)
  await writeFile(file, content)
  const ann = await openCall(t, browser, server.origin, { room: t.name, join: '1', name: 'Ann' })
  await waitForState(ann, 'connected')
  const bob = await openPage(t, browser, 'about:blank')
  await bob.evaluateOnNewDocument(keepBlobs)
  await bob.goto(`${server.origin}/?${new URLSearchParams({ room: t.name, join: '1', name: 'Bob' })}`)
  for (const page of [ann, bob]) await waitForOthers(page)

  await ann.waitForSelector('#chat-attach:not(:disabled)')
  const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await ann.$('#chat-files'))
  await input.uploadFile(file)
  await bob.waitForSelector('.file .accept')
  await bob.click('.file .accept')
  return { ann, bob, digest: createHash('sha256').update(content).digest('hex') }
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {number} share of the file, from 0 to 1
 */
function waitForShare(page, share) {
  return waitUntil(page, `${100 * share} % of the file`, (wanted) => {
    const progress = document.querySelector('.file progress')
    return progress instanceof HTMLProgressElement && progress.position >= wanted
  }, share)
}

/** @param {import('puppeteer-core').Page} page */
async function digestOf(page) {
  await waitUntil(page, 'the whole file', () => document.querySelector('.file[data-state="done"] .save'))
  return page.evaluate(async () => {
    const digest = await crypto.subtle.digest('SHA-256', await globalThis.blobs[0].arrayBuffer())
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
  })
}

test(`a file of ${MEGABYTES} MB arrives intact while video runs`, { skip }, async (t) => {
  const { ann, bob, digest } = await sendFile(t, MEGABYTES * 1_000_000)
  await waitForShare(bob, 0.05)
  for (const page of [ann, bob]) await waitForOthers(page)
  assert.equal(await digestOf(bob), digest)
  await waitUntil(ann, 'the word that Bob has it', () => document.querySelector('.file[data-state="done"]'))
  for (const page of [ann, bob]) {
    await waitForOthers(page)
    assert.deepEqual(complaints(page), [])
  }
})

test('a file survives an ICE restart, and a sender who comes back as somebody new', { skip }, async (t) => {
  const { ann, bob, digest } = await sendFile(t, 30_000_000)
  await waitForShare(bob, 0.1)
  await bob.evaluate(() => globalThis.kept.connections[0].restartIce())
  await waitForShare(bob, 0.2)
  // The end of a membership, not only of a socket: the others see Ann leave, and then a new Ann.
  await ann.evaluate(() => globalThis.kept.sockets.at(-1)?.close(1000))
  assert.equal(await digestOf(bob), digest)
})
