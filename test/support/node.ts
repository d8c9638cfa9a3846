/** Nodes of ours for a test, over TCP, with an epmd of the test's own; all are stopped when the test ends. */
import { Writable } from 'node:stream'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { type Node, type StartNodeOptions, startNode } from '../../src/dist/start-node.ts'
import { startEpmd } from './epmd.ts'

export interface TestNode extends Node {
  readonly name: string
  /** Log lines so far, parsed. */
  readonly logs: Record<string, unknown>[]
}

/** Starts an epmd on a free port; resolves with the port. */
export async function testEpmd(): Promise<number> {
  const server = await startEpmd(0)
  onTestFinished(() => server.close())
  return server.port
}

/** Starts a node; the cookie is `secret` unless told. */
export async function testNode(
  name: string,
  epmdPort: number,
  options: Partial<StartNodeOptions> = {},
): Promise<TestNode> {
  const logs: Record<string, unknown>[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logs.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const logger = pino({ level: 'debug' }, sink)
  const started = await startNode({ name, cookie: 'secret', epmdPort, logger, ...options })
  if (!started.ok) throw new Error(started.problem)
  const { node } = started
  onTestFinished(() => node.stop())
  return { ...node, name, logs }
}
