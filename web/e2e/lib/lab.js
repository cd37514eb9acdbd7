/**
 * Browsers and a server in networks of their own: namespaces, links and NATs of this machine's kernel. It is the Go
 * tests' package labtest for Node, and builds the same networks from the same files, turnserver/labtest/networks.
 *
 * A namespace is held by a process that ends when its stdin does, so whatever becomes of the test, nothing is left.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const NETWORKS = fileURLToPath(new URL('../../../turnserver/labtest/networks', import.meta.url))

/**
 * @typedef {{ name: string, is: string, boxes: { inside: 'private' | 'carrier' | 'public', rules: string }[], want: any }} Network
 * @typedef {{ inner: string[], outer: string[] }} Link addresses with prefix lengths, IPv4 first
 * @typedef {{ client: Host, boxes: Host[], four: string, six: string }} Site a client's place in a network
 */

/** @returns {Network[]} all networks, with what is to be found out of them */
export function networks() {
  return JSON.parse(readFileSync(path.join(NETWORKS, 'networks.json'), 'utf8'))
}

/**
 * Why there can be no lab here, for a test's `skip` option: false when there can.
 *
 * @returns {string | false}
 * @throws where nothing may be skipped
 */
export function whyNoLab() {
  try {
    execFileSync('unshare', ['--net', '--', 'nft', 'list', 'tables'], { stdio: 'pipe' })
    return false
  } catch (error) {
    const reason = `no network namespaces with nftables (Linux and root): ${error instanceof Error ? error.message : error}`
    if (process.env.HAIRPIN_TEST_FULL === '1') throw new Error(reason)
    return reason
  }
}

/** A Namespace (namespace.js) with interfaces, routes, sockets and packet filters of its own. */
export class Host {
  #holder

  /**
   * @param {string} name
   * @param {import('node:child_process').ChildProcess} holder
   */
  constructor(name, holder) {
    this.name = name
    this.#holder = holder
  }

