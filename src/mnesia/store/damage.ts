/**
 * What has been found damaged in a store, and is remembered until what was lost has come back from other members: a node that
 * dies again before that must not take the gap for the truth.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { syncDirectory } from './files.ts'

const NAME = 'damage.json'

export interface Damage {
  /** Name of the file in the directory of the store. */
  readonly file: string
  /** Name under which the file as it was found has been kept; undefined when there was none to keep. */
  readonly setAside: string | undefined
  /** Spaces in which keys may be missing, or older than they were; empty when nothing was lost. */
  readonly spaces: readonly string[] | 'all'
  /** A sentence. */
  readonly what: string
  /** When it was found; ISO 8601. */
  readonly foundAt: string
}

/** Whether keys of a space may be missing, or older than they were. */
export function isDamaged(damage: readonly Damage[], space: string): boolean {
  return damage.some(({ spaces }) => spaces === 'all' || spaces.includes(space))
}

/** What has been found and not been forgotten. */
export function readDamage(directory: string): readonly Damage[] {
  try {
    const read: unknown = JSON.parse(fs.readFileSync(join(directory, NAME), 'utf8'))
    if (Array.isArray(read)) return read
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
  }
  const what = `${NAME} is damaged itself: it had told what else is`
  return [{ file: NAME, setAside: undefined, spaces: 'all', what, foundAt: '' }]
}

/** Keeps the list, or removes it when it is empty; resolves when that is on disc. */
export async function writeDamage(directory: string, damage: readonly Damage[]): Promise<void> {
  const path = join(directory, NAME)
  if (damage.length === 0) {
    fs.rmSync(path, { force: true })
  } else {
    const fd = fs.openSync(`${path}.tmp`, 'w', 0o600)
    try {
      fs.writeFileSync(fd, `${JSON.stringify(damage, undefined, 2)}\n`)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(`${path}.tmp`, path)
  }
  await syncDirectory(directory)
}
