/** A Hairpin server for one test file: built if need be, on ports of its own. */
import { execFile, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))

/** How long a server may take to start, and to end after SIGTERM, in milliseconds. */
const START_DEADLINE_MS = 30_000
const STOP_DEADLINE_MS = 5_000

/**
 * @typedef {object} Server
 * @property {string} origin of its pages, such as http://127.0.0.1:40123
 * @property {string} udp address STUN and TURN listen on
 * @property {string} tcp the same for TCP
 * @property {() => Promise<void>} stop
 */

/**
 * @param {object} [options]
 * @param {string} [options.http] address of the pages
 * @param {string} [options.listen] address of STUN and TURN
 * @param {string[]} [options.flags]
 * @param {Record<string, string>} [options.env] in addition to that of the tests
 * @param {import('./namespace.js').Namespace} [options.namespace] where it runs, if not here
 * @returns {Promise<Server>}
 */
export async function startServer({ http = '127.0.0.1:0', listen = '127.0.0.1:0', flags = [], env = {}, namespace } = {}) {
  const fixed = [
    // Above the ports the kernel gives to listeners.
    ...['--relay-ports', '61000-65535'],
    // A test that stops the server does not wait for its calls.
    ...['--drain-timeout', '100ms'],
    ...['--log-format', 'json'],
  ]
  const words = [await findBinary(), 'serve', '--http', http, '--listen', listen, ...fixed, ...flags]
  const [command, ...args] = namespace?.command(...words) ?? words
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const killNow = () => child.kill('SIGKILL')
  process.once('exit', killNow)
  const stop = async () => {
    await end(child)
    process.off('exit', killNow)
  }
  try {
    const bound = await ready(child)
    return { origin: `http://${bound.http}`, udp: bound.udp, tcp: bound.tcp, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** @type {Promise<string> | undefined} */
let built

/** @returns {Promise<string>} the path of the program */
export function findBinary() {
  built ??= process.env.HAIRPIN_BIN ? Promise.resolve(process.env.HAIRPIN_BIN) : build()
  return built
}

/** Once for each test file, which is a process of its own. */
async function build() {
  const folder = await mkdtemp(path.join(tmpdir(), 'hairpin-e2e-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const binary = path.join(folder, 'hairpin')
  await promisify(execFile)('go', ['build', '-o', binary, './cmd/hairpin'], { cwd: REPOSITORY })
  return binary
}

/**
 * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} child
 * @returns {Promise<{ http: string, udp: string, tcp: string }>} what its "ready" log line says
 */
function ready(child) {
  return new Promise((resolve, reject) => {
    /** @type {string[]} */
    const lines = []
    /** @param {string} why */
    const fail = (why) => reject(new Error(`the server ${why}:\n${lines.join('\n')}`))
    const deadline = setTimeout(() => fail('was not ready in time'), START_DEADLINE_MS)
    child.once('error', (error) => fail(`did not start: ${error.message}`))
    child.once('exit', (code) => {
      clearTimeout(deadline)
      fail(`ended with code ${code}`)
    })
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on('line', (line) => {
        lines.push(line)
        const entry = parseLine(line)
        if (entry?.msg !== 'ready') return
        clearTimeout(deadline)
        resolve(entry)
      })
    }
  })
}

/** @param {string} line */
function parseLine(line) {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

/** @param {import('node:child_process').ChildProcess} child */
async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS)
  await exited
  clearTimeout(deadline)
}
