/**
 * A file that comes into being as a whole: it is written under another name and takes its own once it is on disc. What was there
 * under that name is replaced in the same instant.
 */
import fs from 'node:fs'
import { dirname } from 'node:path'
import { syncData, syncDirectory, writeAt } from './files.ts'

/** Files of this ending were never finished. */
export const UNFINISHED = '.tmp'

export class NewFile {
  readonly path: string
  readonly #fd: number
  #isClosed = false

  /** Throws the error of the system call. */
  constructor(path: string) {
    this.path = path
    this.#fd = fs.openSync(`${path}${UNFINISHED}`, 'w', 0o600)
  }

  write(buffers: readonly Buffer[], position: number): Promise<void> {
    return writeAt(this.#fd, buffers, position)
  }

  /** Resolves when the file is on disc under its name. */
  async finish(): Promise<void> {
    await syncData(this.#fd)
    this.#close()
    await fs.promises.rename(`${this.path}${UNFINISHED}`, this.path)
    await syncDirectory(dirname(this.path))
  }

  /** Removes what has been written. */
  abandon(): void {
    this.#close()
    fs.rmSync(`${this.path}${UNFINISHED}`, { force: true })
  }

  /** Once: a second time the descriptor might be another file's. */
  #close(): void {
    if (!this.#isClosed) fs.closeSync(this.#fd)
    this.#isClosed = true
  }
}
