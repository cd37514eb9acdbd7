import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configuration, filterServers, relayURLs, transportOf } from '../../static/ice.js'

const servers = [
  { urls: 'stun:s.example' },
  { urls: ['turn:t.example?transport=udp', 'turn:t.example?transport=tcp', 'turns:t.example'], username: 'u', credential: 'c' },
]

test('the transport of a URL, RFC 7065 section 3.1', () => {
  const cases = {
    'stun:s.example': 'udp',
    'stuns:s.example': 'tcp',
    'turn:t.example': 'udp',
    'turn:t.example:3478?transport=udp': 'udp',
    'turn:t.example?transport=tcp': 'tcp',
    'TURN:[2001:db8::1]:3478?TRANSPORT=TCP': 'tcp',
    'turns:t.example': 'tcp',
    'turns:t.example?transport=udp': 'udp',
  }
  for (const [url, transport] of Object.entries(cases)) assert.equal(transportOf(url), transport, url)
})

test('servers are kept with the URLs of the wanted transport', () => {
  assert.deepEqual(filterServers(servers, 'any'), servers)
  assert.deepEqual(filterServers(servers, 'udp'), [
    { urls: ['stun:s.example'] },
    { urls: ['turn:t.example?transport=udp'], username: 'u', credential: 'c' },
  ])
  assert.deepEqual(filterServers(servers, 'tcp'), [
    { urls: ['turn:t.example?transport=tcp', 'turns:t.example'], username: 'u', credential: 'c' },
  ])
  assert.deepEqual(filterServers([{ urls: 'turn:t.example' }], 'tcp'), [])
})

test('relay only is a policy of ICE', () => {
  assert.equal(configuration(servers, { relayOnly: true, transport: 'any' }).iceTransportPolicy, 'relay')
  assert.equal(configuration(servers, { relayOnly: false, transport: 'any' }).iceTransportPolicy, 'all')
})

test('the relays among the servers', () => {
  assert.deepEqual(relayURLs(servers), servers[1].urls)
  assert.deepEqual(relayURLs([{ urls: 'stun:s.example' }]), [])
})
