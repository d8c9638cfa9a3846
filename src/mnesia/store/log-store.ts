/**
 * The store on disc: an append log with sorted checkpoints. `openStore` makes one.
 *
 * What is committed goes into the log at once, in memory, and to disc in groups: all of a turn together, and all that comes while a
 * flush is under way in the next. A log that has grown is followed by a new one, and becomes part of a rows file in the
 * background. Rows files are merged as they come, each at least as large as all later ones together, so that there are few.
 *
 * When the disc refuses, whoever waits is told, nothing is dropped, and the same bytes are written again every second. What waits is
 * condensed when it grows, to the last value of each key, so a disc that stays full costs no more memory than there are rows.
 */
import fs from 'node:fs'
import { basename } from 'node:path'
import type { System, TimerHandle } from '../../actors/system.ts'
import { StoreError } from '../errors.ts'
import { Abandoned, sourcesOf, spacesOf, writeCheckpoint } from './checkpoint.ts'
import { type Damage, writeDamage } from './damage.ts'
import type { DirectoryLock } from './directory-lock.ts'
import { headerOf } from './file-header.ts'
import { storeError } from './files.ts'
import { Log } from './log.ts'
import { mergedRows } from './merge.ts'
import type { PositionsFile } from './positions.ts'
import { openRowsFile, type RowsFile } from './rows-file.ts'
import type { Store, StoreOperation } from './store.ts'

/** A log that is longer is followed by a new one. */
const LOG_BYTES = 16 << 20
/** What waits for a disc that refuses is condensed when it is more. */
const WAITING_BYTES = 64 << 20
const RETRY_MS = 1000
const CHECKPOINT_RETRY_MS = 10_000
/** How far behind the note of what has been flushed may be. */
const POSITIONS_MS = 200
const MAX_FILES = 8

export interface LogStoreOptions {
  readonly system: Pick<System, 'timers'>
  /** Called when the disc begins to refuse, and again when it refuses for another reason. Must not throw. */
  readonly onFailure?: ((error: StoreError) => void) | undefined
  /** Called when all that waited is on disc after all. */
  readonly onRecovery?: (() => void) | undefined
  /** A log that is longer is followed by a new one, bytes. @default 16 MiB */
  readonly logBytes?: number | undefined
  /** What waits for a disc that refuses is condensed when it is more, bytes. @default 64 MiB */
  readonly waitingBytes?: number | undefined
  /** ms between two tries to write to a disc that refuses. @default 1000 */
  readonly retryMs?: number | undefined
}

/** What recovery has found. */
export interface StoreContents {
  readonly directory: string
  readonly storeId: string
  /** Oldest first. */
  readonly files: readonly RowsFile[]
  readonly logs: readonly Log[]
  /** Number of the next log. */
  readonly next: number
  readonly lock: DirectoryLock
  readonly damage: readonly Damage[]
}

export interface StoreInfo {
  readonly directory: string
  /** Bytes on disc, of rows files and of logs. */
  readonly rowsBytes: number
  readonly logBytes: number
  /** Bytes that a crash would lose, none of them promised to anybody. */
  readonly waitingBytes: number
  readonly files: readonly string[]
  /** Why the disc refuses; undefined when it does not. */
  readonly failure: StoreError | undefined
}

interface Waiter {
  /** Number of commits that have to be on disc. */
  readonly commits: number
  readonly resolve: () => void
  readonly reject: (error: StoreError) => void
}

export class LogStore implements Store {
  readonly isDurable = true
  readonly directory: string
  readonly #options: LogStoreOptions
  readonly #storeId: string
  readonly #lock: DirectoryLock
  /** Oldest first. */
  #files: RowsFile[]
  /** Oldest first; the last takes commits, unless it is full. */
  #logs: Log[]
  #next: number
  readonly #positions: PositionsFile
  #positionsTimer: TimerHandle | undefined
  /** Settles when no note is being written: a descriptor that is closed too early is soon another file's. */
  #positionsWritten: Promise<void> = Promise.resolve()
  /** Commits so far, and those that are on disc. */
  #commits = 0
  #flushedCommits = 0
  readonly #waiters: Waiter[] = []
  #isFlushing = false
  #isFlushDue = false
  #retryTimer: TimerHandle | undefined
  #condenseAbove: number
  #failure: StoreError | undefined
  #checkpoint: Promise<void> | undefined
  #checkpointTimer: TimerHandle | undefined
  #checkpointFailure: StoreError | undefined
  #isClosed = false
  #damage: readonly Damage[]
  readonly #watchers: ((failure: StoreError | undefined) => void)[] = []

