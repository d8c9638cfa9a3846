/**
 * Long work in short pieces: a task does a piece, then everybody else has a turn.
 *
 * A task is a generator that yields after each piece: `go` to be called again soon, `wait` to be called when it is resumed.
 */
import type { Links } from '../link.ts'

export type Task = Generator<'go' | 'wait', void>

export class Tasks {
  readonly #links: Pick<Links, 'setTimer'>
  readonly #waiting = new Set<Task>()
  #ready: Task[] = []
  #cancel: (() => void) | undefined

  constructor(links: Pick<Links, 'setTimer'>) {
    this.#links = links
  }

  /** Does the first piece at once. */
  start(task: Task): void {
    this.#step(task)
  }

  /** A task that waits goes on; the others are not concerned. */
  resume(task: Task): void {
    if (!this.#waiting.delete(task)) return
    this.#ready.push(task)
    this.#arm()
  }

  /** Ends a task where it stands. */
  end(task: Task): void {
    this.#waiting.delete(task)
    this.#ready = this.#ready.filter((each) => each !== task)
    task.return()
  }

  stop(): void {
    this.#cancel?.()
    for (const task of [...this.#waiting, ...this.#ready]) task.return()
    this.#waiting.clear()
    this.#ready = []
  }

  #step(task: Task): void {
    const { done, value } = task.next()
    if (done) return
    if (value === 'wait') this.#waiting.add(task)
    else this.#ready.push(task)
    this.#arm()
  }

  #arm(): void {
    if (this.#cancel !== undefined || this.#ready.length === 0) return
    this.#cancel = this.#links.setTimer(0, () => {
      this.#cancel = undefined
      const task = this.#ready.shift()
      if (task !== undefined) this.#step(task)
      this.#arm()
    })
  }
}
