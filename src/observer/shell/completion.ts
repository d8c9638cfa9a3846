/**
 * What Tab completes: names of commands and variables and their members, pids that were shown, and inside of quotes the names that
 * the observed node has: processes, nodes, tables. The last are asked for, briefly, and remembered for a few seconds.
 */
import { atom } from '../../dist/term.ts'
import { names } from '../otp-terms.ts'
import type { Session } from '../session.ts'

/** Candidates, and the end of the line that they stand for. */
export interface Completion {
  readonly candidates: string[]
  readonly fragment: string
}

/** What can be completed, as far as it is known without asking anyone. */
export interface Vocabulary {
  /** Names at the top. */
  readonly names: () => readonly string[]
  /** The value of a path of names; undefined when there is none. */
  readonly lookUp: (path: readonly string[]) => unknown
  /** Pids that were shown, the latest first. */
  readonly pids: () => readonly string[]
  /** Names on the observed node. */
  readonly words: () => Promise<readonly string[]>
}

/** Completes a line at its end. */
export async function complete(line: string, vocabulary: Vocabulary): Promise<Completion> {
  const text = openString(line)
  if (text !== undefined) return matching(await vocabulary.words(), text)
  const pid = /<[\d.]*$/.exec(line)
  if (pid !== null) return matching(vocabulary.pids(), pid[0])
  const path = /(?:[A-Za-z_$][\w$]*\.)*[\w$]*$/.exec(line)![0].split('.')
  const fragment = path.pop()!
  // A member of what only running it would tell.
  if (path.length === 0 && line.at(-1 - fragment.length) === '.') return { candidates: [], fragment }
  if (path.length === 0) return matching([...vocabulary.names()].sort(), fragment)
  return matching(membersOf(vocabulary.lookUp(path)), fragment)
}

/** The longest text with which all candidates begin. */
export function commonPrefix(candidates: readonly string[]): string {
  const [first = '', ...others] = candidates
  let length = first.length
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--
  return first.slice(0, length)
}

function matching(candidates: readonly string[], fragment: string): Completion {
  return { candidates: candidates.filter((candidate) => candidate.startsWith(fragment)), fragment }
}

/** What stands behind a quote that is not closed. */
function openString(line: string): string | undefined {
  let quote: string | undefined
  let from = 0
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!
    if (quote === undefined) {
      if (character !== "'" && character !== '"' && character !== '`') continue
      quote = character
      from = at + 1
    } else if (character === '\\') {
      at++
    } else if (character === quote) {
      quote = undefined
    }
  }
  return quote === undefined ? undefined : line.slice(from)
}

function membersOf(value: unknown): string[] {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return []
  const members = new Set(Object.keys(value))
  for (
    let at = Object.getPrototypeOf(value) as object | null;
    at !== null;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    if (Object.getPrototypeOf(at) === null) break
    for (const name of Object.getOwnPropertyNames(at)) members.add(name)
  }
  members.delete('constructor')
  return [...members].sort()
}

const FRESH_MS = 5000
const PATIENCE_MS = 500

/** The names that a session's node has, remembered for a while; fewer when it does not answer at once. */
export class NodeWords {
  readonly #session: Session
  #words: readonly string[] = []
  #node = ''
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(session: Session) {
    this.#session = session
  }

  async words(): Promise<readonly string[]> {
    const { node, runtime } = this.#session
    const nowMs = runtime.clock.monotonic()
    if (node === this.#node && nowMs - this.#askedMs < FRESH_MS) return this.#words
    const found = await this.#ask(node)
    this.#node = node
    this.#askedMs = nowMs
    this.#words = [...new Set(found)].sort()
    return this.#words
  }

  async #ask(node: string): Promise<string[]> {
    const session = this.#session
    const target = session.targetOf(node)
    const quickly = async (list: () => Promise<string[]>): Promise<string[]> => list().catch(() => [])
    const [registered, nodes, tables] = await Promise.all([
      quickly(async () => names(await target.rpc('erlang', 'registered', [], PATIENCE_MS))),
      quickly(async () => names(await target.rpc('erlang', 'nodes', [atom('connected')], PATIENCE_MS))),
      quickly(() => withinMs(session, tableNames(session, node))),
    ])
    return [node, ...registered, ...nodes, ...tables]
  }
}

async function tableNames(session: Session, node: string): Promise<string[]> {
  const { rows } = await (await session.sourceOf(node)).tables()
  return rows.flatMap(({ name, id }) => (id === undefined ? name : []))
}

function withinMs(session: Session, list: Promise<string[]>): Promise<string[]> {
  const { timers } = session.runtime
  return new Promise((resolve, reject) => {
    const timer = timers.set(PATIENCE_MS, () => resolve([]))
    list.then(resolve, reject).finally(() => timers.clear(timer))
  })
}
