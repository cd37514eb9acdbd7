/**
 * Calls between browsers in networks of their own, through a server on a public host.
 *
 * @typedef {import('./browser.js').Kind} Kind
 * @typedef {import('./lab.js').Site & { browsers: Record<Kind, import('./browser.js').Browser> }} Home
 */
import { startBrowser } from './browser.js'
import { openCall } from './call.js'
import { Internet, SERVERS } from './lab.js'
import { startServer } from './server.js'

/** What members join with: on a public address, nobody joins without. */
const KEY = 'e2e-0123456789abcdef0123456789abcdef'

/**
 * As routers do, drops what nobody inside asked for: else the kernel tracks it as a flow to the router itself, and what is
 * sent from inside to where that came from gets another mapping, because its own looks taken.
 */
const FIREWALL = `
table inet router {
	chain input {
		type filter hook input priority filter;
		iifname "outside" ct state new meta l4proto udp drop
	}
}
`

/**
 * Two homes, with both browsers in each, and a server that is not at home.
 *
 * @param {import('node:test').TestContext} t at whose end everything is taken down
 * @param {string} network that each home is
 */
export async function openAbroad(t, network) {
  const internet = await Internet.start(t)
  const server = await startServer({
    namespace: internet.server,
    http: `${SERVERS.four[0]}:8080`,
    listen: `${SERVERS.four[0]}:3478`,
    // The homes' addresses are of ranges for documentation, to which nothing is relayed.
    flags: ['--allow-peer', '198.51.100.0/24'],
    env: { HAIRPIN_API_KEYS: `e2e:${KEY}` },
  })
  t.after(server.stop)
  const homes = [await openHome(t, internet, network, server.origin), await openHome(t, internet, network, server.origin)]
  /**
   * @param {import('node:test').TestContext} t
   * @param {Kind[]} kinds the browser of each home
   * @param {Record<string, string>} [parameters]
   */
  const call = async (t, kinds, parameters = {}) => {
    const pages = []
    for (const [i, kind] of kinds.entries()) {
      const all = { room: t.name, join: '1', name: kind, token: KEY, ...parameters }
      pages.push(await openCall(t, homes[i].browsers[kind], server.origin, all))
    }
    return pages
  }
  return { server, homes, call }
}

/**
 * @param {import('node:test').TestContext} t
 * @param {Internet} internet
 * @param {string} network
 * @param {string} origin
 * @returns {Promise<Home>}
 */
async function openHome(t, internet, network, origin) {
  const site = await internet.attach(network)
  for (const box of site.boxes) box.run('nft', ['-f', '-'], FIREWALL)
  const start = async (/** @type {Kind} */ kind) => {
    const browser = await startBrowser({ kind, namespace: site.client, secure: origin })
    t.after(browser.stop)
    return browser
  }
  const [chromium, firefox] = await Promise.all([start('chromium'), start('firefox')])
  return { ...site, browsers: { chromium, firefox } }
}

/**
 * Puts another NAT in place of a home's.
 *
 * @param {Home} home
 * @param {string} rules
 */
export function changeNAT({ boxes: [box] }, rules) {
  box.run('nft', ['delete', 'table', 'inet', 'lab'])
  box.load(rules, {})
}
