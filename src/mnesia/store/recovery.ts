/**
 * What a store finds in its directory when it starts: every file is read through once and each checksum compared, before a
 * row of it is believed.
 *
 * A log that ends in the middle of a group was cut short by a crash; the group was never promised, and is left out. Whatever else is wrong is
 * damage: the file as it was found is kept under another name, what can be read of it counts, and the spaces that may have lost
 * something are told. A rows file is written anew from its good blocks; a log goes into the next checkpoint in any case.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import type { Damage } from './damage.ts'
import { fileName, HEADER_BYTES, headerOf } from './file-header.ts'
import { BLOCK, type Gap, INDEX, scanFrames } from './frames.ts'
import { Log } from './log.ts'
import type { Positions } from './positions.ts'
import { describeBlock, openRowsFile, type RowsFile } from './rows-file.ts'
import { RowsWriter, TRAILER_BYTES } from './rows-writer.ts'
import type { Listing, StoreFile } from './store-files.ts'

export interface Recovery {
  readonly directory: string
  readonly storeId: string
  readonly positions: Positions | undefined
  /** The time, for names and records: ISO 8601. */
  readonly now: string
  /** Damage that has been found at earlier starts. */
  readonly known: readonly Damage[]
  /** Keeps a record of damage before anything is done about it. */
  readonly note: (damage: Damage) => Promise<void>
}

/** Reads all files. Rejects with the error of a system call, or a `StoreError` for a later format. */
export async function recover(
  recovery: Recovery,
  { files, missing }: Listing,
): Promise<{ readonly files: readonly RowsFile[]; readonly logs: readonly Log[]; readonly next: number }> {
  const rowsFiles: RowsFile[] = []
  const logs: Log[] = []
  for (const [i, file] of files.entries()) {
    const hole = missing.find(({ to }) => to === file.from - 1)
    if (hole !== undefined) {
      await noteHole(recovery, hole)
      if (logs.length === 0) rowsFiles.push(await emptyRows(recovery, hole))
      else logs.push(...(await emptyLogs(recovery, hole)))
    }
    if (file.kind === 'rows') rowsFiles.push(await recoverRows(recovery, file))
    else {
      const log = await recoverLog(recovery, file, i === files.length - 1)
      if (log !== undefined) logs.push(log)
    }
  }
  const last = files.at(-1)?.to ?? 0
  // Behind the last file nothing has to stand in for what is missing: its numbers are used again.
  for (const hole of missing) if (hole.from > last) await noteHole(recovery, hole)
  const written = Math.max(rowsFiles.at(-1)?.header.to ?? 0, logs.at(-1)?.number ?? 0)
  return { files: rowsFiles, logs, next: written + 1 }
}

interface Hole {
  readonly from: number
  readonly to: number
}

function noteHole({ note, now, storeId }: Recovery, { from, to }: Hole): Promise<void> {
  return note({
    file: fileName(headerOf(from === to ? 'log' : 'rows', storeId, from, to)),
    setAside: undefined,
    spaces: 'all',
    what: `what was written in logs ${from} to ${to} is missing: its file has been removed`,
    foundAt: now,
  })
}

/** Stands in for files that have vanished, so that they are not missed again at the next start. */
async function emptyRows({ directory, storeId }: Recovery, { from, to }: Hole): Promise<RowsFile> {
  return opened(await new RowsWriter(directory, headerOf('rows', storeId, from, to)).finish())
}

/** The same among logs, which are all newer than rows files. */
async function emptyLogs({ directory, storeId }: Recovery, { from, to }: Hole): Promise<Log[]> {
  const logs: Log[] = []
  for (let number = from; number <= to; number++) {
    const log = new Log(directory, headerOf('log', storeId, number))
    await log.flushEmpty()
    logs.push(log)
  }
  return logs
}

async function recoverRows(recovery: Recovery, file: StoreFile): Promise<RowsFile> {
  const opened = file.storeId === recovery.storeId ? await openRowsFile(file.path) : undefined
  const found = await lookThrough(recovery, file, opened)
  if (opened !== undefined && found.isWhole) return opened
  const spaces = found.isWhole ? [] : spacesAt(opened, found.gaps)
  opened?.release()
  return rewrite(recovery, file, spaces)
}

/** Compares all checksums. The file is whole when each block that it ever had is there. */
async function lookThrough(
  { storeId }: Recovery,
  file: StoreFile,
  opened: RowsFile | undefined,
): Promise<{ readonly isWhole: boolean; readonly gaps: readonly Gap[] }> {
  const fd = fs.openSync(file.path, 'r')
  try {
    const end = fs.fstatSync(fd).size - TRAILER_BYTES
    const gaps: Gap[] = []
    let blocks = 0
    let expected = opened && [...opened.spaces.values()].reduce((sum, { offsets }) => sum + offsets.length, 0)
    for await (const frame of scanFrames({ fd, salt: headerOf('rows', storeId, 1).salt }, HEADER_BYTES, end)) {
      if (frame.kind === BLOCK) blocks++
      const head = frame.kind === 'gap' ? frame.was : frame
      // The header of an index tells how many blocks there were, even when the index itself is damaged.
      if (head?.kind === INDEX) expected ??= head.sequence
      else if (frame.kind === 'gap') gaps.push(frame)
    }
    return { isWhole: blocks === expected, gaps }
  } finally {
    fs.closeSync(fd)
  }
}

