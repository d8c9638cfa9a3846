/**
 * `--detached`: a node in the background.
 *
 * The command starts itself again as the leader of its own session, with agner.log in the data directory for its output,
 * and leaves when the new process says over the IPC channel that it has started or why it has not.
 */
import { spawn } from 'node:child_process'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'

/** Set in the environment of the background process: it reports over IPC. */
export const REPORTS = 'AGNER_DETACHED_REPORTS'

/** What the background process tells the one that started it. */
export interface DetachedReport {
  readonly stream: 'out' | 'err'
  readonly text: string
}

/** How to start the command again, and where to print. */
export interface DetachOptions {
  readonly execPath: string
  /** Of the runtime, the program and its arguments. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly dataDir: string
  out(text: string): void
  err(text: string): void
}

/** Starts the background process; resolves with 0 when it has started, else with its exit code. */
export async function detach({ execPath, args, env, dataDir, out, err }: DetachOptions): Promise<number> {
  const path = join(dataDir, 'agner.log')
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const log = await open(path, 'a', 0o600)
  const child = spawn(execPath, withoutDetached(args), {
    detached: true,
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
    env: { ...env, [REPORTS]: '1' },
  })
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.on('message', ({ stream, text }: DetachedReport) => {
        if (stream === 'err') return err(text)
        out(`${text}It is OS process ${child.pid}; its log is ${path}; kill ${child.pid} stops it.\n`)
        resolve(0)
      })
      child.once('exit', (code, signal) => {
        if (code === null || code === 0) err(`the node ended (${signal ?? code}) before it had started; see ${path}\n`)
        resolve(code === null || code === 0 ? 1 : code)
      })
    })
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
    await log.close()
  }
}

function withoutDetached(args: readonly string[]): string[] {
  return args.filter((arg) => arg !== '--detached' && arg !== '-detached')
}
