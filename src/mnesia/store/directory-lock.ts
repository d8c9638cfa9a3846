/**
 * One process at a time in a directory of a store.
 *
 * A lock is a Unix domain socket on which its holder listens and never says anything. The kernel takes it away with the process,
 * however that ends, so whoever can connect knows that the holder lives, and whoever is refused knows that it does not; a
 * process id alone would say neither across containers, nor after the number has been given away again.
 *
 * Locks are numbered, and the greatest counts. Whoever finds its holder dead links a socket of its own to the next number, which one of
 * many can do, looks whether a greater one has come up meanwhile, and removes the smaller ones. The greatest is never removed, not
 * even by its holder at the end: then it could be taken for dead by one process and for absent by another.
 */
import fs from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { StoreError } from '../errors.ts'
import { storeError } from './files.ts'

const NAME = 'lock'
const OWNER = 'lock.owner'
/** Longest path that can be bound [unix(7): 108 bytes on Linux, 104 elsewhere, one of them a zero]. */
const MAX_SOCKET_PATH = 103
/** Each try that fails has seen another process succeed. */
const MAX_TRIES = 100

export interface DirectoryLock {
  release(): void
}

/** Takes the lock. Rejects with a `StoreError` that names the holder when there is one. */
export async function lockDirectory(directory: string, owner: string, nonce: string): Promise<DirectoryLock> {
  // Through a descriptor of the directory the path is short however deep the directory lies.
  const fd = fs.openSync(directory, 'r')
  try {
    return await lock(directory, fd, owner, nonce)
  } finally {
    fs.closeSync(fd)
  }
}

async function lock(directory: string, fd: number, owner: string, nonce: string): Promise<DirectoryLock> {
  const ownPath = join(directory, `${NAME}.${nonce}`)
  const server = await listen(socketPath(directory, fd, `${NAME}.${nonce}`), directory)
  try {
    await takeNext(directory, fd, ownPath)
    fs.writeFileSync(join(directory, OWNER), `${owner}\n`)
  } catch (error) {
    server.close()
    throw storeError(error, 'lock', directory)
  } finally {
    fs.rmSync(ownPath, { force: true })
  }
  return {
    release: () => {
      fs.rmSync(join(directory, OWNER), { force: true })
      server.close()
    },
  }
}

/** Links the socket to the next number, or throws when a holder lives. */
async function takeNext(directory: string, fd: number, ownPath: string): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const greatest = Math.max(0, ...numbersIn(directory))
    if (greatest > 0 && (await isAlive(socketPath(directory, fd, `${NAME}.${greatest}`)))) throw inUse(directory)
    const path = join(directory, `${NAME}.${greatest + 1}`)
    try {
      fs.linkSync(ownPath, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      continue
    }
    const others = numbersIn(directory).filter((number) => number !== greatest + 1)
    if (others.every((number) => number <= greatest)) {
      for (const number of others) fs.rmSync(join(directory, `${NAME}.${number}`), { force: true })
      return
    }
    fs.rmSync(path, { force: true })
  }
  throw inUse(directory)
}

function numbersIn(directory: string): number[] {
  return fs.readdirSync(directory).flatMap((name) => {
    const match = /^lock\.(\d{1,15})$/.exec(name)
    return match === null ? [] : [Number(match[1])]
  })
}

function inUse(directory: string): StoreError {
  let owner = 'another process'
  try {
    owner = fs.readFileSync(join(directory, OWNER), 'utf8').trim() || owner
  } catch {
    // It has been taken a moment ago.
  }
  return new StoreError(
    'in_use',
    `${directory} is in use by ${owner}: stop it first, or give this node another data directory`,
  )
}

function socketPath(directory: string, fd: number, name: string): string {
  const path = join(directory, name)
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  if (process.platform === 'linux') return `/proc/self/fd/${fd}/${name}`
  throw new StoreError('io', `${directory} is too long a path: at most ${MAX_SOCKET_PATH - name.length} bytes`)
}

function listen(path: string, directory: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy())
    server.once('error', (error) => reject(storeError(error, 'lock', directory)))
    server.listen(path, () => {
      // The lock alone keeps no process going.
      server.unref()
      resolve(server)
    })
  })
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Full queues are those of a holder that does not run at the moment.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}