  /** @param {string} name for messages */
  static async start(name) {
    const holder = spawn('unshare', ['--net', '--', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
    holder.stdin.write('inside\n')
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit').then(() => { throw new Error('unshare failed') })])
    const host = new Host(name, holder)
    host.ip('link set lo up')
    host.run('sysctl', ['-qw', 'net.ipv6.conf.default.accept_dad=0'])
    return host
  }

  /**
   * What runs a program on the host. The program is killed when the process ends that started it.
   *
   * @param {string[]} words the program and its arguments
   */
  command(...words) {
    return ['setpriv', '--pdeathsig', 'KILL', '--', 'nsenter', `--net=/proc/${this.#holder.pid}/ns/net`, '--', ...words]
  }

  /**
   * Runs a program to its end and returns what it wrote.
   *
   * @param {string} program
   * @param {string[]} args
   * @param {string} [input]
   */
  run(program, args, input = '') {
    const [command, ...rest] = this.command(program, ...args)
    return execFileSync(command, rest, { input, encoding: 'utf8', stdio: 'pipe' })
  }

  /** @param {...string} lines of the ip program */
  ip(...lines) {
    this.run('ip', ['-batch', '-'], `${lines.join('\n')}\n`)
  }

  /**
   * @param {string} name of a file of rules
   * @param {Record<string, string>} defines values for the names in it
   */
  load(name, defines) {
    const args = Object.entries(defines).flatMap(([key, value]) => ['-D', `${key}=${value}`])
    this.run('nft', [...args, '-f', path.join(NETWORKS, `${name}.nft`)])
  }

  /**
   * Makes a link to another host; what names no other source leaves from the first address of its family.
   *
   * @param {string} name of the interface here
   * @param {string[]} addresses with prefix lengths
   * @param {{ host: Host, name: string, addresses: string[] }} other
   */
  link(name, addresses, other) {
    this.ip(`link add ${name} type veth peer name ${other.name} netns ${other.host.#holder.pid}`)
    this.#configure(name, addresses)
    other.host.#configure(other.name, other.addresses)
  }

  /**
   * @param {string} name
   * @param {string[]} addresses
   */
  #configure(name, addresses) {
    // The kernel takes the oldest of IPv4 and the newest of IPv6.
    const six = addresses.filter((one) => one.includes(':')).reverse()
    const ordered = [...addresses.filter((one) => !one.includes(':')), ...six]
    this.ip(...ordered.map((one) => `address add ${one} dev ${name} nodad`), `link set ${name} up`)
  }

  /** Programs on the host are to be ended before. */
  async stop() {
    const exited = once(this.#holder, 'exit')
    this.#holder.stdin?.end()
    await exited
  }
}

/** The addresses of an Internet's server, IPv4 first. */
export const SERVERS = { four: ['203.0.113.1', '203.0.113.2'], six: ['2001:db8::1', '2001:db8::2'] }

/** A server's host, the router in the middle and the networks of clients around it. */
export class Internet {
  #hosts = /** @type {Host[]} */ ([])
  #sites = 0

  /**
   * @param {Host} server
   * @param {Host} core
   */
  constructor(server, core) {
    this.server = server
    this.core = core
    this.#hosts.push(server, core)
  }

  /** @param {import('node:test').TestContext} t at whose end it is taken down */
  static async start(t) {
    const internet = new Internet(await Host.start('server'), await router('core'))
    t.after(() => internet.stop())
    const addresses = [...SERVERS.four.map((one) => `${one}/24`), ...SERVERS.six.map((one) => `${one}/64`)]
    const gateways = ['203.0.113.254/24', '2001:db8::fe/64']
    internet.server.link('public', addresses, { host: internet.core, name: 'servers', addresses: gateways })
    internet.server.ip('route add default via 203.0.113.254', 'route add default via 2001:db8::fe')
    return internet
  }

  /**
   * Adds a network with a client in it.
   *
   * @param {string} name of one of networks
   * @returns {Promise<Site>}
   */
  async attach(name) {
    const network = networks().find((one) => one.name === name)
    if (!network) throw new Error(`no network is called ${name}`)
    const number = ++this.#sites
    const client = await Host.start(name)
    const boxes = await Promise.all(network.boxes.map((_, hop) => router(`${name}, box ${hop}`)))
    this.#hosts.push(client, ...boxes)
    const links = [...network.boxes.map(({ inside }, hop) => addresses(inside, number, hop)), external(number)]
    join(links, client, boxes, { host: this.core, name: `wan${number}` })
    for (const [hop, { rules }] of network.boxes.entries()) {
      if (rules) boxes[hop].load(rules, defines(links[hop], links[hop + 1]))
    }
    if (network.boxes[0].inside === 'public') {
      const out = links[boxes.length].inner
      this.core.ip(...links[0].outer.map((own, i) => `route add ${networkOf(own)} via ${bare(out[i])}`))
    }
    return { client, boxes, four: bare(links[0].inner[0]), six: bare(links[0].inner[1]) }
  }

  /**
   * Makes the router in the middle lose packets at random, each way.
   *
   * @param {number} percent
   */
  lose(percent) {
    this.core.load('loss', { PERCENT: String(percent) })
  }

  async stop() {
    await Promise.all(this.#hosts.map((host) => host.stop()))
  }
}

/** @param {string} name */
async function router(name) {
  const host = await Host.start(name)
  host.run('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'])
  return host
}

/**
 * Makes the links from a client to the middle, and the routes out.
 *
 * @param {Link[]} links
 * @param {Host} client
 * @param {Host[]} boxes
 * @param {{ host: Host, name: string }} middle
 */
function join(links, client, boxes, middle) {
  for (const [i, { inner, outer }] of links.entries()) {
    const near = i === 0 ? { host: client, name: 'lan' } : { host: boxes[i - 1], name: 'outside' }
    const far = i < boxes.length ? { host: boxes[i], name: 'inside' } : middle
    near.host.link(near.name, inner, { ...far, addresses: outer })
    near.host.ip(...outer.map((gateway) => `route add default via ${bare(gateway)}`))
  }
}

/**
 * @param {'private' | 'carrier' | 'public'} inside
 * @param {number} site
 * @param {number} hop
 * @returns {Link} the addresses of the network inside a box
 */
function addresses(inside, site, hop) {
  if (inside === 'public') {
    const base = site * 8
    return {
      inner: [`192.0.2.${base + 2}/29`, `2001:db8:${site}:1::2/64`],
      outer: [`192.0.2.${base + 1}/29`, `2001:db8:${site}:1::1/64`],
    }
  }
  const four = inside === 'carrier' ? `100.64.${site}` : `10.${site}.${hop}`
  const six = `${inside === 'carrier' ? 'fd64' : 'fd00'}:${site}:${hop}::`
  return { inner: [`${four}.2/24`, `${six}2/64`], outer: [`${four}.1/24`, `${six}1/64`] }
}

/**
 * @param {number} site
 * @returns {Link} between the outermost box, which has two addresses of each family, and the middle
 */
function external(site) {
  const base = site * 8
  const [four, six] = ['198.51.100.', `2001:db8:${site}::`]
  return {
    inner: [`${four}${base + 2}/29`, `${six}2/64`, `${four}${base + 3}/29`, `${six}3/64`],
    outer: [`${four}${base + 1}/29`, `${six}1/64`],
  }
}

/**
 * @param {Link} inside
 * @param {Link} outside
 * @returns {Record<string, string>} what the rules of a box between two links may use
 */
function defines(inside, outside) {
  const [OUTSIDE4, OUTSIDE6, OUTSIDE4B, OUTSIDE6B] = outside.inner.map(bare)
  const all = { INSIDE4: bare(inside.inner[0]), INSIDE6: bare(inside.inner[1]), OUTSIDE4, OUTSIDE6 }
  return OUTSIDE4B ? { ...all, OUTSIDE4B, OUTSIDE6B } : all
}

/** @param {string} address with a prefix length */
function bare(address) {
  return address.split('/')[0]
}

/** @param {string} gateway the first address of a network, with its prefix length */
function networkOf(gateway) {
  const [address, length] = gateway.split('/')
  const last = /[0-9]+$/
  return `${address.replace(last, (digits) => (address.includes(':') ? '0' : String(Number(digits) - 1)))}/${length}`
}
