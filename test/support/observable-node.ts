/** Starts observable-node-main.ts, and kills it when the test ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

const PROGRAM = fileURLToPath(new URL('./observable-node-main.ts', import.meta.url))

export interface ObservableNodeOptions {
  readonly epmdPort: number
  /** @default secret */
  readonly cookie?: string
  /** Whether `erl -remsh` gets a shell. @default false */
  readonly shell?: boolean
}

/** Starts one that is killed when the test ends; resolves when the node is there. */
export async function observableNode(name: string, options: ObservableNodeOptions): Promise<ChildProcess> {
  const { child, ready } = launchObservableNode(name, options)
  onTestFinished(() => void child.kill('SIGKILL'))
  await ready
  return child
}

/** Starts one that the caller has to kill. */
export function launchObservableNode(
  name: string,
  { epmdPort, cookie = 'secret', shell = false }: ObservableNodeOptions,
): { readonly child: ChildProcess; readonly ready: Promise<unknown> } {
  const args = ['--import', 'tsx', PROGRAM, name, String(epmdPort), cookie, ...(shell ? ['shell'] : [])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += String(data)))
  const ready = eventually(
    () => {
      if (child.exitCode !== null) throw new Error(`${name} has ended: ${output}`)
      return output.includes('ready')
    },
    { withinMs: 25_000 },
  )
  return { child, ready }
}
