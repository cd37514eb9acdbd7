import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBrowser, whySkip } from './lib/browser.js'
import { openPage, waitUntil } from './lib/page.js'
import { startServer } from './lib/server.js'

const skip = whySkip()

/** @type {import('./lib/server.js').Server} */
let server
/** @type {import('./lib/browser.js').Browser} */
let browser
/** @type {import('puppeteer-core').Page} */
let page

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
 * @param {import('node:test').TestContext} t
 * @param {RTCConfiguration} [configuration]
 */
async function openPair(t, configuration = {}) {
  page = await openPage(t, browser, server.origin)
  await page.evaluate(makePair, configuration)
}

/**
 * Runs in the page: `pair.polite` and `pair.impolite` are connections to each other, whose messages wait in `pair.mail`
 * until `pair.deliver` or `pair.flow` carries them.
 *
 * @param {RTCConfiguration} configuration
 */
async function makePair(configuration) {
  const { Connection } = await import(/** @type {any} */ ('/hairpin.js'))
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
  const tracks = { audio: stream.getAudioTracks()[0], video: stream.getVideoTracks()[0] }
  /** @type {{ to: string, message: any }[]} */
  const mail = []
  /** @param {string} to @param {boolean} polite */
  const connect = (to, polite) =>
    new Connection({
      send: (/** @type {any} */ message) => mail.push({ to, message: JSON.parse(JSON.stringify(message)) }),
      polite,
      configuration: { ...configuration, bundlePolicy: 'max-bundle' },
      outgoing: {
        name: polite ? 'Polite' : 'Impolite',
        tracks,
        stream,
        limits: {},
        codecs: [],
        state: () => ({ audio: true, video: true, screen: false }),
      },
    })
  const pair = {
    mail,
    polite: connect('impolite', true),
    impolite: connect('polite', false),
    deliver: () => {
      for (const { to, message } of mail.splice(0)) pair[/** @type {'polite' | 'impolite'} */ (to)].receive(message)
    },
    /** From now on mail is carried at once. */
    flow: () => {
      pair.deliver()
      mail.push = (/** @type {{ to: string, message: any }[]} */ ...letters) => {
        for (const { to, message } of letters) pair[/** @type {'polite' | 'impolite'} */ (to)].receive(message)
        return 0
      }
    },
  }
  Object.assign(globalThis, { pair })
}

async function waitForBoth() {
  await waitUntil(page, 'both connected, each with the other’s tracks', () =>
    [pair.polite, pair.impolite].every(({ state, stream }) => state === 'connected' && stream.getTracks().length === 2))
}

test('candidates that come before the offer are kept for it, in order', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(() => pair.impolite.initiate())
  await waitUntil(page, 'offer and candidates', () => pair.mail.filter(({ message }) => message.type === 'candidate').length > 1)
  const sent = await page.evaluate(() => {
    const receiver = kept.connections[0]
    const add = receiver.addIceCandidate.bind(receiver)
    Object.assign(globalThis, { added: [] })
    receiver.addIceCandidate = (candidate) => {
      if (receiver.remoteDescription) added.push(candidate?.candidate ?? '')
      return add(candidate)
    }
    pair.mail.push(...pair.mail.splice(0, 1))
    const sent = pair.mail.map(({ message }) => message.candidate?.candidate ?? message.type)
    pair.flow()
    return sent
  })
  assert.equal(sent.pop(), 'offer')
  await waitForBoth()
  const added = await page.evaluate(() => globalThis.added)
  assert.deepEqual(added.slice(0, sent.length), sent)
})

test('offers that cross: one wins, and both see each other', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(() => {
    pair.polite.initiate()
    pair.impolite.initiate()
  })
  await waitUntil(page, 'two offers', () => pair.mail.filter(({ message }) => message.type === 'offer').length === 2)
  await page.evaluate(() => pair.flow())
  await waitForBoth()
})