  constructor(contents: StoreContents, positions: PositionsFile, options: LogStoreOptions) {
    this.directory = contents.directory
    this.#storeId = contents.storeId
    this.#lock = contents.lock
    this.#files = [...contents.files]
    this.#logs = [...contents.logs]
    this.#next = contents.next
    this.#positions = positions
    this.#damage = contents.damage
    this.#options = options
    this.#condenseAbove = options.waitingBytes ?? WAITING_BYTES
  }

  /** Notes what the files hold, and begins to work in the background. */
  async start(): Promise<void> {
    await this.#writePositions(true)
    this.#startCheckpoint()
  }

  /** Why the disc refuses; undefined when it does not. */
  get failure(): StoreError | undefined {
    return this.#failure ?? this.#checkpointFailure
  }

  get(space: string, key: string): Uint8Array | undefined {
    for (let i = this.#logs.length - 1; i >= 0; i--) {
      const log = this.#logs[i]!
      const found = log.spaces.get(space)
      if (found === undefined) continue
      const offset = found.rows.get(key)
      if (offset !== undefined) return offset < 0 ? undefined : log.value(offset)
      if (found.clearedAt >= 0) return undefined
    }
    for (let i = this.#files.length - 1; i >= 0; i--) {
      const file = this.#files[i]!
      const value = file.get(space, key)
      if (value !== null) return value
      if (file.spaces.get(space)?.isCleared) return undefined
    }
    return undefined
  }

