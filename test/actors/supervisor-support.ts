/** Workers whose starts and ends are noted, for tests of supervisors. */

import type { ExitReason } from '../../src/actors/errors.ts'
import { genServer, ignore, initStop, ok, stop } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { ChildSpec } from '../../src/actors/supervisor/child-spec.ts'
import { type ChildOptions, child, whichChildren } from '../../src/actors/supervisor.ts'
import type { World } from './world.ts'

export class Workers {
  /** `start a`, `end a normal` … in the order in which they happened. */
  readonly events: string[] = []
  /** How many of the next starts fail, by id. */
  readonly failures = new Map<string, number>()
  readonly ignored = new Set<string>()
  /** Ids whose start waits for a promise. */
  readonly slow = new Set<string>()
  /** Workers that trap exits and do not end when they are told to. */
  readonly stubborn = new Set<string>()
  readonly #server

  constructor() {
    this.#server = genServer<string, Record<never, never>, { end: (reason: ExitReason) => void }, string>({
      label: 'worker',
      init: (id, self) => {
        const failures = this.failures.get(id) ?? 0
        if (failures > 0) {
          this.failures.set(id, failures - 1)
          return initStop('cannot')
        }
        if (this.ignored.has(id)) return ignore()
        this.events.push(`start ${id}`)
        self.onExit((reason) => void this.events.push(`end ${id} ${name(reason)}`))
        if (this.stubborn.has(id)) self.processFlag('trap_exit', true)
        return this.slow.has(id) ? Promise.resolve(ok(id)) : ok(id)
      },
      casts: { end: ({ state }, reason) => stop(reason, state) },
      terminate: ({ state }, reason) =>
        this.stubborn.has(state) && reason === 'shutdown' ? new Promise(() => {}) : undefined,
    })
  }

  get server() {
    return this.#server
  }

  spec(id: string, options: ChildOptions = {}): ChildSpec {
    return child(id, this.#server, [id], options)
  }

  /** What has happened since the last call. */
  take(): string[] {
    return this.events.splice(0)
  }
}

function name(reason: ExitReason): string {
  return typeof reason === 'string' ? reason : JSON.stringify(reason)
}

/** Ends a child by itself, with a reason. */
export async function endChild(
  world: World,
  workers: Workers,
  supervisor: Pid,
  id: string,
  reason: ExitReason,
): Promise<void> {
  workers.server.cast(world.runtime, await pidOf(world, supervisor, id), 'end', reason)
  await world.settle()
}

export async function pidOf(world: World, supervisor: Pid, id: string): Promise<Pid> {
  const children = await world.run(whichChildren(world.runtime, supervisor))
  const found = children.find((info) => info.id === id)?.child
  if (found === undefined || found === 'restarting') throw new Error(`${id} does not run`)
  return found
}

/** The supervisor's reports so far, as `context id reason`. */
export function reports(world: World): string[] {
  return world.log
    .filter((line) => line.report === 'supervisor')
    .map((line) => `${line.errorContext} ${(line.offender as { id: string }).id} ${name(line.reason)}`)
}
