/**
 * Long work in short pieces, each in a turn of its own: one piece of every job, then everybody else has a turn.
 */
import type { Links } from '../link.ts'
import type { Step } from './feed-out.ts'

/** Does a piece. It goes on when that returns true, or a step after which there may be more. */
export interface Job {
  step(): boolean | Step
}

/** Pieces in a turn: a message or a shard each, some milliseconds together. */
const PIECES = 4

export class Work {
  readonly #links: Pick<Links, 'setTimer'>
  readonly #jobs = new Set<Job>()
  #isArmed = false

  constructor(links: Pick<Links, 'setTimer'>) {
    this.#links = links
  }

  get size(): number {
    return this.#jobs.size
  }

  add(job: Job): void {
    this.#jobs.add(job)
    this.#arm()
  }

  delete(job: Job): void {
    this.#jobs.delete(job)
  }

  #arm(): void {
    if (this.#isArmed || this.#jobs.size === 0) return
    this.#isArmed = true
    this.#links.setTimer(0, () => {
      this.#isArmed = false
      this.#turn()
      this.#arm()
    })
  }

  #turn(): void {
    for (const job of [...this.#jobs].slice(0, PIECES)) {
      // To the end of the line.
      this.#jobs.delete(job)
      const step = job.step()
      if (step === true || step === 'rows' || step === 'entries') this.#jobs.add(job)
    }
  }
}
