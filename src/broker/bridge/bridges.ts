/**
 * The bridges of a node: which there are, started and ended one by one, each a child of `bridge_sup`.
 *
 * Those of the configuration are there from the start; one that an operator starts lives until it is stopped or the node ends, as in emqttd. What a bridge has in its
 * queue outlives its process (`BridgeRecord`), so a fault of it costs what was in its mailbox.
 */
import type { Pid } from '../../actors/pid.ts'
import type { Runtime } from '../../actors/runtime.ts'
import type { ChildSpec } from '../../actors/supervisor/child-spec.ts'
import { child, deleteChild, startChild, supervisor, terminateChild, whichChildren } from '../../actors/supervisor.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { Alarms } from '../monitor/alarm.ts'
import type { Metrics } from '../monitor/metrics.ts'
import type { RouterPool } from '../routing/router.ts'
import { bridge } from './bridge.ts'
import { type BridgeOptions, bridgeId } from './options.ts'
import { BridgeQueue } from './queue.ts'

/** Registered name of the supervisor. */
export const BRIDGE_SUP = 'bridge_sup'

/** Topics and payloads that wait in one bridge. */
const MAX_QUEUE_BYTES = 64 * 1024 ** 2

/** What bridges need of their node. */
export interface BridgeEnvironment {
  readonly runtime: Runtime
  readonly metrics: Metrics
  readonly alarms: Alarms
  readonly routers: RouterPool
  readonly mnesia: Pick<Mnesia, 'status' | 'subscribe'>
  readonly nextMessageId: () => string
}

/** What is known of a bridge, whether or not its process runs. */
export interface BridgeRecord {
  readonly options: BridgeOptions
  readonly queue: BridgeQueue
  /** Names it to the peer. */
  readonly stream: string
  /** Of the last batch that was sent. */
  seq: number
  /** `up`: the peer takes messages. `member`: it is in the cluster of this node, and has them without the bridge. */
  state: 'up' | 'down' | 'member'
}

/** Why a bridge is not started, with a sentence. */
export interface BridgeRefusal {
  readonly ok: false
  readonly reason: 'bridge_to_self' | 'already_started' | 'cluster_member' | 'failed'
  readonly text: string
  /** Of the bridge that is started already. */
  readonly pid?: Pid | undefined
}

export class Bridges {
  readonly #environment: BridgeEnvironment
  readonly #records = new Map<string, BridgeRecord>()

  /** Throws a TypeError when a configured bridge leads to this node itself. */
  constructor(environment: BridgeEnvironment, configured: readonly BridgeOptions[]) {
    this.#environment = environment
    for (const options of configured) {
      if (options.node === environment.runtime.node.name) {
        throw new TypeError(`bridges: the bridge of ${options.filter} leads to this node itself`)
      }
      this.#add(options)
    }
  }

  /** The child specifications of all, for their supervisor. */
  children(): ChildSpec[] {
    return [...this.#records.values()].map((record) => this.#childOf(record))
  }

  /** Starts a bridge; resolves when what is published on the node from then on reaches it, whether or not its peer is there. */
  async start(options: BridgeOptions): Promise<{ readonly ok: true } | BridgeRefusal> {
    const { runtime, mnesia } = this.#environment
    const { node } = options
    if (node === runtime.node.name) return refusal('bridge_to_self', `${node} is this node itself`)
    const id = bridgeId(options)
    if (this.#records.has(id)) {
      const pid = await this.#pidOf(id)
      return { ...refusal('already_started', 'this bridge is started already; stop it to start it anew'), pid }
    }
    const { running, stopped } = mnesia.status()
    if ([...running, ...stopped].includes(node)) {
      return refusal('cluster_member', `${node} is a member of this cluster, and has its messages without a bridge`)
    }
    const started = await startChild(runtime, BRIDGE_SUP, this.#childOf(this.#add(options)))
    if (!started.ok || started.pid === undefined) {
      this.#records.delete(id)
      return refusal('failed', `the bridge has not started: ${JSON.stringify(started)}`)
    }
    await bridge.call(runtime, started.pid, 'subscribed')
    return { ok: true }
  }

  /** Ends a bridge; what its peer has not confirmed is given up, and counted. Resolves with false when there is none. */
  async stop(of: Pick<BridgeOptions, 'node' | 'filter'>): Promise<boolean> {
    const id = bridgeId(of)
    if (!this.#records.has(id)) return false
    const { runtime } = this.#environment
    await terminateChild(runtime, BRIDGE_SUP, id)
    await deleteChild(runtime, BRIDGE_SUP, id)
    return this.#records.delete(id)
  }

  /** All, those that were started last first, as in emqttd. */
  list(): readonly BridgeRecord[] {
    return [...this.#records.values()].reverse()
  }

  async #pidOf(id: string): Promise<Pid | undefined> {
    const children = await whichChildren(this.#environment.runtime, BRIDGE_SUP)
    const found = children.find((each) => each.id === id)?.child
    return found === 'restarting' ? undefined : found
  }

  #add(options: BridgeOptions): BridgeRecord {
    const record: BridgeRecord = {
      options,
      queue: new BridgeQueue({ maxLength: options.maxQueue, maxBytes: MAX_QUEUE_BYTES }),
      stream: this.#environment.nextMessageId(),
      seq: 0,
      state: 'down',
    }
    this.#records.set(bridgeId(options), record)
    return record
  }

  #childOf(record: BridgeRecord): ChildSpec {
    return child(bridgeId(record.options), bridge, [{ environment: this.#environment, record }])
  }
}

/** The supervisor of the bridges; one that is started again has those that it had. */
export const bridgeSup = supervisor<Bridges>({
  label: 'bridge_sup',
  intensity: 10,
  periodSec: 60,
  children: (bridges) => bridges.children(),
})

function refusal(reason: BridgeRefusal['reason'], text: string): BridgeRefusal {
  return { ok: false, reason, text }
}
