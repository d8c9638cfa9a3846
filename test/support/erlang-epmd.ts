/** Erlang's own epmd, for a test. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { epmdClient } from '../dist/epmd-support.ts'
import { eventually } from './eventually.ts'

/** Starts Erlang's epmd in the foreground; resolves when it answers. */
export async function startErlangEpmd(port: number): Promise<ChildProcess> {
  const child = spawn('epmd', ['-port', String(port), '-address', '127.0.0.1'], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  await eventually(async () => (await epmdClient(port).names()).ok)
  return child
}

/** What a command prints and its exit code. */
export function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { env: env as NodeJS.ProcessEnv }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

/** Kills a child and waits for its end. */
export async function killed(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
}
