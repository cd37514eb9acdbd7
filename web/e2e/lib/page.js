/**
 * A browser page of its own profile, with an eye on what the page itself does not show: its peer connections, its sockets
 * and its console.
 *
 * @typedef {import('puppeteer-core').Page} Page
 */

/** How long anything a test waits for may take, in milliseconds. */
export const PATIENCE_MS = 45_000

/** @type {WeakMap<Page, string[]>} */
const consoles = new WeakMap()

/**
 * @param {import('node:test').TestContext} t at whose end it is closed
 * @param {import('./browser.js').Browser} browser
 * @param {string} url
 * @returns {Promise<Page>}
 */
export async function openPage(t, browser, url) {
  const context = await browser.driver.createBrowserContext()
  t.after(async () => {
    if (browser.driver.connected) await context.close()
  })
  // A page behind another in a window of tabs is slowed down.
  const page = await context.newPage({ type: 'window' })
  page.setDefaultTimeout(PATIENCE_MS)
  /** @type {string[]} */
  const lines = []
  consoles.set(page, lines)
  page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => lines.push(`error: ${error}`))
  await page.setViewport({ width: 1100, height: 760 })
  await page.evaluateOnNewDocument(watchConnections)
  await page.goto(url)
  return page
}

/**
 * What the page complained about; a sound page has nothing to complain about.
 *
 * @param {Page} page
 */
export function complaints(page) {
  return (consoles.get(page) ?? []).filter((line) => line.startsWith('error'))
}

/**
 * Waits until predicate, run in the page, is true.
 *
 * @template {unknown[]} A
 * @param {Page} page
 * @param {string} what is waited for, for the message when it does not come
 * @param {string | import('puppeteer-core').EvaluateFunc<A>} predicate
 * @param {A} args
 */
export async function waitUntil(page, what, predicate, ...args) {
  try {
    // Not by animation frame, which pages in the background do not get.
    await page.waitForFunction(predicate, { polling: 50 }, ...args)
  } catch (error) {
    throw new Error(`${what}: ${error}\n${await describe(page)}`)
  }
}

/** @param {Page} page */
async function describe(page) {
  const shown = await page.evaluate(() => {
    const notices = [...document.querySelectorAll('.notice p')].map(({ textContent }) => textContent)
    return { state: document.body.dataset.state, notices, text: document.body.innerText.slice(0, 600) }
  })
  return `${JSON.stringify(shown, null, 1)}\n${(consoles.get(page) ?? []).join('\n')}`
}

/** Runs in the page, before anything of it does. */
function watchConnections() {
  /** @type {Kept} */
  const kept = { connections: [], sockets: [], read: () => look(kept.connections.at(-1)), links, watchGap, held: null, release, withheld: null, deliver }
  /** @param {RTCPeerConnection} [connection] */
  async function look(connection) {
    const report = (await connection?.getStats()) ?? new Map()
    const entries = [...report.values()]
    const pair = report.get(entries.find(({ type }) => type === 'transport')?.selectedCandidatePairId)
    return {
      inbound: entries.filter(({ type }) => type === 'inbound-rtp'),
      local: report.get(pair?.localCandidateId),
      remote: report.get(pair?.remoteCandidateId),
    }
  }
  async function links() {
    const connected = kept.connections.filter(({ connectionState }) => connectionState === 'connected')
    return Promise.all(connected.map(async (connection) => {
      const { inbound, local, remote } = await look(connection)
      const video = inbound.find(({ kind }) => kind === 'video')
      const audio = inbound.find(({ kind }) => kind === 'audio')
      return {
        frames: video?.framesDecoded ?? 0,
        width: video?.frameWidth ?? 0,
        packets: audio?.packetsReceived ?? 0,
        energy: audio?.totalAudioEnergy ?? 0,
        local: local?.candidateType ?? '',
        remote: remote?.candidateType ?? '',
        relayProtocol: local?.relayProtocol ?? '',
        port: local?.port ?? 0,
      }
    }))
  }
  function release() {
    const held = kept.held ?? []
    kept.held = null
    for (const { send } of held) send()
  }
  function deliver() {
    const data = kept.withheld?.at(-1)
    kept.withheld = null
    kept.sockets.at(-1)?.dispatchEvent(new MessageEvent('message', { data }))
  }
  function watchGap() {
    const watch = { longest: 0, stop: () => clearInterval(timer) }
    let [frames, since] = [-1, performance.now()]
    const timer = setInterval(async () => {
      const now = (await links()).reduce((sum, link) => sum + link.frames, 0)
      if (now !== frames) [frames, since] = [now, performance.now()]
      watch.longest = Math.max(watch.longest, performance.now() - since)
    }, 100)
    return watch
  }
  Object.assign(globalThis, {
    kept,
    RTCPeerConnection: class extends RTCPeerConnection {
      /** @param {RTCConfiguration} [configuration] */
      constructor(configuration) {
        super(configuration)
        kept.connections.push(this)
      }
    },
    WebSocket: class extends WebSocket {
      /** @param {string} url */
      constructor(url) {
        super(url)
        kept.sockets.push(this)
        this.addEventListener('message', (event) => {
          if (!kept.withheld || JSON.parse(event.data).type !== 'ice-servers') return
          event.stopImmediatePropagation()
          kept.withheld.push(event.data)
        })
      }
      /**
       * @override
       * @param {string} data
       */
      send(data) {
        if (kept.held) kept.held.push({ data, send: () => super.send(data) })
        else super.send(data)
      }
    },
  })
}