test('both restart ICE at once', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(() => {
    pair.flow()
    pair.polite.initiate()
  })
  await waitForBoth()
  const before = await page.evaluate(ufrags)
  await page.evaluate(() => {
    for (const connection of kept.connections) connection.restartIce()
  })
  await waitUntil(page, 'new ICE credentials on both sides', (old) =>
    kept.connections.every(({ signalingState, connectionState, currentLocalDescription }, index) =>
      signalingState === 'stable' && connectionState === 'connected' && !currentLocalDescription?.sdp.includes(old[index])), before)
  assert.notDeepEqual(await page.evaluate(ufrags), before)
})

/** Runs in the page. */
function ufrags() {
  return kept.connections.map(({ currentLocalDescription }) => /a=ice-ufrag:\S+/.exec(currentLocalDescription?.sdp ?? '')?.[0] ?? '')
}

test('renewed ICE servers before the first offer do no harm', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(async () => {
    pair.flow()
    const servers = [{ urls: 'stun:127.0.0.1:9' }]
    const asked = new Promise((resolve) => kept.connections[0].addEventListener('negotiationneeded', resolve))
    pair.polite.configure({ iceServers: servers, bundlePolicy: 'max-bundle' })
    await asked
    pair.impolite.initiate()
  })
  await waitForBoth()
})

test('nonsense from the other member is shrugged off', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(() => {
    const description = { type: /** @type {const} */ ('offer'), sdp: 'v=0 nonsense' }
    pair.polite.receive({ type: 'offer', offer: description })
    pair.polite.receive({ type: 'answer', answer: { type: 'answer', sdp: '' } })
    pair.polite.receive({ type: 'candidate', candidate: { candidate: 'candidate:nonsense', sdpMid: '0' } })
    pair.polite.receive({ type: 'candidate', candidate: null })
    pair.flow()
    pair.impolite.initiate()
  })
  await waitForBoth()
})

test('a lost path is restarted three times, then given up with a reason; another network is another chance', { skip }, async (t) => {
  await openPair(t)
  await page.evaluate(() => {
    pair.flow()
    pair.polite.initiate()
  })
  await waitForBoth()
  const before = await page.evaluate(ufrags)
  const states = await page.evaluate(() => {
    const connection = kept.connections[0]
    const fail = () => {
      Object.defineProperty(connection, 'connectionState', { value: 'failed', configurable: true })
      connection.dispatchEvent(new Event('connectionstatechange'))
      return pair.polite.state
    }
    const states = [fail(), fail(), fail(), fail(), pair.polite.failure?.reason]
    pair.polite.restart()
    return [...states, pair.polite.state, pair.polite.restarts]
  })
  assert.deepEqual(states, ['reconnecting', 'reconnecting', 'reconnecting', 'failed', 'no-path', 'reconnecting', 4])
  await waitUntil(page, 'the restart', (old) => {
    const description = kept.connections[0].currentLocalDescription
    return description && !description.sdp.includes(old[0])
  }, before)
})

test('renewed credentials are used at once, and the relayed call goes on', { skip }, async (t) => {
  const fresh = async () => ({ ...(await (await fetch(`${server.origin}/v1/ice-servers`)).json()), iceTransportPolicy: 'relay' })
  await openPair(t, await fresh())
  await page.evaluate(() => {
    pair.flow()
    pair.polite.initiate()
  })
  await waitForBoth()
  const before = await page.evaluate(relayedPort)
  await page.evaluate((renewed) => pair.polite.configure({ ...renewed, bundlePolicy: 'max-bundle' }), await fresh())
  await waitUntil(page, 'another relayed transport address', async (port) => {
    const { local, inbound } = await kept.read()
    return local?.port !== port && inbound.some(({ kind, framesDecoded }) => kind === 'video' && framesDecoded > 0)
  }, before)
  assert.deepEqual(await page.evaluate(() => [pair.polite.state, pair.impolite.state]), ['connected', 'connected'])
})

/** Runs in the page. */
async function relayedPort() {
  const { local } = await kept.read()
  return local?.port
}
