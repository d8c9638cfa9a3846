/** Retained messages that a session is reading for its client, a page at a time. */
import type { ProcessContext } from '../../actors/process.ts'
import type { Message } from '../message.ts'
import type { RetainedCursor } from '../retained/retained-cursor.ts'
import type { Retainer } from '../retained/retainer.ts'

/** The message to the session: it is the turn of the next page; `readOn` is to be called. */
export interface ReadRetained {
  readonly tag: 'read_retained'
  readonly ticket: number
  readonly max: number
}

export interface RetainedPage {
  readonly messages: readonly Message[]
  /** It is the last. */
  readonly done: boolean
}

export class RetainedReads {
  readonly #self: ProcessContext
  readonly #retainer: Pick<Retainer, 'open'>
  /** By ticket; made with the first. */
  #cursors: Map<number, RetainedCursor> | undefined

  constructor(self: ProcessContext, retainer: Pick<Retainer, 'open'>) {
    this.#self = self
    this.#retainer = retainer
  }

  /**
   * Returns the first page, at once. The others wait for their turn, so that the connection can say in between that it is full: of
   * these `ReadRetained` brings the news.
   */
  read(ticket: number, filter: string, max: number): RetainedPage | undefined {
    if (this.#cursors?.has(ticket)) {
      this.#self.send(this.#self.pid, { tag: 'read_retained', ticket, max } satisfies ReadRetained)
      return undefined
    }
    this.#cursors ??= new Map()
    this.#cursors.set(ticket, this.#retainer.open(filter))
    return this.readOn(ticket, max)
  }

  /** Returns the next page; undefined when the ticket has been forgotten. */
  readOn(ticket: number, max: number): RetainedPage | undefined {
    const page = this.#cursors?.get(ticket)?.next(max)
    if (page?.done) this.forget(ticket)
    return page
  }

  forget(ticket: number): void {
    this.#cursors?.delete(ticket)
    if (this.#cursors?.size === 0) this.#cursors = undefined
  }
}
