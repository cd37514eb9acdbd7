import { test } from 'node:test'
import { changeNAT, openAbroad } from './lib/abroad.js'
import { whySkip } from './lib/browser.js'
import { links, waitForOthers, waitForState } from './lib/call.js'
import { whyNoLab } from './lib/lab.js'
import { waitUntil } from './lib/page.js'

/** How long a recovery may take: browsers themselves need half a minute to be sure that a path is lost. */
const RECOVERY_MS = 90_000

/**
 * Gives the client of a home another address of its network, in place of the one it had.
 *
 * @param {import('./lib/abroad.js').Home} home
 */
function move({ client, four }) {
  const [network, gateway] = [four.replace(/\d+$/, ''), four.replace(/\d+$/, '1')]
  client.ip(`address delete ${four}/24 dev lan`, `address add ${network}77/24 dev lan`, `route add default via ${gateway}`)
}

test('the network changes under a call', { skip: whySkip('chromium', 'firefox') || whyNoLab() }, async (t) => {
  const { homes, call } = await openAbroad(t, 'port-restricted-cone')

  await t.test('the NATs forget all mappings, and so the server its clients, under a relayed call', async (t) => {
    const pages = await call(t, ['chromium', 'firefox'], { relay: '1' })
    for (const page of pages) await waitForOthers(page)
    for (const home of homes) {
      changeNAT(home, 'any-port')
      home.boxes[0].run('conntrack', ['--flush'])
    }
    for (const page of pages) {
      page.setDefaultTimeout(RECOVERY_MS)
      await waitForOthers(page)
      await waitForState(page, 'connected')
    }
  })

  for (const [i, home] of homes.entries()) {
    const relay = String(i)
    await t.test(`${['Chromium', 'Firefox'][i]} gets another address under a ${i ? 'relayed' : 'direct'} call`, async (t) => {
      const pages = await call(t, ['chromium', 'firefox'], { relay })
      for (const page of pages) await waitForOthers(page)
      const [{ port }] = await links(pages[i])
      for (const page of pages) page.setDefaultTimeout(RECOVERY_MS)
      move(home)
      await waitUntil(pages[i], 'another path', async (old) => {
        const [link] = await kept.links()
        return link && link.port !== old
      }, port)
      for (const page of pages) {
        await waitForOthers(page)
        await waitForState(page, 'connected')
      }
    })
  }
})
