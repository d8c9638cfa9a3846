/** The file of a trace: lines are added to it, up to a limit. A disc that is slower than the traffic costs lines, never memory. */
import { createWriteStream, type WriteStream } from 'node:fs'

/** How much there may be. */
export interface TraceLimits {
  /** That one trace writes. */
  readonly fileBytes: number
  /** That wait for the disc. */
  readonly unwrittenBytes: number
}

const LIMITS: TraceLimits = { fileBytes: 64 * 1024 * 1024, unwrittenBytes: 1024 * 1024 }

/** A file that is open, or the code of the system's error, such as `ENOENT`. */
export type OpenedTraceFile =
  | { readonly ok: true; readonly file: TraceFile }
  | { readonly ok: false; readonly code: string }

export class TraceFile {
  readonly #stream: WriteStream
  readonly #limits: TraceLimits
  #bytes = 0
  #skipped = 0
  #isFull = false

  private constructor(stream: WriteStream, limits: TraceLimits) {
    this.#stream = stream
    this.#limits = limits
  }

  /** Opens a file, new or to be continued. `failed` is called when it cannot be written any more. */
  static open(path: string, failed: (error: Error) => void, limits: TraceLimits = LIMITS): Promise<OpenedTraceFile> {
    const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
    return new Promise((resolve) => {
      const refused = (error: NodeJS.ErrnoException) => resolve({ ok: false, code: error.code ?? error.message })
      stream.once('error', refused)
      stream.once('open', () => {
        stream.off('error', refused)
        stream.on('error', failed)
        resolve({ ok: true, file: new TraceFile(stream, limits) })
      })
    })
  }

  /** Adds a line. */
  add(line: string): void {
    if (this.#isFull) return
    if (this.#stream.writableLength > this.#limits.unwrittenBytes) {
      this.#skipped += 1
      return
    }
    if (this.#skipped > 0) this.#write(`--- ${this.#skipped} lines left out: the disc is too slow ---`)
    this.#skipped = 0
    this.#write(line)
    if (this.#bytes < this.#limits.fileBytes) return
    this.#isFull = true
    this.#write('--- the trace is full ---')
  }

  /** Resolves when all lines are written. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.destroyed) resolve()
      else this.#stream.end(() => resolve())
    })
  }

  #write(line: string): void {
    const bytes = Buffer.from(`${line}\n`)
    this.#bytes += bytes.length
    this.#stream.write(bytes)
  }
}
