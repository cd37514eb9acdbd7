/** The networks that browsers are placed in do what they are said to do. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Internet, networks, SERVERS, whyNoLab } from './lib/lab.js'
import { findBinary, startServer } from './lib/server.js'

const run = promisify(execFile)

test('clients in every network find it as it is', { skip: whyNoLab() }, async (t) => {
  const internet = await Internet.start(t)
  const server = await startServer({
    namespace: internet.server,
    listen: ':3478,:443',
    flags: ['--alternate-address', SERVERS.four[1], '--alternate-address', SERVERS.six[1]],
  })
  t.after(server.stop)
  const program = await findBinary()
  const sites = []
  for (const network of networks()) sites.push({ network, ...(await internet.attach(network.name)) })
  await Promise.all(sites.map(async ({ network, client }) => {
    const [command, ...args] = client.command(program, 'probe', 'nat', '--json', '--server', SERVERS.four[0])
    const { stdout } = await run(command, args).catch((error) => error) // the exit code is not 0 where UDP is blocked
    const { udp, mapping, filtering } = JSON.parse(stdout).results[0].report
    const { want } = network
    assert.deepEqual({ udp, mapping, filtering }, { udp: want.udp, mapping: want.mapping, filtering: want.filtering }, network.name)
  }))
})
