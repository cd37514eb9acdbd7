import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeChunk, parseChunk, parseFileMessage, PIECE_BYTES, plainName, Transfers } from '../../static/transfer.js'

const ID = '00112233445566778899aabbccddeeff'

/** @param {number} size */
const bytes = (size) => Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) & 255)

/**
 * Two ends of a wire that a test can cut, and that can spoil what it carries.
 *
 * @param {{ spoil?: (data: string | ArrayBuffer) => string | ArrayBuffer }} [options]
 */
function wire({ spoil = (data) => data } = {}) {
  const state = { up: true, carried: 0, names: { ann: 'ann', bob: 'bob' }, cutAfter: Infinity }
  /** @param {'ann' | 'bob'} from @param {() => Transfers} to */
  const sender = (from, to) => async (/** @type {any} */ data) => {
    await new Promise((resolve) => setImmediate(resolve))
    if (!state.up) return [from]
    if (data instanceof ArrayBuffer && (state.carried += data.byteLength) > state.cutAfter) state.up = false
    else to().receive(state.names[from], from === 'ann' ? spoil(data) : data)
    return []
  }
  /** @type {Transfers} */
  const ann = new Transfers(sender('ann', () => bob))
  /** @type {Transfers} */
  const bob = new Transfers(sender('bob', () => ann))
  return { ann, bob, state }
}

/**
 * @param {Transfers} transfers
 * @param {string} state
 * @returns {Promise<import('../../static/transfer.js').Transfer>}
 */
function reach(transfers, state) {
  return new Promise((resolve) => {
    transfers.addEventListener('transfer', (event) => {
      const { detail } = /** @type {CustomEvent} */ (event)
      if (detail.state === state) resolve(detail)
    })
  })
}

/**
 * @param {ReturnType<typeof wire>} wired
 * @param {Uint8Array<ArrayBuffer>} content
 */
async function offerAndAccept({ ann, bob }, content) {
  const offered = reach(bob, 'offered')
  ann.offer(new File([content], 'photo.jpg'), ['bob'])
  const { id, size } = await offered
  assert.equal(size, content.length)
  bob.accept(id)
}

/** @param {import('../../static/transfer.js').Transfer} transfer */
async function contentOf({ blob }) {
  return new Uint8Array(await /** @type {Blob} */ (blob).arrayBuffer())
}

for (const size of [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 5]) {
  test(`a file of ${size} bytes arrives as it is`, async () => {
    const wired = wire()
    const content = bytes(size)
    const done = Promise.all([reach(wired.ann, 'done'), reach(wired.bob, 'done')])
    await offerAndAccept(wired, content)
    const [sent, got] = await done
    assert.deepEqual(await contentOf(got), content)
    assert.equal(got.name, 'photo.jpg')
    assert.equal(sent.member, 'bob')
  })
}

test('broken off, it goes on where it was verified, under whatever id the sender comes back', async () => {
  const wired = wire()
  const content = bytes(4 * PIECE_BYTES + 7)
  wired.state.cutAfter = 2.5 * PIECE_BYTES
  const paused = reach(wired.ann, 'paused')
  const done = reach(wired.bob, 'done')
  await offerAndAccept(wired, content)
  await paused
  wired.bob.memberGone('ann')
  wired.ann.memberGone('bob')

  wired.state.cutAfter = Infinity
  wired.state.carried = 0
  wired.state.names = { ann: 'ann2', bob: 'bob2' }
  wired.state.up = true
  wired.bob.memberReady('ann2')
  assert.deepEqual(await contentOf(await done), content)
  assert.ok(wired.state.carried < 3 * PIECE_BYTES, 'what was verified did not come twice')
})

test('a spoiled piece comes again', async () => {
  let spoiled = 0
  const wired = wire({
    spoil: (data) => {
      if (!(data instanceof ArrayBuffer) || spoiled++ > 0) return data
      new Uint8Array(data)[100] ^= 1
      return data
    },
  })
  const content = bytes(2 * PIECE_BYTES)
  const done = reach(wired.bob, 'done')
  await offerAndAccept(wired, content)
  assert.deepEqual(await contentOf(await done), content)
})

test('what is always spoiled fails, rather than arriving wrong', async () => {
  const wired = wire({
    spoil: (data) => {
      if (data instanceof ArrayBuffer) new Uint8Array(data)[100] ^= 1
      return data
    },
  })
  const failed = reach(wired.bob, 'failed')
  await offerAndAccept(wired, bytes(100_000))
  assert.equal((await failed).blob, null)
})

test('either side may cancel, and others may not', async () => {
  const wired = wire()
  const offered = reach(wired.bob, 'offered')
  wired.ann.offer(new File([bytes(9)], 'x'), ['bob'])
  const transfer = await offered
  wired.bob.receive('mallory', JSON.stringify({ type: 'file-cancel', id: transfer.id }))
  assert.equal(transfer.state, 'offered')
  const cancelled = reach(wired.ann, 'cancelled')
  wired.bob.cancel(transfer)
  await cancelled
  assert.equal(transfer.state, 'cancelled')
})

test('nobody adds to another’s file, nor more than was offered', async () => {
  const { ann, bob } = wire()
  void ann
  bob.receive('ann', JSON.stringify({ type: 'file', id: ID, name: 'x', size: 4 }))
  bob.accept(ID)
  bob.receive('mallory', encodeChunk(ID, 0, bytes(4)))
  bob.receive('ann', encodeChunk(ID, 0, bytes(5)))
  const done = reach(bob, 'done')
  bob.receive('ann', encodeChunk(ID, 0, Uint8Array.of(1, 2, 3, 4)))
  bob.receive('ann', JSON.stringify({ type: 'file-piece', id: ID, offset: 4, digest: '' }))
  assert.deepEqual(await contentOf(await done), Uint8Array.of(1, 2, 3, 4))
})

test('a flood of offers is cut short', () => {
  const { bob } = wire()
  let shown = 0
  bob.addEventListener('transfer', () => shown++)
  for (let i = 0; i < 100; i++) bob.receive('ann', JSON.stringify({ type: 'file', id: String(i).padStart(32, '0'), name: 'x', size: 1 }))
  assert.equal(shown, 20)
})

test('chunks are read as they were written', () => {
  assert.deepEqual(parseChunk(encodeChunk(ID, 2 ** 31 - 8, bytes(7))), { id: ID, offset: 2 ** 31 - 8, data: bytes(7) })
  for (const size of [0, 24, 24 + (60 << 10) + 1]) assert.equal(parseChunk(new ArrayBuffer(size)), null, `${size} bytes`)
  assert.equal(parseChunk(encodeChunk(ID, 2 ** 40, bytes(1))), null)
})

test('what is no message about a file is none', () => {
  const cases = [7, '', '{"type":"message"}', '{"type":"file"', '{"type":"file"}', `{"type":"file-want","id":"${ID}"}`,
    `{"type":"file","id":"${ID}","name":"x","size":-1}`, `{"type":"file","id":"${ID}","name":"x","size":1e12}`,
    `{"type":"file","id":"../../../x","name":"x","size":1}`, `{"type":"file-other","id":"${ID}"}`]
  for (const data of cases) assert.equal(parseFileMessage(data), null, String(data))
})

test('names are for showing and saving, not for leading elsewhere', () => {
  assert.equal(plainName('../../etc/passwd'), 'passwd')
  assert.equal(plainName('C:\\x\\photo.jpg'), 'photo.jpg')
  assert.equal(plainName('gpj.\u202eexe'), 'gpj.exe')
  assert.equal(plainName('\u0000'), 'file')
  assert.equal(plainName('x'.repeat(999)).length, 200)
})
