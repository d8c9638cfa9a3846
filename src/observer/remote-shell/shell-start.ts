/**
 * What `erl -remsh n1@host` asks of a node, exported: a shell for its terminal, completion, and a greeting [OTP shell:start/0,
 * edlin_expand:expand/1, user_drv].
 *
 * Erlang calls `shell:start()` by rpc, with its own terminal as group leader, and gets a pid that it links to its terminal. On a node
 * where the shell is off, that process says so and ends.
 */
import { Pid } from '../../actors/pid.ts'
import type { Script } from '../../actors/process.ts'
import type { Runtime } from '../../actors/runtime.ts'
import { distributionOf } from '../../dist/distribution.ts'
import { badarg, type CallContext, type Exports } from '../../dist/exports.ts'
import { atom, atomName, charlist, text, tuple } from '../../dist/term.ts'
import { commonPrefix, complete } from '../shell/completion.ts'
import { Terminal } from './io.ts'
import { readOnlyCommands, serveShell } from './shell.ts'

/** Shells at a time. */
const MAX_SHELLS = 16

export interface RemoteShellOptions {
  readonly enabled: boolean
  /** Of this package. */
  readonly version: string
}

/** Exports the shell of a node, or its refusal. To be called once. */
export function exportRemoteShell(
  { runtime, exports }: { readonly runtime: Runtime; readonly exports: Exports },
  { enabled, version }: RemoteShellOptions,
): void {
  let shells = 0
  const { name } = runtime.node
  const start = ({ groupLeader }: CallContext): Pid => {
    if (!(groupLeader instanceof Pid)) throw badarg()
    const from = groupLeader.node
    if (!enabled || shells >= MAX_SHELLS) {
      runtime.logger.warn({ report: 'remote_shell', from }, `a remote shell was refused to ${from}`)
      const why = enabled ? `${name} has ${MAX_SHELLS} remote shells already` : `the remote shell of ${name} is off`
      const hint = enabled ? '' : '; switch it on there with dist.remote_shell = true, or use: observer'
      return spawn((self) => new Terminal(self, groupLeader).write(`*** ${why}${hint} ***\n`))
    }
    shells++
    runtime.logger.info({ report: 'remote_shell', from }, `a remote shell was opened from ${from}`)
    const pid = spawn((self) => serveShell(self, groupLeader, version))
    runtime.process(pid)!.onExit(() => {
      shells--
      runtime.logger.info({ report: 'remote_shell', from }, `the remote shell from ${from} has ended`)
    })
    return pid
  }
  const spawn = (script: Script): Pid => runtime.spawn(script, { label: 'shell:start/0', trapExit: true })
  exports.register('shell', { 'start/0': start })
  // From OTP 26 on the terminal asks these before, and ends when it gets no answer.
  exports.register('net_kernel', {
    'get_net_ticktime/0': () => Math.round((distributionOf(runtime)?.netTicktimeMs ?? 60_000) / 1000),
  })
  exports.register('application', {
    'get_env/3': (_context, application, key, fallback) =>
      atomName(application) === 'stdlib' && atomName(key) === 'shell_slogan' ? charlist(`agner ${version}`) : fallback,
  })
  if (enabled) exports.register('edlin_expand', { 'expand/1': (_context, reversed) => expand(runtime, reversed) })
}

/** `{yes | no, TextToInsert, Candidates}` for a line, which comes the last character first. */
async function expand(runtime: Runtime, reversed: unknown): Promise<unknown> {
  const line = text(reversed)
  if (line === undefined) throw badarg()
  const commands = [...readOnlyCommands().commands].map(({ name }) => name)
  const vocabulary = {
    // A bare word is a name there.
    names: () => ['at', 'v', 'h', ...commands.map((name) => name.split('.')[0]!), ...runtime.registered()],
    lookUp: ([module]: readonly string[]) =>
      Object.fromEntries(
        commands.filter((name) => name.startsWith(`${module}.`)).map((name) => [name.split('.')[1], 0]),
      ),
    pids: () => [],
    words: async () => runtime.registered().sort(),
  }
  const { candidates, fragment } = await complete([...line].reverse().join(''), vocabulary)
  const unique = [...new Set(candidates)]
  const insert = unique.length === 0 ? '' : commonPrefix(unique).slice(fragment.length)
  const more = unique.length > 1 ? unique.map(charlist) : []
  return tuple(atom(insert === '' ? 'no' : 'yes'), charlist(insert), more)
}