  /** As of its beginning, but for keys that are removed with `clear`. Values are views of the bytes that were read. */
  *entries(space: string): IterableIterator<readonly [key: string, value: Uint8Array]> {
    const files = [...this.#files].reverse()
    for (const file of files) file.hold()
    try {
      yield* mergedRows(sourcesOf(space, [...this.#logs].reverse(), files).sources)
    } finally {
      for (const file of files) file.release()
    }
  }

  count(space: string): number {
    const [file, ...others] = this.#files.filter(({ spaces }) => spaces.has(space))
    const isInLogs = this.#logs.some(({ spaces }) => spaces.has(space))
    if (others.length === 0 && !isInLogs) return file?.spaces.get(space)?.live ?? 0
    let count = 0
    for (const _ of this.entries(space)) count++
    return count
  }

  spaces(): readonly string[] {
    return spacesOf(this.#logs, this.#files).filter((name) => {
      for (const _ of this.entries(name)) return true
      return false
    })
  }

  commit(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) return
    this.#log().add(operations)
    this.#committed()
  }

  clear(space: string): void {
    this.#log().clear(space)
    this.#committed()
  }

  flushed(): Promise<void> {
    if (this.#flushedCommits === this.#commits) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ commits: this.#commits, resolve, reject })
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    let failure: unknown
    try {
      // A disc that refuses is asked once more.
      if (this.#failure !== undefined) this.#retry()
      await this.flushed()
    } catch (error) {
      failure = error
    }
    this.#isClosed = true
    await this.#checkpoint
    const { timers } = this.#options.system
    for (const timer of [this.#retryTimer, this.#positionsTimer, this.#checkpointTimer]) {
      if (timer !== undefined) timers.clear(timer)
    }
    await this.#positionsWritten
    await this.#writePositions(true)
    this.#positions.close()
    for (const log of this.#logs) log.close()
    for (const file of this.#files) file.release()
    this.#lock.release()
    if (failure !== undefined) throw failure
  }

  get damage(): readonly Damage[] {
    return this.#damage
  }

  async forgetDamage(): Promise<void> {
    try {
      await writeDamage(this.directory, [])
    } catch (error) {
      throw storeError(error, 'write to', this.directory)
    }
    this.#damage = []
  }

  watch(listener: (failure: StoreError | undefined) => void): void {
    this.#watchers.push(listener)
    if (this.failure !== undefined) listener(this.failure)
  }

  info(): StoreInfo {
    const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
    return {
      directory: this.directory,
      rowsBytes: sum(this.#files.map(({ size }) => size)),
      logBytes: sum(this.#logs.map(({ flushedTo }) => flushedTo)),
      waitingBytes: this.#waitingBytes(),
      files: [...this.#files, ...this.#logs.filter(({ flushedTo }) => flushedTo > 0)].map(({ path }) => basename(path)),
      failure: this.failure,
    }
  }

  /** The log that takes the next commit. */
  #log(): Log {
    if (this.#isClosed) throw new StoreError('closed', `${this.directory} has been closed`)
    const last = this.#logs.at(-1)
    const limit = this.#options.logBytes ?? LOG_BYTES
    // While the disc refuses, all that waits stays in one log, so that it can be condensed.
    if (last?.isWritable && (last.length < limit || this.#failure !== undefined)) return last
    const log = new Log(this.directory, headerOf('log', this.#storeId, this.#next++))
    this.#logs.push(log)
    return log
  }

  #committed(): void {
    this.#commits++
    if (this.#failure !== undefined && !this.#isFlushing) this.#condense()
    this.#startFlush()
  }

  #startFlush(): void {
    if (this.#isFlushing || this.#isFlushDue || this.#retryTimer !== undefined) return
    this.#isFlushDue = true
    // After the code that runs now, which may commit more.
    queueMicrotask(() => {
      this.#isFlushDue = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    this.#isFlushing = true
    while (this.#flushedCommits < this.#commits) {
      const commits = this.#commits
      try {
        for (const log of [...this.#logs]) await log.flush()
      } catch (error) {
        this.#isFlushing = false
        this.#refused(storeError(error, 'write to', this.directory), commits)
        return
      }
      this.#flushedCommits = commits
      while (this.#waiters.length > 0 && this.#waiters[0]!.commits <= commits) this.#waiters.shift()!.resolve()
      if (this.#failure !== undefined) this.#recovered()
      this.#notePositions()
      this.#startCheckpoint()
    }
    this.#isFlushing = false
  }

  #refused(error: StoreError, commits: number): void {
    const isNews = this.#failure?.fault !== error.fault
    this.#failure = error
    const told = this.#waiters.findIndex((waiter) => waiter.commits > commits)
    for (const { reject } of this.#waiters.splice(0, told < 0 ? this.#waiters.length : told)) reject(error)
    if (isNews) this.#tell(error)
    this.#condense()
    if (this.#isClosed) return
    this.#retryTimer = this.#options.system.timers.set(this.#options.retryMs ?? RETRY_MS, () => this.#retry())
  }

  #retry(): void {
    if (this.#retryTimer !== undefined) this.#options.system.timers.clear(this.#retryTimer)
    this.#retryTimer = undefined
    if (!this.#isFlushing) this.#startFlush()
  }

  #recovered(): void {
    this.#failure = undefined
    this.#condenseAbove = this.#options.waitingBytes ?? WAITING_BYTES
    if (this.failure === undefined) this.#tell(undefined)
  }

  #tell(failure: StoreError | undefined): void {
    if (failure === undefined) this.#options.onRecovery?.()
    else this.#options.onFailure?.(failure)
    for (const listener of this.#watchers) listener(failure)
  }

  #condense(): void {
    if (this.#waitingBytes() < this.#condenseAbove) return
    this.#logs.at(-1)!.condense()
    // Twice what could not be made smaller, so that condensing costs each commit a bounded share.
    this.#condenseAbove = Math.max(this.#condenseAbove, 2 * this.#waitingBytes())
  }

  #waitingBytes(): number {
    return this.#logs.reduce((bytes, log) => bytes + (log.isFlushed ? 0 : log.length - log.flushedTo), 0)
  }

  #notePositions(): void {
    this.#positionsTimer ??= this.#options.system.timers.set(POSITIONS_MS, () => {
      this.#positionsTimer = undefined
      this.#positionsWritten = this.#positionsWritten.then(() => this.#writePositions(false))
    })
  }

  async #writePositions(sync: boolean): Promise<void> {
    try {
      await this.#positions.write({
        storeId: this.#storeId,
        covered: this.#files.at(-1)?.header.to ?? 0,
        logs: new Map(this.#logs.map((log) => [log.number, log.flushedTo])),
      })
      if (sync) await this.#positions.sync()
    } catch {
      // It is a note and promises nothing; a disc that refuses is told of by those who must write.
    }
  }

  /** Turns full logs into a rows file in the background. */
  #startCheckpoint(): void {
    if (this.#checkpoint !== undefined || this.#checkpointTimer !== undefined || this.#isClosed) return
    const full = this.#fullLogs()
    if (full.length === 0) return
    this.#checkpoint = this.#takeOver(full)
      .then(() => this.#checkpointWritten())
      .catch((error) => this.#checkpointRefused(error))
      .finally(() => {
        this.#checkpoint = undefined
        this.#startCheckpoint()
      })
  }

  #checkpointWritten(): void {
    if (this.#checkpointFailure === undefined) return
    this.#checkpointFailure = undefined
    if (this.failure === undefined) this.#tell(undefined)
  }

  /** The logs stay, and nothing is lost; it is tried again. */
  #checkpointRefused(error: unknown): void {
    if (error instanceof Abandoned) return
    const failure = storeError(error, 'write a checkpoint to', this.directory)
    const isNews = this.#checkpointFailure?.fault !== failure.fault
    this.#checkpointFailure = failure
    if (isNews) this.#tell(failure)
    if (this.#isClosed) return
    this.#checkpointTimer = this.#options.system.timers.set(CHECKPOINT_RETRY_MS, () => {
      this.#checkpointTimer = undefined
      this.#startCheckpoint()
    })
  }

  /** Logs that take no more commits and are on disc. */
  #fullLogs(): Log[] {
    const limit = this.#options.logBytes ?? LOG_BYTES
    const open = this.#logs.findIndex((log) => !log.isFlushed || (log.isWritable && log.length < limit))
    return this.#logs.slice(0, open < 0 ? this.#logs.length : open)
  }

  async #takeOver(logs: readonly Log[]): Promise<void> {
    for (const log of logs) log.end()
    const files = this.#filesToMerge(logs)
    const header = headerOf('rows', this.#storeId, (files[0]?.header ?? logs[0]!.header).from, logs.at(-1)!.number)
    const path = await writeCheckpoint({
      directory: this.directory,
      header,
      logs: [...logs].reverse(),
      files: [...files].reverse(),
      isAbandoned: () => this.#isClosed,
    })
    const file = await openRowsFile(path)
    if (file === undefined) throw new StoreError('damaged', `${path} is not what has just been written there`)
    this.#files = [...this.#files.slice(0, this.#files.length - files.length), file]
    this.#logs = this.#logs.slice(logs.length)
    this.#notePositions()
    for (const log of logs) log.close()
    for (const old of files) old.release()
    // Not at once: a file system that is busy can take its time over a large file.
    for (const { path: replaced } of [...logs, ...files]) await fs.promises.rm(replaced, { force: true })
  }

  /** The files that a checkpoint merges with: from the newest back, as long as they are not large beside what they are merged with. */
  #filesToMerge(logs: readonly Log[]): RowsFile[] {
    let bytes = logs.reduce((sum, log) => sum + log.length, 0)
    let from = this.#files.length
    while (from > 0 && (this.#files[from - 1]!.size <= 2 * bytes || from >= MAX_FILES))
      bytes += this.#files[--from]!.size
    return this.#files.slice(from)
  }
}
