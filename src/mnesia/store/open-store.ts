/**
 * Opens the store in a directory: takes the lock, reads through the files, and says what is damaged.
 *
 * The directory belongs to the store: files of its own making lie in it (docs/mnesia.md names them) and others are left alone.
 */
import fs from 'node:fs'
import type { System } from '../../actors/system.ts'
import { type Damage, readDamage, writeDamage } from './damage.ts'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { STORE_ID_BYTES } from './file-header.ts'
import { storeError } from './files.ts'
import { LogStore, type LogStoreOptions } from './log-store.ts'
import { PositionsFile, readPositions } from './positions.ts'
import { recover } from './recovery.ts'
import { commonStoreId, listFiles } from './store-files.ts'

export interface OpenStoreOptions extends LogStoreOptions {
  /** Made when it is not there. */
  readonly directory: string
  readonly system: Pick<System, 'timers' | 'clock' | 'randomFill'>
  /** Whom others are told of that want the directory too, besides the process id; the name of the node. */
  readonly owner?: string
}

export interface OpenedStore {
  readonly store: LogStore
  /**
   * What has been found damaged, now or at an earlier start, and not been forgotten with `LogStore.forgetDamage`. Rows of the spaces that
   * are named may be missing, or older than they were; the node runs with them, and has them compared with other members'.
   */
  readonly damage: readonly Damage[]
}

/** Opens the store of a directory. Rejects with a `StoreError`: in use, not writable, full, of a later format. */
export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const { directory, system, owner = 'a node' } = options
  let lock: DirectoryLock | undefined
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
    const who = `process ${process.pid} (${owner}, since ${new Date(system.clock.now()).toISOString()})`
    lock = await lockDirectory(directory, who, randomHex(system, STORE_ID_BYTES))
    return await openLocked(options, lock)
  } catch (error) {
    lock?.release()
    throw storeError(error, 'open the store in', directory)
  }
}

async function openLocked(options: OpenStoreOptions, lock: DirectoryLock): Promise<OpenedStore> {
  const { directory, system } = options
  const damage = [...readDamage(directory)]
  const positions = readPositions(directory)
  const listing = listFiles(directory, positions)
  const storeId = commonStoreId(listing.files, positions) ?? randomHex(system, STORE_ID_BYTES)
  const contents = await recover(
    {
      directory,
      storeId,
      positions,
      now: new Date(system.clock.now()).toISOString(),
      known: damage,
      note: async (found) => {
        damage.push(found)
        await writeDamage(directory, damage)
      },
    },
    listing,
  )
  const store = new LogStore({ ...contents, directory, storeId, lock, damage }, new PositionsFile(directory), options)
  await store.start()
  return { store, damage }
}

function randomHex(system: Pick<System, 'randomFill'>, bytes: number): string {
  const buffer = Buffer.alloc(bytes)
  system.randomFill(buffer)
  return buffer.toString('hex')
}
