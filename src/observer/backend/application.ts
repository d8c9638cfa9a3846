/**
 * The application `observer`: what every node runs so that it can be observed. Its top supervisor keeps the backend.
 *
 * The questions of the backend are exported as well, as the module `agner_observer`, for `rpc:call` from an Erlang node.
 */
import * as application from '../../actors/application.ts'
import { Exit } from '../../actors/errors.ts'
import { call } from '../../actors/gen.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { child, supervisor } from '../../actors/supervisor.ts'
import type { CallContext, ExportedModule, Exports } from '../../dist/exports.ts'
import { exportRemoteShell } from '../remote-shell/shell-start.ts'
import { type BackendOptions, OBSERVER_BACKEND, observerBackend } from './backend.ts'
import { realLoop } from './load.ts'
import { type ObservableTables, showTables } from './shown-tables.ts'

export interface ObservableOptions {
  /** Of this package. */
  readonly version: string
  /** Tables to show beside those of ets. @default none */
  readonly tables?: ObservableTables
  /** Whether `erl -remsh` gets a shell, which only reads; else it is told that the shell is off. @default false */
  readonly remoteShell?: boolean
  /** Whether the node runs in a simulation, whose event loop is not its own. @default false */
  readonly simulated?: boolean
}

const MODULE = 'agner_observer'

/** Longest of the questions that take time by their nature. */
const QUESTION_MS = 65_000

const top = supervisor<BackendOptions>({
  label: 'observer_sup',
  strategy: 'one_for_one',
  intensity: 10,
  periodSec: 60,
  children: (options) => [child(OBSERVER_BACKEND, observerBackend, [options, { name: OBSERVER_BACKEND }])],
})

/**
 * Makes a node observable: starts the application `observer` on it and exports its questions. To be called once, after anything
 * else that starts the application controller. Rejects with `Exit` when the application does not start.
 */
export async function makeObservable(
  { runtime, exports }: { readonly runtime: Runtime; readonly exports: Exports },
  { version, tables, remoteShell = false, simulated = false }: ObservableOptions,
): Promise<void> {
  const started = await application.start(runtime, {
    name: 'observer',
    description: 'what the node tells observers',
    version,
    start: (self) => {
      const options = { exports, version, loop: simulated ? undefined : realLoop }
      return top.startLink(self, options, { name: 'observer_sup' })
    },
  })
  if (!started.ok) throw new Exit(started.reason)
  if (tables !== undefined) showTables(exports, runtime, tables)
  exports.register(MODULE, questions())
  exportRemoteShell({ runtime, exports }, { enabled: remoteShell, version })
}

/** Each question by the numbers of arguments with which it can be asked. */
function questions(): ExportedModule {
  const arities: Readonly<Record<string, readonly number[]>> = {
    about: [0],
    processes: [0, 1],
    window: [0, 1, 2, 3],
    process: [1],
    messages: [1, 2],
    registered: [0, 1],
    tree: [0, 1, 2, 3],
    tables: [0, 1],
    table: [1],
    rows: [1, 2],
    load: [0],
    memory: [0],
  }
  const entries = Object.entries(arities).flatMap(([name, counts]) =>
    counts.map((arity) => [
      `${name}/${arity}`,
      ({ self }: CallContext, ...args: unknown[]) => call(self, OBSERVER_BACKEND, [name, ...args], QUESTION_MS),
    ]),
  )
  return Object.fromEntries(entries)
}
