/**
 * Which files make up a store, by their names: the whole of what was written is in the rows files and logs whose numbers
 * follow each other from 1 on without a hole.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { decodeHeader, type FileKind, fileName, HEADER_BYTES, parseFileName } from './file-header.ts'
import { UNFINISHED } from './new-file.ts'
import type { Positions } from './positions.ts'

export interface StoreFile {
  readonly kind: FileKind
  readonly name: string
  readonly path: string
  readonly from: number
  readonly to: number
  /** Of its header; undefined when that is damaged. */
  readonly storeId: string | undefined
}

export interface Listing {
  /** Those that count, oldest first. */
  readonly files: readonly StoreFile[]
  /** First and last numbers that no file covers, though they must have been written. */
  readonly missing: readonly { readonly from: number; readonly to: number }[]
}

/** Looks through the directory, and removes what a crash has left over: files never finished, and those that a checkpoint has replaced. */
export function listFiles(directory: string, positions: Positions | undefined): Listing {
  const all: StoreFile[] = []
  for (const name of fs.readdirSync(directory)) {
    const path = join(directory, name)
    if (name.endsWith(UNFINISHED)) fs.rmSync(path, { force: true })
    const parsed = parseFileName(name)
    if (parsed !== undefined && fileName(parsed) === name) {
      all.push({ ...parsed, name, path, storeId: storeIdOf(parsed.kind, path) })
    }
  }
  const files: StoreFile[] = []
  // The one that covers most comes first of those with the same beginning; the rest have been merged into it.
  for (const file of all.sort((a, b) => a.from - b.from || b.to - a.to || (a.kind === 'rows' ? -1 : 1))) {
    const before = files.at(-1)
    if (before !== undefined && file.to <= before.to) fs.rmSync(file.path, { force: true })
    else files.push(file)
  }
  return { files, missing: holesIn(files, positions) }
}

function holesIn(files: readonly StoreFile[], positions: Positions | undefined): { from: number; to: number }[] {
  const missing: { from: number; to: number }[] = []
  let next = 1
  for (const { from, to } of files) {
    if (from > next) missing.push({ from: next, to: from - 1 })
    next = to + 1
  }
  const flushed = [...(positions?.logs ?? [])].filter(([, flushedTo]) => flushedTo > 0).map(([number]) => number)
  const last = Math.max(positions?.covered ?? 0, ...flushed)
  if (last >= next) missing.push({ from: next, to: last })
  return missing
}

function storeIdOf(kind: FileKind, path: string): string | undefined {
  const fd = fs.openSync(path, 'r')
  try {
    const head = Buffer.alloc(HEADER_BYTES)
    const length = fs.readSync(fd, head, 0, HEADER_BYTES, 0)
    return decodeHeader(kind, head.subarray(0, length), path)?.storeId
  } finally {
    fs.closeSync(fd)
  }
}

/** The id that most of the files have; undefined when none of them tells. */
export function commonStoreId(files: readonly StoreFile[], positions: Positions | undefined): string | undefined {
  const votes = new Map<string, number>()
  for (const id of [positions?.storeId, ...files.map(({ storeId }) => storeId)]) {
    if (id !== undefined) votes.set(id, (votes.get(id) ?? 0) + 1)
  }
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0]
}
