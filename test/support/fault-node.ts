/**
 * A node of ours as an OS process of its own, for tests that kill and freeze it: does what it is told over IPC, and keeps a ledger of
 * what its processes are told by the nodes around it. Started by fault-cluster.ts.
 */
import pino from 'pino'
import { call } from '../../src/actors/gen.ts'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { Process, ScriptContext } from '../../src/actors/process.ts'
import type { Ref } from '../../src/actors/ref.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import * as erpc from '../../src/dist/erpc.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { ping } from '../../src/dist/net-adm.ts'
import type { Node } from '../../src/dist/start-node.ts'
import { startNode } from '../../src/dist/start-node.ts'
import type { Fired, FootprintOf, Held, NodeOptions, Told } from './fault-cluster.ts'

interface Watch {
  readonly process: Process
  readonly target: Pid
  readonly ref: Ref
}

const echo = genServer<null, { echo: (value: unknown) => unknown }>({
  label: 'echo',
  init: () => ok(null),
  calls: { echo: ({ state }, value) => reply(value, state) },
})

/** Outlives those that are linked to it, and ends as it is told. */
async function target(self: ScriptContext): Promise<void> {
  self.processFlag('trap_exit', true)
  const { finish } = await self.receive((message): message is { finish: string } =>
    Object.hasOwn(message as object, 'finish'),
  )
  self.stop(finish)
}

class FaultNode {
  readonly #node: Node
  readonly #runtime: Runtime
  readonly #watches = new Map<number, Watch>()
  readonly #fired: Fired[] = []
  readonly #decoder: Decoder
  /** Nodes that were given up since the last question. */
  readonly #silent = new Set<string>()
  /** Nodes that the traffic goes to; empty when there is to be none. */
  #peers: readonly string[] = []
  #outstanding = 0
  #settled = 0

  constructor(node: Node) {
    this.#node = node
    this.#runtime = node.runtime
    this.#decoder = new Decoder({ node: node.runtime.node })
    void echo.start(node.runtime, undefined, { name: 'echo' })
    node.distribution.subscribe((event) => {
      if (event.tag === 'nodedown' && event.reason === 'net_tick_timeout') this.#silent.add(event.node)
    })
  }

  spawn(count: number): string[] {
    return Array.from({ length: count }, () => textOf(this.#runtime.spawn(target, { label: 'target' })))
  }

  finish(target: string, reason: string): void {
    this.#runtime.send(this.#pidOf(target), { finish: reason })
  }

  /** Links a new process to a target and has it monitor it. */
  watch(id: number, text: string): void {
    const target = this.#pidOf(text)
    const pid = this.#runtime.spawn(
      {
        receive: (message) => {
          if (isDownMessage(message)) this.#fired.push({ id, what: 'DOWN', reason: String(message.reason) })
          else if (isExitMessage(message)) this.#fired.push({ id, what: 'EXIT', reason: String(message.reason) })
        },
      },
      { trapExit: true, label: 'watcher' },
    )
    const process = this.#runtime.process(pid)!
    process.link(target)
    this.#watches.set(id, { process, target, ref: process.monitor(target) })
  }

  fired(): readonly Fired[] {
    return this.#fired
  }

  held(): Held[] {
    return Array.from(this.#watches, ([id, { process, target, ref }]) => ({
      id,
      monitor: [...(process.monitors ?? [])].some((monitor) => monitor.ref.equals(ref)),
      link: process.links?.has(target) ?? false,
    }))
  }

  silent(): string[] {
    const nodes = [...this.#silent]
    this.#silent.clear()
    return nodes
  }

  /** Ends all watchers. */
  forget(): void {
    for (const { process } of this.#watches.values()) this.#runtime.exit(process.pid, 'kill')
    this.#watches.clear()
    this.#fired.length = 0
  }

  ping(node: string): Promise<'pong' | 'pang'> {
    return ping(this.#runtime, node)
  }

  nodes(): string[] {
    return this.#node.distribution.nodes('connected').sort()
  }

  /** Calls of several kinds to these nodes from now on, without end. None: no more. */
  traffic(peers: readonly string[]): void {
    const isNew = this.#peers.length === 0 && peers.length > 0
    this.#peers = peers
    if (!isNew) return
    for (let client = 0; client < 6; client++) {
      this.#runtime.spawn(
        async (self) => {
          for (let i = client; this.#peers.length > 0; i++) {
            const node = this.#peers[i % this.#peers.length]!
            this.#outstanding++
            try {
              if (client < 2) await call(self, { name: 'echo', node }, ['echo', i], 'infinity')
              else if (client < 4) await call(self, { name: 'echo', node }, ['echo', Buffer.alloc(1000)], 300)
              else await erpc.call(self, node, 'timer', 'sleep', [3], client === 4 ? 'infinity' : 300)
            } catch {
              // Whatever goes wrong: what counts is that every call has an end.
            }
            this.#outstanding--
            this.#settled++
            await self.receiveWithin(5, (_message): _message is never => false)
          }
        },
        { label: 'client' },
      )
    }
  }

  settled(): { outstanding: number; settled: number } {
    return { outstanding: this.#outstanding, settled: this.#settled }
  }

  footprint(): FootprintOf {
    const labels: Record<string, number> = {}
    const watchedFrom: string[] = []
    for (const { label = '?', monitoredBy } of this.#runtime.processes) {
      labels[label] = (labels[label] ?? 0) + 1
      for (const { watcher, ref } of monitoredBy ?? []) {
        if (this.#runtime.isForeign(watcher)) watchedFrom.push(`${label} by ${watcher.key} ${ref.key}`)
      }
    }
    const { distribution } = this.#node
    const peers = distribution.nodes('known').flatMap((name) => {
      const counts = distribution.peer(name)?.counts
      return counts === undefined ? [] : [[name, counts] as const]
    })
    return { ...this.#runtime.footprint(), watchedFrom, labels, peers: Object.fromEntries(peers) }
  }

  #pidOf(text: string): Pid {
    const decoded = this.#decoder.decode(Buffer.from(text, 'base64'))
    if (!decoded.ok) throw new Error(`no pid: ${decoded.error.reason}`)
    return decoded.value as Pid
  }
}

function textOf(pid: Pid): string {
  return encode(pid).toString('base64')
}

async function start({ name, epmdPort, netTicktimeMs, join }: NodeOptions): Promise<void> {
  const logger = pino({ level: 'warn' }, pino.destination(2))
  for (;;) {
    const started = await startNode({ name, cookie: 'secret', epmdPort, netTicktimeMs, logger })
    if (started.ok) {
      const node = new FaultNode(started.node)
      process.on('message', (told: Told) => void obey(node, told))
      process.send!({ id: 0, value: 'ready' })
      for (const peer of join) void started.node.distribution.connect(peer)
      return
    }
    // The epmd has not noticed yet that the node of before is dead.
    if (started.reason !== 'name_in_use') throw new Error(started.problem)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function obey(node: FaultNode, { id, op, args }: Told): Promise<void> {
  try {
    const method = node[op] as (...args: never[]) => unknown
    process.send!({ id, value: await method.apply(node, args as never[]) })
  } catch (error) {
    process.send!({ id, error: String(error) })
  }
}

process.on('disconnect', () => process.exit(0))
await start(JSON.parse(process.argv[2]!) as NodeOptions)
