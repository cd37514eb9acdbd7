import { test } from 'node:test'
import { changeNAT, openAbroad } from './lib/abroad.js'
import { whySkip } from './lib/browser.js'
import { waitForOthers } from './lib/call.js'
import { whyNoLab } from './lib/lab.js'
import { waitUntil } from './lib/page.js'

/** @typedef {import('./lib/browser.js').Kind} Kind */

/**
 * Where two homes have such a NAT: whether the path leads over a relay, at one end at least, and how that is reached.
 *
 * @type {{ rules: string, is: string, relayed: boolean, transport?: string }[]}
 */
const NATS = [
  { rules: 'masquerade', is: 'endpoint-independent mapping', relayed: false },
  { rules: 'symmetric', is: 'address-and-port-dependent mapping', relayed: true, transport: 'udp' },
  { rules: 'udp-blocked', is: 'no UDP', relayed: true, transport: 'tcp' },
]

/** @type {[Kind, Kind][]} */
const PAIRS = [['chromium', 'chromium'], ['chromium', 'firefox'], ['firefox', 'firefox']]

test('each behind a NAT', { skip: whySkip('chromium', 'firefox') || whyNoLab() }, async (t) => {
  const { homes, call } = await openAbroad(t, 'port-restricted-cone')
  for (const { rules, is, relayed, transport = '' } of NATS) {
    for (const home of homes) changeNAT(home, rules)
    for (const pair of PAIRS) {
      await t.test(`${is}: ${pair.join(' and ')}`, async (t) => {
        const pages = await call(t, pair)
        for (const page of pages) await waitForOthers(page)
        // A direct path may be found only after a relayed one.
        for (const page of pages) {
          await waitUntil(page, relayed ? 'a relayed path' : 'a direct path', async (wanted, protocol) => {
            const [{ local, remote, relayProtocol }] = await kept.links()
            return [local, remote].includes('relay') === wanted && (local !== 'relay' || relayProtocol === protocol)
          }, relayed, transport)
        }
      })
    }
  }
})
