/** How Chromium is started for the tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import puppeteer from 'puppeteer-core'
import { placed } from './namespace.js'

export const CHROMIUM = process.env.HAIRPIN_CHROMIUM ?? '/usr/bin/chromium'

/** @param {import('./browser.js').BrowserOptions} options */
export async function launchChromium({ camera = 'granted', namespace, secure }) {
  const userDataDir = await mkdtemp(path.join(tmpdir(), 'hairpin-chromium-'))
  const permission = camera === 'granted' ? '--use-fake-ui-for-media-stream' : '--deny-permission-prompts'
  const driver = await puppeteer.launch({
    executablePath: await placed(CHROMIUM, namespace, userDataDir),
    userDataDir,
    headless: true,
    // Its own socket would be in its own network.
    pipe: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      // Few pictures a second, for software encodes and decodes each of them several times over.
      '--use-fake-device-for-media-stream=fps=10',
      permission,
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      ...(secure ? [`--unsafely-treat-insecure-origin-as-secure=${secure}`] : []),
    ],
  })
  const stop = async () => {
    await driver.close()
    await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 })
  }
  return { driver, stop }
}
