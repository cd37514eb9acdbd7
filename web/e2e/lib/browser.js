/** Chromium with a camera and a microphone that are not there. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import puppeteer from 'puppeteer-core'

const CHROMIUM = process.env.HAIRPIN_CHROMIUM ?? '/usr/bin/chromium'

/**
 * Why browser tests cannot run here, for a test's `skip` option: false when they can.
 *
 * @returns {string | false}
 * @throws where nothing may be skipped
 */
export function whySkip() {
  if (existsSync(CHROMIUM)) return false
  const reason = `no browser at ${CHROMIUM}: install Chromium, or name one in HAIRPIN_CHROMIUM`
  if (process.env.HAIRPIN_TEST_FULL === '1') throw new Error(reason)
  return reason
}

/**
 * @typedef {object} Browser
 * @property {import('puppeteer-core').Browser} chromium
 * @property {() => Promise<void>} stop
 */

/**
 * @param {{ camera?: 'granted' | 'refused' }} [options]
 * @returns {Promise<Browser>}
 */
export async function startBrowser({ camera = 'granted' } = {}) {
  const userDataDir = await mkdtemp(path.join(tmpdir(), 'hairpin-chromium-'))
  const permission = camera === 'granted' ? '--use-fake-ui-for-media-stream' : '--deny-permission-prompts'
  const chromium = await puppeteer.launch({
    executablePath: CHROMIUM,
    userDataDir,
    headless: true,
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
    ],
  })
  const stop = async () => {
    await chromium.close()
    await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 })
  }
  return { chromium, stop }
}
