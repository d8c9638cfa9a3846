/** What a node that wants to join asks a member, and what the member answers: everything is checked before anything changes. */
import type { Cluster } from './cluster.ts'
import { type Mismatch, mismatches } from './definitions.ts'
import { PROTOCOL, protocolWith } from './greeting.ts'
import { statusIn } from './members.ts'
import { type RegistryRow, registryRowsOf } from './registry.ts'

export interface JoinRequest {
  readonly node: string
  readonly cluster: string
  readonly protocol: { readonly least: number; readonly most: number }
  /** The tables that it has. */
  readonly rows: readonly RegistryRow[]
}

export type JoinAnswer =
  | {
      readonly tag: 'granted'
      readonly cluster: string
      readonly rows: readonly RegistryRow[]
      /** The greatest epoch that members have seen of the node. */
      readonly seen: number
      /** The clock of shared tables; undefined from a node that does not tell it. */
      readonly clock?: number
    }
  | { readonly tag: 'refused'; readonly reason: 'busy' | 'already_in_cluster' | 'incompatible_version' }
  | { readonly tag: 'refused'; readonly reason: 'definitions_differ'; readonly mismatches: readonly Mismatch[] }

/** How long a member stays in its cluster after it has let somebody join. */
const PROMISE_MS = 30_000

/** The member's answer. */
export function answerJoin(cluster: Cluster, request: unknown): JoinAnswer {
  const joiner = joinRequestOf(request)
  if (joiner === undefined || protocolWith(joiner) === undefined) {
    return { tag: 'refused', reason: 'incompatible_version' }
  }
  const { registry, links, own, runtime } = cluster
  if (cluster.isChanging) return { tag: 'refused', reason: 'busy' }
  if (joiner.cluster === own.cluster && statusIn(registry, joiner.node) === 'member') {
    return { tag: 'refused', reason: 'already_in_cluster' }
  }
  const different = mismatches(joiner.rows, registry.rows())
  if (different.length > 0) return { tag: 'refused', reason: 'definitions_differ', mismatches: different }
  cluster.promisedUntilMs = runtime.clock.monotonic() + PROMISE_MS
  const { [joiner.node]: seen = 0 } = links.seen
  return { tag: 'granted', cluster: own.cluster, rows: registry.rows(), seen, clock: cluster.tables?.clock() ?? 0 }
}

export function joinRequest({ node, own, registry }: Cluster): JoinRequest {
  return { node, cluster: own.cluster, protocol: PROTOCOL, rows: registry.under('table/') }
}

function joinRequestOf(request: unknown): JoinRequest | undefined {
  if (typeof request !== 'object' || request === null) return undefined
  const { node, cluster, protocol, rows } = request as Partial<JoinRequest>
  if (typeof node !== 'string' || typeof cluster !== 'string' || registryRowsOf(rows) === undefined) return undefined
  return Number.isInteger(protocol?.least) && Number.isInteger(protocol?.most) ? (request as JoinRequest) : undefined
}

/** The answer in what another node replied; undefined when it is none. */
export function joinAnswerOf(answer: unknown): JoinAnswer | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  const parsed = answer as JoinAnswer
  if (parsed.tag === 'refused') return typeof parsed.reason === 'string' ? parsed : undefined
  if (parsed.tag !== 'granted' || typeof parsed.cluster !== 'string' || !Number.isSafeInteger(parsed.seen))
    return undefined
  if (parsed.clock !== undefined && !Number.isSafeInteger(parsed.clock)) return undefined
  return registryRowsOf(parsed.rows) === undefined ? undefined : parsed
}
