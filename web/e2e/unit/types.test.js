import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const E2E = fileURLToPath(new URL('..', import.meta.url))

test('hairpin.d.ts is what tsc makes of hairpin.js', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'hairpin-types-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const tsc = path.join(E2E, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.types.json', '--outDir', folder], { cwd: E2E })
  const made = await readFile(path.join(folder, 'hairpin.d.ts'), 'utf8')
  assert.equal(await readFile(path.join(E2E, '../static/hairpin.d.ts'), 'utf8'), made, 'run npm run types')
})
