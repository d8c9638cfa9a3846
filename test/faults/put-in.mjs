/**
 * Puts a fault into the broker while it is loaded; no file changes. It is imported before tsx, which compiles what comes from here. The environment has
 * the changes of the fault in FAULT.
 */
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) register(import.meta.url)

const BROKER = new URL('../../src/broker/', import.meta.url).href
const changes = JSON.parse(process.env.FAULT ?? '[]')

/** A hook of node:module. Throws for a text that is not where it is said to be. */
export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context)
  const own = changes.filter(([file]) => url.split('?')[0] === BROKER + file)
  if (own.length === 0) return loaded
  let source = String(loaded.source)
  for (const [file, text, instead] of own) {
    const parts = source.split(text)
    if (parts.length !== 2) throw new Error(`${JSON.stringify(text)} occurs ${parts.length - 1} times in ${file}`)
    source = parts.join(instead)
  }
  return { ...loaded, source }
}
