/** Where rows go that a node gives up: a backup file, named after the node, the reason and the time. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Runtime } from '../actors/runtime.ts'
import { backup } from './backup/backup.ts'
import type { MnesiaOptions } from './mnesia.ts'

/** For `MnesiaOptions.backup`: files `NODE-REASON-TIME.backup` in a directory, which is made when it is not there. */
export function backupTo(runtime: Runtime, directory: string): MnesiaOptions['backup'] {
  return async (why, tables) => {
    const now = runtime.clock.now()
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const time = new Date(now).toISOString().replace(/[:.]/g, '-')
    const file = join(directory, `${runtime.node.name}-${why}-${time}.backup`)
    await backup({ file, tables, node: runtime.node.name, now })
    return file
  }
}
