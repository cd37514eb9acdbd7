/** How Firefox is started for the tests: over WebDriver BiDi. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import puppeteer from 'puppeteer-core'
import { placed } from './namespace.js'

export const FIREFOX = process.env.HAIRPIN_FIREFOX ?? '/usr/bin/firefox-esr'

/** @param {import('./browser.js').BrowserOptions} options */
export async function launchFirefox({ camera = 'granted', namespace, secure }) {
  const folder = await mkdtemp(path.join(tmpdir(), 'hairpin-firefox-'))
  const bridge = namespace ? await openBridge(namespace) : null
  const driver = await puppeteer.launch({
    browser: 'firefox',
    executablePath: await placed(FIREFOX, namespace, folder),
    headless: true,
    ...(bridge && { debuggingPort: bridge.port }),
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      // Few and small pictures, for software encodes and decodes each of them several times over.
      'media.navigator.video.default_fps': 10,
      ...(camera === 'granted'
        ? { 'media.navigator.permission.disabled': true }
        : { 'permissions.default.camera': 2, 'permissions.default.microphone': 2 }),
      'media.autoplay.default': 0,
      // The server of most tests listens on loopback, where Firefox looks for no path otherwise.
      'media.peerconnection.ice.loopback': !namespace,
      ...(secure && { 'dom.securecontext.allowlist': new URL(secure).hostname }),
    },
  })
  const stop = async () => {
    await driver.close()
    await bridge?.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  return { driver, stop }
}

/**
 * Firefox listens for its driver on its own loopback address: the same port of ours leads there.
 *
 * @param {import('./namespace.js').Namespace} namespace
 */
async function openBridge(namespace) {
  const relay = 'const s = require("net").connect(+process.argv[1], "127.0.0.1"); process.stdin.pipe(s).pipe(process.stdout)'
  /** @type {Set<import('node:child_process').ChildProcess>} */
  const ends = new Set()
  const server = createServer((socket) => {
    const [command, ...args] = namespace.command(process.execPath, '-e', relay, String(port))
    const end = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    ends.add(end)
    end.once('exit', () => {
      ends.delete(end)
      socket.destroy()
    })
    socket.on('error', () => end.kill())
    end.stdin.on('error', () => socket.destroy())
    socket.pipe(end.stdin)
    end.stdout.pipe(socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const close = async () => {
    for (const end of ends) end.kill()
    await new Promise((resolve) => server.close(resolve))
  }
  return { port, close }
}
