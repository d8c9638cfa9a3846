/** Turns what keeps a node from starting into one sentence that says what to change. */
import type { StartNodeResult } from '../dist/start-node.ts'
import { StoreError } from '../mnesia/errors.ts'
import type { Config } from './config-file.ts'

/** The distribution does not start; nothing was started. */
export class NodeStartError extends Error {
  override readonly name = 'NodeStartError'
  readonly code: StartNodeFailure['reason']
  /** A code of the system, such as `EADDRINUSE`, or what else is known. */
  readonly detail: string
  /** Where the node wanted to listen for other nodes. */
  readonly at: StartNodeFailure['at']

  constructor({ reason, problem, detail, at }: StartNodeFailure) {
    super(problem)
    this.code = reason
    this.detail = detail
    this.at = at
  }
}

/** The data directory cannot be used by this node. */
export class DataError extends Error {
  override readonly name = 'DataError'
}

type StartNodeFailure = Extract<StartNodeResult, { ok: false }>

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
  if (error instanceof NodeStartError) return { ...describeNode(error), isExplained: true }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof DataError || error instanceof StoreError) {
    return { sentence: message, isConfiguration: false, isExplained: true }
  }
  if (property(error, 'code') === 'bad_acl_file') return { sentence: message, isConfiguration: true, isExplained: true }
  const code = findCode(error, 0)
  if (code === undefined)
    return { sentence: `the node cannot start: ${message}`, isConfiguration: false, isExplained: false }
  const { host, port } = config.listeners.tcp
  const sentence = `the listener tcp cannot listen on ${host}:${port}: ${REASONS[code]!('listeners.tcp.port', 'listeners.tcp.host')}`
  return { sentence, isConfiguration: false, isExplained: true }
}

function describeNode({ message, code, detail, at }: NodeStartError): Omit<StartFailure, 'isExplained'> {
  if (code !== 'listen') return { sentence: message, isConfiguration: code === 'bad_name' }
  const reason = REASONS[detail]?.('dist.port', 'dist.listen') ?? detail
  return {
    sentence: `the node cannot listen on ${at.host}:${at.port} for other nodes: ${reason}`,
    isConfiguration: false,
  }
}

/** By code of the system; the arguments are the settings to change. */
const REASONS: Readonly<Record<string, (port: string, host: string) => string>> = {
  EADDRINUSE: (port) => `the port is in use; end the program that has it, or choose another with --set ${port}=PORT`,
  EACCES: (port) => `this user may not; choose a port above 1023 with --set ${port}=PORT`,
  EADDRNOTAVAIL: (_, host) => `this machine has no such address; choose another with --set ${host}=ADDRESS`,
  ENOTFOUND: (_, host) => `the host does not resolve; choose another with --set ${host}=ADDRESS`,
  EAI_AGAIN: (_, host) => `the host does not resolve; choose another with --set ${host}=ADDRESS`,
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
