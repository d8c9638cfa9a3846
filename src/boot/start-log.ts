/**
 * The log while a node starts. Errors are held back until it is known how the start ends: when it fails for a reason that
 * one sentence explains, the crash reports of the processes that did not start would only hide the sentence.
 */

/** Error and fatal, as pino numbers its levels. */
const ERROR = 50

/** Takes lines with their levels and passes them on, errors only once released. */
export class StartLog {
  readonly #log: (line: string) => void
  #held: string[] | undefined = []

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  write(line: string, level: number): void {
    if (this.#held !== undefined && level >= ERROR) this.#held.push(line)
    else this.#log(line)
  }

  /** Passes on what was held, and everything from now on. */
  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const line of held) this.#log(line)
  }
}