/** The spaces that had blocks in the gaps. Without an index nobody knows. */
function spacesAt(file: RowsFile | undefined, gaps: readonly Gap[]): readonly string[] | 'all' {
  if (file === undefined) return 'all'
  return [...file.spaces]
    .filter(([, { offsets, lengths }]) =>
      offsets.some((offset, i) => gaps.some((gap) => gap.offset < offset + lengths[i]! && offset < gap.end)),
    )
    .map(([name]) => name)
}

/** Sets a rows file aside and writes it anew from what is good in it. */
async function rewrite(recovery: Recovery, file: StoreFile, spaces: readonly string[] | 'all'): Promise<RowsFile> {
  const { directory, storeId } = recovery
  const what =
    spaces.length === 0
      ? `${file.name} was damaged, in no place where rows are: it has been written anew`
      : `${file.name} was damaged: ${KEPT}`
  await noteDamage(recovery, file, spaces, what)
  const header = headerOf('rows', storeId, file.from, file.to)
  const writer = new RowsWriter(directory, header)
  const fd = fs.openSync(file.path, 'r')
  try {
    let last: string | undefined
    for await (const frame of scanFrames({ fd, salt: header.salt }, HEADER_BYTES, fs.fstatSync(fd).size)) {
      if (frame.kind !== BLOCK) continue
      const { name, isCleared, rows, reader } = describeBlock(frame.bytes, frame.from, frame.to)
      if (name !== last) writer.beginSpace(name, isCleared)
      last = name
      for (let i = 0; i < rows; i++) {
        const key = reader.text()
        reader.value()
        writer.add(key, reader.bytes, reader.valueFrom, reader.valueTo)
      }
      if (writer.isFull) await writer.write()
    }
    return await opened(await writer.finish())
  } catch (error) {
    writer.abandon()
    throw error
  } finally {
    fs.closeSync(fd)
  }
}

async function opened(path: string): Promise<RowsFile> {
  const file = await openRowsFile(path)
  if (file === undefined) throw new Error(`${path} is not what has just been written there`)
  return file
}

/** Undefined for the last log when nothing had got into it. */
async function recoverLog(recovery: Recovery, file: StoreFile, isLast: boolean): Promise<Log | undefined> {
  const log = new Log(recovery.directory, headerOf('log', recovery.storeId, file.from))
  const fd = fs.openSync(file.path, 'r+')
  try {
    const { size } = fs.fstatSync(fd)
    const { gapAt, end, groups } = await log.replay(fd, size)
    const promised = recovery.positions?.logs.get(file.from) ?? 0
    // A tail that may never have been promised to anybody; without a note of what was, it may have been.
    const isCutShort = isLast && recovery.positions !== undefined && end <= gapAt && end >= promised
    if (gapAt < size ? !isCutShort : size < promised) {
      await noteDamage(recovery, file, 'all', `${file.name} was damaged at byte ${Math.min(gapAt, size)}: ${KEPT}`)
      return log
    }
    if (groups === 0 && isLast) {
      fs.rmSync(file.path, { force: true })
      return undefined
    }
    if (end < size) fs.ftruncateSync(fd, end)
    if (file.storeId === undefined)
      await noteDamage(recovery, file, [], `the first bytes of ${file.name} were damaged: nothing is lost`)
    return log
  } finally {
    fs.closeSync(fd)
  }
}

const KEPT = 'what could be read of it has been kept'

/** Keeps a damaged file as it is under another name, and the fact. */
async function noteDamage(
  { directory, known, note, now, storeId }: Recovery,
  { name, path, storeId: ofFile }: StoreFile,
  spaces: readonly string[] | 'all',
  what: string,
): Promise<void> {
  const { ino } = fs.statSync(path)
  const isNoted = known.some(({ file, setAside }) => {
    if (file !== name || setAside === undefined) return false
    return fs.statSync(join(directory, setAside), { throwIfNoEntry: false })?.ino === ino
  })
  if (isNoted) return
  const setAside = `${name}.damaged-${now.replaceAll(/[:.]/g, '-')}`
  try {
    fs.linkSync(path, join(directory, setAside))
  } catch {
    // Not every file system has links.
    fs.copyFileSync(path, join(directory, setAside))
  }
  const isForeign = ofFile !== undefined && ofFile !== storeId
  await note({ file: name, setAside, spaces, what: isForeign ? `${name} is of another store` : what, foundAt: now })
}
