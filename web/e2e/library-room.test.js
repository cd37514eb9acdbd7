import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { complaints, openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()

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
 * A page with `rooms`: so many members of one room, all in this page.
 *
 * @param {import('node:test').TestContext} t
 * @param {number} count
 * @param {object} [options]
 */
async function joinAll(t, count, options = {}) {
  const page = await openPage(t, browser, `${server.origin}/examples/`)
  await page.evaluate(async (room, count, options) => {
    const { join } = await import(/** @type {any} */ ('/hairpin.js'))
    Object.assign(globalThis, { rooms: [] })
    for (let i = 0; i < count; i++) rooms.push(await join({ room, name: `Member ${i}`, ...options }))
  }, t.name, count, options)
  await waitUntil(page, 'all to reach each other', (others) =>
    rooms.every(({ members }) => members.size === others && [...members.values()].every(({ ready, state }) => ready && state === 'connected')),
  count - 1)
  return page
}

test('members, names, own ids and states', { skip }, async (t) => {
  const page = await joinAll(t, 3)
  const seen = await page.evaluate(() => rooms.map(({ id, state, members }) =>
    ({ state, self: members.has(id), names: [...members.values()].map(({ name }) => name).sort() })))
  assert.deepEqual(seen, [
    { state: 'connected', self: false, names: ['Member 1', 'Member 2'] },
    { state: 'connected', self: false, names: ['Member 0', 'Member 2'] },
    { state: 'connected', self: false, names: ['Member 0', 'Member 1'] },
  ])
  assert.deepEqual(complaints(page), [])
})

test('data: strings and buffers, to one or to all, in order', { skip }, async (t) => {
  const page = await joinAll(t, 3)
  const got = await page.evaluate(async () => {
    /** @type {string[][]} */
    const got = [[], [], []]
    const done = rooms.map((room, i) => new Promise((resolve) => {
      room.addEventListener('message', ({ detail: { member, data } }) => {
        got[i].push(`${member.name}: ${typeof data === 'string' ? data : new Uint8Array(data).join()}`)
        if (data === 'end') resolve(undefined)
      })
    }))
    const [ann, bob] = rooms
    const missed = [await ann.send('to Bob', { to: bob.id }), await ann.send(Uint8Array.of(1, 2)), await ann.send('x', { to: 'nobody' })]
    await ann.send('end')
    await Promise.all(done.slice(1))
    return { got, missed }
  })
  assert.deepEqual(got.got, [[], ['Member 0: to Bob', 'Member 0: 1,2', 'Member 0: end'], ['Member 0: 1,2', 'Member 0: end']])
  assert.deepEqual(got.missed, [[], [], ['nobody']])
})

test('statistics have a path and a verdict, and those of a stranger are null', { skip }, async (t) => {
  const page = await joinAll(t, 2, { media: { audio: true, video: true } })
  await waitUntil(page, 'numbers', async () => {
    const [ann, bob] = rooms
    const stats = await ann.stats(bob.id)
    return stats?.pair && stats.verdict !== 'unknown' && (stats.bitrateKbps ?? 0) > 0 && ann.members.get(bob.id)?.pair &&
      ann.history(bob.id).length > 2
  })
  assert.equal(await page.evaluate(() => rooms[0].stats('stranger')), null)
})

test('two sides that offer at the same time 50 times stay in one call', { skip }, async (t) => {
  const page = await joinAll(t, 2, { media: { audio: true, video: true } })
  for (let round = 0; round < 50; round++) {
    await page.evaluate(() => {
      for (const connection of kept.connections) connection.restartIce()
    })
    await waitUntil(page, `round ${round} to settle`, () => kept.connections.every(({ signalingState }) => signalingState === 'stable'))
  }
  const frames = await page.evaluate(async () => (await kept.links()).map(({ frames }) => frames))
  await waitUntil(page, 'pictures in both directions', async (before) =>
    (await kept.links()).filter(({ frames }, i) => frames > before[i] + 5).length === 2, frames)
})

test('codecs are sent as preferred', { skip }, async (t) => {
  const page = await joinAll(t, 2, { media: { audio: true, video: true }, codecs: ['video/VP9', 'audio/PCMU'] })
  await waitUntil(page, 'VP9 and PCMU', async () => {
    const used = []
    for (const connection of kept.connections) {
      const report = [.../** @type {any} */ (await connection.getStats()).values()]
      for (const { type, codecId } of report) {
        if (type === 'outbound-rtp') used.push(report.find(({ id }) => id === codecId)?.mimeType)
      }
    }
    return used.length === 4 && used.every((mimeType) => ['video/VP9', 'audio/PCMU'].includes(mimeType))
  })
})

test('replaceTrack and mute', { skip }, async (t) => {
  const page = await joinAll(t, 2, { media: { audio: true, video: true } })
  await page.evaluate(async () => {
    const [ann] = rooms
    ann.mute('audio')
    await ann.replaceTrack('video', null)
  })
  await waitUntil(page, 'what Ann sends', () => {
    const [ann, bob] = rooms
    const { audio, video } = bob.members.get(ann.id)?.media ?? {}
    return audio === false && video === false
  })
  await page.evaluate(async () => {
    const [ann] = rooms
    const camera = await navigator.mediaDevices.getUserMedia({ video: true })
    Object.assign(globalThis, { opened: [camera] })
    await ann.replaceTrack('video', camera.getVideoTracks()[0])
    ann.leave()
  })
  assert.equal(await page.evaluate(() => opened[0].getVideoTracks()[0].readyState), 'live', 'the caller’s track is the caller’s')
})

test('a refusal is a JoinError with its reason, and joining can be given up', { skip }, async (t) => {
  const page = await openPage(t, browser, `${server.origin}/examples/`)
  const reasons = await page.evaluate(async () => {
    const { join } = await import(/** @type {any} */ ('/hairpin.js'))
    const reasonOf = (/** @type {object} */ options) => join(options).then(() => 'joined', (/** @type {any} */ error) => error.reason ?? error.name)
    const controller = new AbortController()
    const given = reasonOf({ room: 'x', signal: controller.signal })
    controller.abort()
    return [
      await reasonOf({ room: 'x', url: 'ws://127.0.0.1:9/' }),
      await reasonOf({ room: 'y'.repeat(1000) }),
      await given,
      await reasonOf({ room: 'x', signal: AbortSignal.abort() }),
    ]
  })
  assert.deepEqual(reasons, ['unreachable', 'bad-message', 'AbortError', 'AbortError'])
})
