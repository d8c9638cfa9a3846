/** Functions that make and read terms at a prompt; they are there beside the commands, and return at once. */
import { BadArgError } from '../../actors/errors.ts'
import { Pid } from '../../actors/pid.ts'
import { atom, charlist, float, ImproperList, text, tuple } from '../../dist/term.ts'
import type { Pids } from '../print/pids.ts'

/** What is typed to make a term, or to read one. */
export function termFunctions(pids: Pids): Readonly<Record<string, (...args: unknown[]) => unknown>> {
  return {
    atom: (name) => atom(texted(name)),
    tuple: (...elements) => tuple(...elements),
    charlist: (characters) => charlist(texted(characters)),
    binary: (characters) => Buffer.from(texted(characters)),
    float: (value) => float(Number(value)),
    cons: (elements, tail) => new ImproperList([...(elements as unknown[])], tail),
    text: (term) => text(term),
    pid: (first, id, serial) => pidOf(pids, first, id, serial),
  }
}

function pidOf(pids: Pids, first: unknown, id: unknown, serial: unknown): Pid {
  if (first instanceof Pid) return first
  if (typeof first === 'string') return pids.read(first)
  return pids.make(Number(first), Number(id), Number(serial))
}

function texted(value: unknown): string {
  if (typeof value !== 'string') throw new BadArgError(`${String(value)} is no text`)
  return value
}
