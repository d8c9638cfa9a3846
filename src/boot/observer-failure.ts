/** Why an observer cannot connect to a node, in one sentence that says what to do. */
import { Writable } from 'node:stream'
import pino, { type Logger } from 'pino'
import { parseNodeName } from '../dist/node-name.ts'

/** What the observer's own node has logged of its attempt. */
export interface Failures {
  /** Of the last attempt that failed. */
  reason: string | undefined
  /** Texts of warnings and errors. */
  readonly lines: string[]
}

/** A logger that only keeps why connecting fails. */
export function failureLogger(failures: Failures): Logger {
  const sink = new Writable({
    write(chunk, _encoding, done) {
      const { reason, msg, level } = JSON.parse(String(chunk)) as { reason?: unknown; msg?: unknown; level: number }
      if (typeof reason === 'string') failures.reason = reason
      if (level >= pino.levels.values.warn! && typeof msg === 'string') failures.lines.push(msg)
      done()
    },
  })
  return pino({ level: 'debug', base: null }, sink)
}

/** The sentence. */
export function noConnection(node: string, { reason, lines }: Failures): string {
  const { short, host } = parseNodeName(node)!
  const cannot = `cannot connect to ${node}`
  switch (reason) {
    case 'noport':
      return `${cannot}: the epmd of ${host} knows no node ${short}; is it running?`
    case 'unreachable':
    case 'ECONNREFUSED':
      return `${cannot}: nothing answers at ${host}; is it running, and is this the port of its epmd?`
    case 'timeout':
      return `${cannot}: ${host} does not answer`
    case 'bad_reply':
      return `${cannot}: what answers at ${host} on the port of epmd is no epmd`
    case 'bad_cookie':
    case 'closed':
      return `${cannot}: it does not take the cookie; give that of the cluster with --cookie or AGNER_COOKIE`
    default:
      return `${cannot}: ${lines.at(-1) ?? reason ?? 'no reason is known'}`
  }
}
