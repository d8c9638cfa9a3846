/**
 * One process at a time in a directory of a store.
 *
 * The lock is a Unix domain socket on which its holder listens and never says anything. The kernel takes it away with
 * the process, however that ends, so whoever can connect knows that the holder lives, and whoever is refused knows that it does not;
 * a process id alone would say neither across containers, nor after the number has been given away again. Beside it lies
 * a text that names the holder, for people.
 *
 * A socket is made under a name of its own and linked to the name of the lock, which fails when that is taken. A lock
 * whose holder is dead is moved aside first, looked at again, and put back if it was a fresh one after all.
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
const MAX_TRIES = 10

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
  const lockPath = join(directory, NAME)
  const ownPath = join(directory, `${NAME}.${nonce}`)
  const server = await listen(socketPath(directory, fd, `${NAME}.${nonce}`), directory)
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    try {
      fs.linkSync(ownPath, lockPath)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        server.close()
        throw storeError(error, 'lock', directory)
      }
      if (await isAlive(socketPath(directory, fd, NAME))) {
        server.close()
        throw inUse(directory)
      }
      await moveAside(directory, fd, nonce)
      continue
    }
    fs.rmSync(ownPath, { force: true })
    fs.writeFileSync(join(directory, OWNER), `${owner}\n`)
    return {
      release: () => {
        fs.rmSync(join(directory, OWNER), { force: true })
        fs.rmSync(lockPath, { force: true })
        server.close()
      },
    }
  }
  server.close()
  throw inUse(directory)
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

/** Removes a lock whose holder is dead, unless another process has taken it meanwhile. */
async function moveAside(directory: string, fd: number, nonce: string): Promise<void> {
  const lockPath = join(directory, NAME)
  const aside = `${NAME}.${nonce}.old`
  try {
    fs.renameSync(lockPath, join(directory, aside))
  } catch {
    return
  }
  if (await isAlive(socketPath(directory, fd, aside))) {
    try {
      fs.linkSync(join(directory, aside), lockPath)
    } catch {
      // A third process was quicker, and will find that the second one lives.
    }
  }
  fs.rmSync(join(directory, aside), { force: true })
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
