/** Turns what keeps a broker from starting into one sentence that says what to change. */
import type { Config } from './config-file.ts'

/** What to tell the user. */
export interface StartFailure {
  readonly sentence: string
  /** The fault is in what the user wrote. */
  readonly isConfiguration: boolean
  /** The sentence says all that is to be known. */
  readonly isExplained: boolean
}

/** Explains the error of a start; one without an explanation is told as it is. */
export function describeStartError(error: unknown, config: Config): StartFailure {
  const message = error instanceof Error ? error.message : String(error)
  if (property(error, 'code') === 'bad_acl_file') return { sentence: message, isConfiguration: true, isExplained: true }
  const code = findCode(error, 0)
  if (code === undefined)
    return { sentence: `the node cannot start: ${message}`, isConfiguration: false, isExplained: false }
  const { host, port } = config.listeners.tcp
  const sentence = `the listener tcp cannot listen on ${host}:${port}: ${REASONS[code]}`
  return { sentence, isConfiguration: false, isExplained: true }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; end the program that has it, or choose another with --set listeners.tcp.port=PORT',
  EACCES: 'this user may not; choose a port above 1023 with --set listeners.tcp.port=PORT',
  EADDRNOTAVAIL: 'this machine has no such address; choose another with --set listeners.tcp.host=ADDRESS',
  ENOTFOUND: 'the host does not resolve; choose another with --set listeners.tcp.host=ADDRESS',
  EAI_AGAIN: 'the host does not resolve; choose another with --set listeners.tcp.host=ADDRESS',
}

/** Supervisors wrap the reason of the child that could not start, so it is looked for inside. */
const MAX_DEPTH = 8

function findCode(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') return Object.hasOwn(REASONS, value) ? value : undefined
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return undefined
  const inside =
    value instanceof Error ? [property(value, 'code'), property(value, 'reason'), value.cause] : Object.values(value)
  for (const part of inside) {
    const code = findCode(part, depth + 1)
    if (code !== undefined) return code
  }
  return undefined
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}
