/** A browser with a camera and a microphone that are not there: Chromium or Firefox, to be used alike. */
import { existsSync } from 'node:fs'
import { CHROMIUM, launchChromium } from './chromium.js'
import { FIREFOX, launchFirefox } from './firefox.js'

/** @typedef {'chromium' | 'firefox'} Kind */

const BROWSERS = {
  chromium: { executable: CHROMIUM, variable: 'HAIRPIN_CHROMIUM', launch: launchChromium },
  firefox: { executable: FIREFOX, variable: 'HAIRPIN_FIREFOX', launch: launchFirefox },
}

/**
 * Why browser tests cannot run here, for a test's `skip` option: false when they can.
 *
 * @param {Kind[]} kinds the browsers they need: Chromium, unless others are named
 * @returns {string | false}
 * @throws where nothing may be skipped
 */
export function whySkip(...kinds) {
  for (const kind of kinds.length > 0 ? kinds : [/** @type {const} */ ('chromium')]) {
    const { executable, variable } = BROWSERS[kind]
    if (existsSync(executable)) continue
    const reason = `no browser at ${executable}: install one, or name one in ${variable}`
    if (process.env.HAIRPIN_TEST_FULL === '1') throw new Error(reason)
    return reason
  }
  return false
}

/**
 * @typedef {object} Browser
 * @property {Kind} kind
 * @property {import('puppeteer-core').Browser} driver
 * @property {() => Promise<void>} stop
 *
 * @typedef {object} BrowserOptions
 * @property {'granted' | 'refused'} [camera] what the browser answers when a page asks for camera and microphone
 * @property {import('./namespace.js').Namespace} [namespace] whose network it uses, instead of ours
 * @property {string} [secure] an http origin besides loopback that may use the camera, as an https one might
 */

/**
 * @param {{ kind?: Kind } & BrowserOptions} [options]
 * @returns {Promise<Browser>}
 */
export async function startBrowser({ kind = 'chromium', ...options } = {}) {
  return { kind, ...await BROWSERS[kind].launch(options) }
}
