/**
 * Builds and runs the load generator (loadgen.c), and reads the line of figures that it prints.
 */
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What one run reported: the names are the generator's own. */
export interface Round {
  readonly figures: Readonly<Record<string, number>>
  /** What was wrong with the deliveries or why there are no figures; undefined when all was well. */
  readonly fault: string | undefined
}

/** Counts that must be 0 in every run. */
const FAULTS = ['lost', 'doubled', 'outOfOrder', 'foreign', 'damaged', 'unfinishedHandshakes', 'afterUnsuback'] as const

/** Compiles the generator when needed and returns the path of the binary; throws with the compiler's words. */
export function buildLoadgen(): string {
  const result = spawnSync(fileURLToPath(new URL('./loadgen', import.meta.url)), ['--where'], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(result.error?.message ?? result.stderr.trim())
  return result.stdout.trim()
}

/** Runs the generator against a port and resolves with its figures; a run that hangs is ended after timeoutMs. */
export function runLoadgen(
  binary: string,
  args: readonly string[],
  target: {
    readonly port: number
    readonly pids: readonly number[]
    readonly cpu: number | undefined
    readonly timeoutMs: number
  },
): Promise<Round> {
  const pin = target.cpu === undefined ? [] : ['taskset', '-c', String(target.cpu)]
  const [program, ...rest] = [
    ...pin,
    binary,
    ...args,
    '--json',
    '--port',
    String(target.port),
    '--pid',
    target.pids.join(','),
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(program ?? binary, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let complaint = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    const timer = setTimeout(() => {
      complaint += `no end after ${target.timeoutMs / 1000} s`
      child.kill('SIGKILL')
    }, target.timeoutMs)
    child.once('error', reject)
    child.once('close', () => {
      clearTimeout(timer)
      if (output === '') {
        resolve({ figures: {}, fault: complaint.trim() || 'the generator ended without a word' })
        return
      }
      const figures = JSON.parse(output) as Record<string, number>
      const faults = FAULTS.filter((name) => (figures[name] ?? 0) !== 0).map((name) => `${name} ${figures[name]}`)
      resolve({ figures, fault: faults.length > 0 ? faults.join(', ') : undefined })
    })
  })
}
