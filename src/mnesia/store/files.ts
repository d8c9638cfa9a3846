/**
 * Files as the store uses them: whole reads and writes at a position, whatever the system calls leave undone, and the
 * flush of a directory, without which a file that was made or renamed may be gone after a loss of power.
 */
import fs from 'node:fs'
import { StoreError, type StoreFault } from '../errors.ts'

const MAX_BUFFERS = 64

/** Reads until `buffer` is full or the file ends; resolves with the number of bytes. */
export async function readAt(fd: number, buffer: Buffer, position: number): Promise<number> {
  let done = 0
  while (done < buffer.length) {
    const bytes = await new Promise<number>((resolve, reject) => {
      fs.read(fd, buffer, done, buffer.length - done, position + done, (error, read) =>
        error ? reject(error) : resolve(read),
      )
    })
    if (bytes === 0) break
    done += bytes
  }
  return done
}

/** The same at once. */
export function readAtSync(fd: number, buffer: Buffer, position: number): number {
  let done = 0
  while (done < buffer.length) {
    const bytes = fs.readSync(fd, buffer, done, buffer.length - done, position + done)
    if (bytes === 0) break
    done += bytes
  }
  return done
}

export async function writeAt(fd: number, buffers: readonly Buffer[], position: number): Promise<void> {
  let waiting = buffers.filter(({ length }) => length > 0)
  let at = position
  while (waiting.length > 0) {
    let written = await writeSome(fd, waiting.slice(0, MAX_BUFFERS), at)
    at += written
    while (waiting.length > 0 && written >= waiting[0]!.length) written -= waiting.shift()!.length
    if (written > 0) waiting = [waiting[0]!.subarray(written), ...waiting.slice(1)]
  }
}

function writeSome(fd: number, buffers: readonly Buffer[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: NodeJS.ErrnoException | null, written: number): void =>
      error ? reject(error) : resolve(written)
    if (buffers.length === 1) fs.write(fd, buffers[0]!, 0, buffers[0]!.length, position, done)
    else fs.writev(fd, buffers, position, done)
  })
}

/** Resolves when the contents of the file are on disc. */
export function syncData(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()))
  })
}

/** Resolves when the names in a directory are on disc. */
export async function syncDirectory(directory: string): Promise<void> {
  let handle: fs.promises.FileHandle
  try {
    handle = await fs.promises.open(directory, 'r')
  } catch (error) {
    // Windows opens no directory, and needs no flush of one.
    if (process.platform === 'win32') return
    throw error
  }
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const FAULTS: ReadonlyMap<string, StoreFault> = new Map([
  ['ENOSPC', 'disc_full'],
  ['EDQUOT', 'disc_full'],
  ['EFBIG', 'disc_full'],
  ['EACCES', 'not_writable'],
  ['EPERM', 'not_writable'],
  ['EROFS', 'not_writable'],
])

const REMEDIES: Readonly<Partial<Record<StoreFault, string>>> = {
  disc_full: 'no room left; what was written waits in memory until there is',
  not_writable: 'it must be writable for the user that runs the node',
}

/** The error of a system call, told for people: what was being done, where, and what helps. */
export function storeError(error: unknown, doing: string, path: string): StoreError {
  if (error instanceof StoreError) return error
  const { code, message } = error as NodeJS.ErrnoException
  const fault = FAULTS.get(code ?? '') ?? 'io'
  const remedy = REMEDIES[fault]
  return new StoreError(fault, `cannot ${doing} ${path}: ${remedy ?? message}${remedy && code ? ` (${code})` : ''}`, {
    cause: error,
  })
}
