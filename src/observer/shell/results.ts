/**
 * What was typed and what came of it, by number: `v(3)` is the value of line 3, `v(-1)` the last one, `e(3)` line 3 again, `h()` the
 * list, as in Erlang's shell.
 */
import { BadArgError } from '../../actors/errors.ts'
import { withView } from '../print/view.ts'

/** Lines that are remembered; values may be large. */
const MAX_KEPT = 50

interface Line {
  readonly number: number
  readonly source: string
  readonly value: unknown
}

export class Results {
  readonly #lines: Line[] = []
  #next = 1

  /** The number of the line that comes. */
  get next(): number {
    return this.#next
  }

  /** A line has ended. */
  add(source: string, value: unknown): void {
    this.#lines.push({ number: this.#next++, source, value })
    if (this.#lines.length > MAX_KEPT) this.#lines.shift()
  }

  value(number: unknown): unknown {
    return this.#line(number).value
  }

  source(number: unknown): string {
    return this.#line(number).source
  }

  /** The lines, with their values: each may be a table, so they are not printed as one. */
  list(print: (value: unknown) => string): object {
    const text = this.#lines.map(({ number, source, value }) => `${number}: ${source}\n-> ${print(value)}`).join('\n')
    return withView({ text }, { as: 'text' })
  }

  #line(number: unknown): Line {
    if (typeof number !== 'number' || !Number.isInteger(number))
      throw new BadArgError('lines have numbers: v(3), v(-1)')
    const wanted = number < 0 ? this.#next + number : number
    const line = this.#lines.find((candidate) => candidate.number === wanted)
    if (line === undefined) throw new BadArgError(`line ${number} is not remembered`)
    return line
  }
}
