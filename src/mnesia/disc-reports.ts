/**
 * What people should know of the disc of a node: that it refuses, and what it has lost.
 *
 * What was found damaged when the store was opened has been set aside there. The parts that replicate take what may be lost from the
 * members that have it, as soon as they are linked (`lacking` is what has not come yet). The rest nobody else has: local tables, rows that this
 * node owns, and everything on a node that is alone. Then the node goes on with what is left, and the alarm stays until somebody says
 * `forgetDamage`.
 */
import type { Alarms } from './alarms.ts'
import { StoreError } from './errors.ts'
import type { Cluster } from './schema/cluster.ts'
import type { Damage } from './store/damage.ts'

/** Names of the alarms. */
const STORE_DAMAGED = 'store_damaged'
const DISC_REFUSES = 'disc_refuses'

export interface DiscReportsOptions {
  readonly cluster: Cluster
  readonly alarms: Alarms | undefined
  /** The disc has lost which cluster the node was in. */
  readonly isIdentityLost: boolean
  /** Tables that lack rows which members may have. */
  readonly lacking: () => readonly string[]
  /** Tables on disc with rows that no other node writes: local ones, and owned ones as far as this node's rows go. */
  readonly sole: () => readonly string[]
}

export class DiscReports {
  readonly #options: DiscReportsOptions
  /** What was lacking when it was told last. */
  #told: string | undefined

  constructor(options: DiscReportsOptions) {
    this.#options = options
    const { cluster, isIdentityLost } = options
    const { store, runtime } = cluster
    store.watch((failure) => this.#refused(failure))
    for (const { file, setAside, spaces, what } of store.damage) {
      const kept = setAside === undefined ? '' : `; the file as it was found is ${setAside}`
      runtime.logger.error({ file, setAside, spaces }, `${what}${kept}`)
    }
    if (isIdentityLost) runtime.logger.error('the disc has lost which cluster this node was in: it runs alone')
    cluster.events.subscribe((event) => {
      if (event.tag === 'members') this.look()
    })
  }

  /** Rows may have come again. */
  look(): void {
    const { cluster, alarms, lacking, sole } = this.#options
    const { store, runtime } = cluster
    if (store.damage.length === 0) return
    const open = [...new Set(lacking())].sort()
    const lost = lostHere(store.damage, cluster.node, sole())
    const text = this.#textOf(open, lost)
    if (text === this.#told) return
    const isNews = this.#told !== undefined
    this.#told = text
    if (open.length === 0 && lost.length === 0 && !this.#options.isIdentityLost) {
      runtime.logger.info('what the disc had lost has come from other members')
      void this.forget().catch((error) => {
        if (!(error instanceof StoreError)) throw error
        // It is told again at the next start.
        runtime.logger.warn({ err: error }, 'what was damaged cannot be forgotten')
      })
      return
    }
    runtime.logger[isNews ? 'warn' : 'error'](text)
    alarms?.raise(STORE_DAMAGED, text)
  }

  async forget(): Promise<void> {
    const { cluster, alarms } = this.#options
    await cluster.store.forgetDamage()
    alarms?.clear(STORE_DAMAGED)
  }

  #textOf(open: readonly string[], lost: readonly string[]): string {
    const { cluster, isIdentityLost } = this.#options
    const files = [...new Set(cluster.store.damage.map(({ file }) => file))].join(', ')
    const parts = [`the disc has lost something: ${files}`]
    if (isIdentityLost)
      parts.push('this node does not know any more which cluster it was in, and runs alone: join it again')
    if (open.length > 0) {
      const from = cluster.others().length > 0 ? 'they are taken from other members' : 'no other member has them'
      parts.push(`rows of ${open.join(', ')} may be missing or older than they were: ${from}`)
    }
    if (lost.length > 0) parts.push(`so may rows of ${lost.join(', ')} that nobody else writes`)
    return parts.join('; ')
  }

  #refused(failure: StoreError | undefined): void {
    const { cluster, alarms } = this.#options
    const { logger } = cluster.runtime
    if (failure === undefined) {
      logger.info('the disc takes writes again, and has all that waited')
      alarms?.clear(DISC_REFUSES)
      return
    }
    const text = `${failure.message}; what is written meanwhile is kept in memory and would be lost with this process`
    logger.error({ fault: failure.fault }, text)
    alarms?.raise(DISC_REFUSES, text)
  }
}

/** Tables of which something may be lost that only this node writes. */
function lostHere(damage: readonly Damage[], node: string, sole: readonly string[]): string[] {
  const lost = new Set<string>()
  for (const { spaces } of damage) {
    if (spaces === 'all') for (const name of sole) lost.add(name)
    else {
      for (const space of spaces) {
        const [part, owner, ...rest] = space.split('/')
        if (part === 'local') lost.add(space.slice(part.length + 1))
        // The last is the number of the generation.
        if (part === 'owned' && owner === node) lost.add(rest.slice(0, -1).join('/'))
      }
    }
  }
  return [...lost].sort()
}
