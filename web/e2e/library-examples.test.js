import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { complaints, openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()
const KEY = 'correct-horse-battery-staple'

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
 * Two pages of one example.
 *
 * @param {import('node:test').TestContext} t
 * @param {string} example
 */
async function openTwo(t, example) {
  const open = (/** @type {string} */ name) =>
    openPage(t, browser, `${server.origin}/examples/${example}?${new URLSearchParams({ room: t.name, name })}`)
  const ann = await open('Ann')
  await waitUntil(ann, 'Ann to be in the room', () => !/Joining/.test(document.getElementById('state')?.textContent ?? 'Joining'))
  return { ann, bob: await open('Bob') }
}

test('every example is listed, and run here', { skip }, async (t) => {
  const page = await openPage(t, browser, `${server.origin}/examples/`)
  const listed = await page.$$eval('main li a:first-child', (links) => links.map((link) => link.getAttribute('href')))
  const files = await readdir(new URL('../static/examples', import.meta.url))
  const there = files.filter((name) => name.endsWith('.html') && name !== 'index.html').map((name) => `/examples/${name.slice(0, -5)}`)
  assert.deepEqual([...listed].sort(), there.sort())
  assert.deepEqual(there, ['chat', 'minimal', 'screen', 'token'].map((name) => `/examples/${name}`), 'an example without a test')
})

test('the minimal call', { skip }, async (t) => {
  const { ann, bob } = await openTwo(t, 'minimal')
  for (const page of [ann, bob]) {
    await waitUntil(page, 'a picture', () => {
      const video = document.querySelector('video[data-member]')
      return video instanceof HTMLVideoElement && video.videoWidth > 0
    })
    assert.deepEqual(complaints(page), [])
  }
  await bob.close()
  await waitUntil(ann, 'Bob to be gone', () => !document.querySelector('video[data-member]'))
})

test('chat over data channels', { skip }, async (t) => {
  const { ann, bob } = await openTwo(t, 'chat')
  await waitUntil(ann, 'Bob', () => document.getElementById('state')?.textContent === 'With Bob')
  await waitUntil(bob, 'Ann', () => document.getElementById('state')?.textContent === 'With Ann')
  await ann.type('#text', 'Hello <b>Bob</b>')
  await ann.keyboard.press('Enter')
  await waitUntil(bob, 'the message', () => document.querySelector('#log li')?.textContent === 'Ann: Hello <b>Bob</b>')
  for (const page of [ann, bob]) assert.deepEqual(complaints(page), [])
})

test('a shared screen', { skip }, async (t) => {
  const { ann, bob } = await openTwo(t, 'screen')
  await ann.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = () => navigator.mediaDevices.getUserMedia({ video: true })
  })
  await ann.click('#share')
  await waitUntil(bob, 'the screen', () => {
    const video = document.querySelector('video[data-member]')
    return video instanceof HTMLVideoElement && !video.hidden && video.videoWidth > 0
  })
  await ann.click('#share')
  await waitUntil(bob, 'no screen', () => {
    const video = document.querySelector('video[data-member]')
    return video instanceof HTMLVideoElement && video.hidden
  })
  for (const page of [ann, bob]) assert.deepEqual(complaints(page), [])
})

test('a room that takes a token', { skip }, async (t) => {
  const closed = await startServer({ flags: ['--demo=false'], env: { HAIRPIN_API_KEYS: `page:${KEY}` } })
  t.after(closed.stop)
  const answer = await fetch(`${closed.origin}/v1/rooms/blue/tokens`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'ann' }),
  })
  const { token } = await answer.json()
  assert.equal(answer.status, 201)

  const page = await openPage(t, browser, `${closed.origin}/examples/token`)
  const tryToken = async (/** @type {string} */ room, /** @type {string} */ text, /** @type {string} */ words) => {
    await page.$eval('#form', (form) => /** @type {HTMLFormElement} */ (form).reset())
    await page.type('#room', room)
    await page.type('#token', text)
    await page.keyboard.press('Enter')
    await waitUntil(page, words, (wanted) => new RegExp(wanted).test(document.getElementById('state')?.textContent ?? ''), words)
  }
  await tryToken('blue', 'nonsense', 'does not open this room')
  await tryToken('red', token, 'does not open this room')
  await tryToken('blue', token, '^In blue; may publish')
  await page.click('#leave')
  await waitUntil(page, 'the end', () => document.getElementById('state')?.textContent === 'left')
})
