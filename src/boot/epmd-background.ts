/**
 * epmd in the background: for `bin/epmd -daemon`, and for a node that finds no epmd to register at.
 *
 * The new process leads its own session and lives on when the node ends, since other nodes have registered there by then. It
 * says over IPC when it listens. Two nodes that start at once may each start one; the second finds the port taken and
 * leaves, which is as good.
 */
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { packageRoot } from './package-root.ts'

// The program is run from its sources, too.
const PROGRAM = join(
  packageRoot(),
  import.meta.url.endsWith('.ts') ? 'src/boot/epmd-main.ts' : 'build/src/boot/epmd-main.js',
)

/** What the background process sends when it listens. */
export const READY = 'ready'

/**
 * Starts epmd with these arguments; resolves with 0 when it listens or another one does, else with its exit code.
 * `execArgv` are the options of the runtime.
 */
export async function startEpmdInBackground(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[] = process.execArgv,
): Promise<number> {
  const child = spawn(process.execPath, [...execArgv, PROGRAM, ...argv], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    cwd: dirname(PROGRAM),
    env: { ...env },
  })
  try {
    return await new Promise<number>((resolve) => {
      child.once('error', () => resolve(1))
      child.once('message', () => resolve(0))
      child.once('exit', (code) => resolve(code ?? 1))
    })
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
  }
}
