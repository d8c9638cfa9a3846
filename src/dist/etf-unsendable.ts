/**
 * What to tell the caller about a value that cannot be sent, and where in it the trouble is. The encoder only notes what it stumbled
 * over; the path is searched for afterwards, so that the terms that can be sent do not pay for it.
 */
import { UnsendableError, type UnsendableReason } from './errors.ts'
import { ImproperList, Tuple } from './term.ts'

/** What the encoder stumbled over. Not an Error: its stack is of no use to anybody. */
export class Refused {
  readonly reason: UnsendableReason
  readonly culprit: unknown

  constructor(reason: UnsendableReason, culprit: unknown) {
    this.reason = reason
    this.culprit = culprit
  }
}

/** The error to throw for a refused term. */
export function unsendable({ reason, culprit }: Refused, term: unknown, maxDepth: number): UnsendableError {
  if (reason === 'too_deep') {
    const cycle = pathTo(term, maxDepth, (value, ancestors) => ancestors.has(value))
    if (cycle !== undefined) return new UnsendableError('cyclic', 'a value that contains itself', cycle)
    return new UnsendableError(reason, `what is nested more than ${maxDepth} deep`, '')
  }
  const path = pathTo(term, maxDepth, (value) => Object.is(value, culprit)) ?? ''
  return new UnsendableError(reason, describe(reason, culprit), path)
}

function describe(reason: UnsendableReason, culprit: unknown): string {
  switch (reason) {
    case 'function':
    case 'symbol':
      return `a ${reason}`
    case 'instance':
      return `an instance of ${(culprit as object).constructor?.name ?? 'a class'}`
    case 'bad_key':
      return 'a key with half a surrogate pair'
    case 'duplicate_key':
      return 'a map with two keys that are the same term'
    default:
      return 'what is larger than the limit'
  }
}

/** The path to the first value that is looked for, in the order in which the encoder goes; undefined when there is none. */
function pathTo(
  term: unknown,
  maxDepth: number,
  isFound: (value: unknown, ancestors: ReadonlySet<unknown>) => boolean,
): string | undefined {
  const ancestors = new Set<unknown>()
  const done = new Set<unknown>()
  const search = (value: unknown): string | undefined => {
    if (isFound(value, ancestors)) return ''
    if (typeof value !== 'object' || value === null || done.has(value) || ancestors.size > maxDepth) return undefined
    ancestors.add(value)
    for (const [step, child] of children(value)) {
      const rest = search(child)
      if (rest !== undefined) return step + rest
    }
    ancestors.delete(value)
    done.add(value)
    return undefined
  }
  return search(term)
}

function* children(value: object): Iterable<readonly [string, unknown]> {
  if (value instanceof Uint8Array) return
  if (value instanceof Tuple || value instanceof ImproperList) {
    for (const [i, element] of value.elements.entries()) yield [`[${i}]`, element]
    if (value instanceof ImproperList) yield ['.tail', value.tail]
  } else if (Array.isArray(value)) {
    for (const [i, element] of value.entries()) yield [`[${i}]`, element]
  } else if (value instanceof Map) {
    let i = 0
    for (const [key, element] of value) {
      yield [`.keys[${i}]`, key]
      yield [`.values[${i++}]`, element]
    }
  } else {
    for (const key of Object.keys(value)) yield [`.${key}`, (value as Record<string, unknown>)[key]]
  }
}
