/** Linux network namespaces: programs in one have a network of their own. */
import { chmod, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * @typedef {object} Namespace
 * @property {string} name
 * @property {(...words: string[]) => string[]} command the words that run those given in the namespace
 */

/**
 * For those who start a program by its path alone.
 *
 * @param {string} executable
 * @param {Namespace | undefined} namespace
 * @param {string} folder for a script, if need be; the caller removes it
 * @returns {Promise<string>} what to run instead, so that executable runs in the namespace
 */
export async function placed(executable, namespace, folder) {
  if (!namespace) return executable
  const script = path.join(folder, 'placed')
  const quoted = namespace.command(executable).map((word) => `'${word}'`).join(' ')
  await writeFile(script, `#!/bin/sh\nexec ${quoted} "$@"\n`)
  await chmod(script, 0o755)
  return script
}
