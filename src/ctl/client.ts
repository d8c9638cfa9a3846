/**
 * One command on a node, from outside: a hidden node of its own for as long as the command takes, which registers nowhere that
 * others would look and is no member of anything.
 *
 * After `stop` and `restart` it stays until the node is gone, and is there again: a script that goes on finds what it has asked for.
 */
import pino from 'pino'
import * as rpc from '../dist/rpc.ts'
import { type Node, startNode } from '../dist/start-node.ts'
import { isTuple, text } from '../dist/term.ts'
import { Departure } from './departure.ts'
import { CTL_MODULE } from './server.ts'

/** What is to be run, and where. */
export interface Request {
  readonly node: string
  readonly cookie: string
  readonly epmdPort: number
  readonly words: readonly string[]
  /** Distinguishes command lines that run at the same time. */
  readonly unique: string
}

/** What came back, or the sentence that says why nothing did. */
export type Response =
  | { readonly kind: 'answered'; readonly ok: boolean; readonly lines: readonly string[]; readonly json: string }
  | { readonly kind: 'failed'; readonly problem: string }

/** Joining a cluster copies its tables first. */
const TIMEOUT_MS = 600_000

/** Runs a command on a node; never rejects for want of a node. */
export async function request({ node, cookie, epmdPort, words, unique }: Request): Promise<Response> {
  const host = node.slice(node.indexOf('@') + 1)
  const started = await startNode({
    name: `ctl-${unique}@${host}`,
    cookie,
    hidden: true,
    epmdPort,
    logger: pino({ level: 'silent' }),
  })
  if (!started.ok) {
    const isDown = started.reason === 'epmd'
    return { kind: 'failed', problem: isDown ? notRunning(node) : started.problem }
  }
  try {
    return await runOn(started.node, node, words)
  } finally {
    await started.node.stop()
  }
}

async function runOn(own: Node, node: string, words: readonly string[]): Promise<Response> {
  const { runtime, distribution } = own
  if (!(await distribution.connect(node))) return { kind: 'failed', problem: notRunning(node) }
  const departure = new Departure(own, node)
  const result = await rpc.call(runtime, node, CTL_MODULE, 'run', [[...words]], TIMEOUT_MS)
  if (!result.ok) return { kind: 'failed', problem: unanswered(node, result.reason) }
  const answer = answerOf(result.value)
  if (answer === undefined) return { kind: 'failed', problem: `${node} has answered in a form of another version` }
  const [command] = words
  if (!answer.ok || (command !== 'stop' && command !== 'restart')) return answer
  const problem = (await departure.gone()) ?? (command === 'restart' ? await departure.back() : undefined)
  return problem === undefined ? answer : { kind: 'failed', problem }
}

/** emqttd_ctl's words, and what else it may be: a wrong cookie looks the same from here. */
function notRunning(node: string): string {
  return `Node is not running! (${node} cannot be reached: it is down, or has another cookie)`
}

function unanswered(node: string, reason: Extract<rpc.RpcResult, { ok: false }>['reason']): string {
  if (reason === 'nodedown') return `${node} went down while it ran the command`
  if (reason === 'timeout') return `${node} has not answered within ${TIMEOUT_MS / 1000} seconds`
  return `${node} has no commands: it is no node of this program`
}

function answerOf(term: unknown): Extract<Response, { kind: 'answered' }> | undefined {
  if (!isTuple(term, 3)) return undefined
  const [ok, lines, json] = term.elements
  if (typeof ok !== 'boolean' || !Array.isArray(lines)) return undefined
  const texts = lines.map(text).filter((line) => line !== undefined)
  const data = text(json)
  return data === undefined || texts.length !== lines.length
    ? undefined
    : { kind: 'answered', ok, lines: texts, json: data }
}
