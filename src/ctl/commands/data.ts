/**
 * `data`: rows of shared tables to a file, and back. A file is one of `data export`, or one that a node wrote when it joined, left or was
 * removed; tables have the same form in all of them.
 *
 * Files are the node's, not those of whoever types the command, which may be on another machine: a path that is not absolute is
 * below the data directory of the node, and answers have it whole.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { backup } from '../../mnesia/backup/backup.ts'
import { backupInfo } from '../../mnesia/backup/backup-reader.ts'
import { restore } from '../../mnesia/backup/restore.ts'
import { BackupError } from '../../mnesia/errors.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import { CONFIRM, type Command, type CtlContext, done, type Outcome, refused, YES } from '../command.ts'

const MISSING_ONLY = '--missing-only'

export const data: Command = {
  name: 'data',
  usages: [
    { syntax: `data export <File> [${YES}]`, text: 'Save all shared tables to a file on the node' },
    { syntax: 'data show <File>', text: 'What is in such a file, or in a backup of `cluster join`' },
    { syntax: 'data import <File>', text: 'Bring its rows back, in place of those with the same key' },
    { syntax: `data import <File> ${MISSING_ONLY}`, text: 'Bring only rows back that are not there' },
  ],
  async run(context, [action, name, option, ...more]) {
    if (name === undefined || more.length > 0) return undefined
    const file = resolve(context.program?.dataDir ?? '.', name)
    try {
      if (action === 'export' && (option === undefined || option === YES)) {
        return await save(context, file, option === YES)
      }
      if (action === 'show' && option === undefined) return await show(file)
      if (action === 'import' && (option === undefined || option === MISSING_ONLY)) {
        return await bringBack(context.services.mnesia, file, option === MISSING_ONLY)
      }
      return undefined
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      return refused(error.message, 'bad_file')
    }
  },
}

async function save(
  { runtime, services: { mnesia } }: CtlContext,
  file: string,
  isConfirmed: boolean,
): Promise<Outcome> {
  if (!isConfirmed && existsSync(file)) {
    const message = `${file} is there already and would be replaced`
    return { ok: false, lines: [`${message}; confirm with ${YES}`], data: { error: CONFIRM, message } }
  }
  const { node, cluster } = mnesia.status()
  const tables = sharedTables(mnesia)
  const info = await backup({ file, tables, node, cluster, now: runtime.clock.now() })
  const lines = info.tables.map(({ name, rows }) => `${name}: ${rows} rows`)
  return done([...lines, `Exported to ${file}`], { file, tables: info.tables })
}

/** Tables that the members share and that this node has on disc. */
function sharedTables(mnesia: Mnesia) {
  const names = mnesia
    .systemInfo()
    .tables.filter(({ replication, copy }) => replication === 'shared' && copy === 'disc_copies')
    .map(({ name }) => name)
  return names.map((name) => mnesia.table(name)!)
}

async function show(file: string): Promise<Outcome> {
  const info = await backupInfo(file)
  const { node, at, tables } = info
  return done([`of ${node}, ${at}`, ...tables.map(({ name, rows }) => `${name}: ${rows} rows`)], { file, ...info })
}

async function bringBack(mnesia: Mnesia, file: string, missingOnly: boolean): Promise<Outcome> {
  const { node } = mnesia.status()
  const table = (name: string) => mnesia.table(name)
  const { tables } = await restore({ file, table, node, defaultOp: 'keep_tables', missingOnly })
  const lines = tables.map(({ name, rows, written, kept }) => `${name}: ${rows} rows, ${written} written, ${kept} kept`)
  return done([...lines, `Imported from ${file}`], { file, tables })
}
