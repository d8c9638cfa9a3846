/**
 * A checkpoint: what several logs and rows files hold becomes one rows file.
 *
 * It is written in the background, a quarter of a megabyte at a time, while the store goes on; what it reads does not change any
 * more. When it holds all since the first log, keys that were removed and the marks of cleared spaces are left out: there is
 * nothing older that they would hide.
 */
import { turn } from '../keys-in-order.ts'
import type { FileHeader } from './file-header.ts'
import type { Log } from './log.ts'
import { LogSource, nextOf, RowsSource, type Source } from './merge.ts'
import { REMOVED } from './records.ts'
import type { RowsFile } from './rows-file.ts'
import { RowsWriter } from './rows-writer.ts'

const ROWS_AT_A_TIME = 2000

/** Thrown out of a checkpoint that was told to stop. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned'
}

export interface CheckpointInput {
  readonly directory: string
  readonly header: FileHeader
  /** Newest first; all logs are newer than all files. */
  readonly logs: readonly Log[]
  readonly files: readonly RowsFile[]
  readonly isAbandoned: () => boolean
}

/** Writes the file and resolves with its path. Rejects with the error of a system call, having removed what it wrote. */
export async function writeCheckpoint({
  directory,
  header,
  logs,
  files,
  isAbandoned,
}: CheckpointInput): Promise<string> {
  const writer = new RowsWriter(directory, header)
  try {
    const isWhole = header.from === 1
    let rows = 0
    for (const name of spacesOf(logs, files)) {
      const { sources, isCleared } = sourcesOf(name, logs, files)
      writer.beginSpace(name, isCleared && !isWhole)
      for (const source of sources) await forward(source)
      for (let next = nextOf(sources); next !== undefined; next = nextOf(sources)) {
        const { key, reader } = next as Source & { key: string }
        if (reader.valueFrom !== REMOVED || !isWhole) writer.add(key, reader.bytes, reader.valueFrom, reader.valueTo)
        if (writer.isFull) {
          await writer.write()
          rows = 0
        } else if (++rows >= ROWS_AT_A_TIME) {
          await turn()
          rows = 0
        }
        if (rows === 0 && isAbandoned()) throw new Abandoned()
        for (const source of sources) {
          if (source.key === key && !source.advance()) await loadNext(source)
        }
      }
    }
    return await writer.finish()
  } catch (error) {
    writer.abandon()
    throw error
  }
}

async function forward(source: Source): Promise<void> {
  if (!source.advance()) await loadNext(source)
}

async function loadNext(source: Source): Promise<void> {
  await source.load()
  source.advance()
}

/** Names of all spaces, those that are empty by now included, in their order. */
export function spacesOf(logs: readonly Log[], files: readonly RowsFile[]): string[] {
  const names = new Set<string>()
  for (const { spaces } of logs) for (const name of spaces.keys()) names.add(name)
  for (const { spaces } of files) for (const name of spaces.keys()) names.add(name)
  return [...names].sort()
}

/** Walks through what the files hold of a space, newest first; `isCleared` when older files would not count. */
export function sourcesOf(
  name: string,
  logs: readonly Log[],
  files: readonly RowsFile[],
): { readonly sources: Source[]; readonly isCleared: boolean } {
  const sources: Source[] = []
  for (const log of logs) {
    const space = log.spaces.get(name)
    if (space === undefined) continue
    if (space.rows.size > 0) sources.push(new LogSource(log, space))
    if (space.clearedAt >= 0) return { sources, isCleared: true }
  }
  for (const file of files) {
    const space = file.spaces.get(name)
    if (space === undefined) continue
    sources.push(new RowsSource(file, space))
    if (space.isCleared) return { sources, isCleared: true }
  }
  return { sources, isCleared: false }
}
