/**
 * Reads a `.cpuprofile` and says which functions the time went to.
 *
 * Self time is summed per function over all places it was called from. Beside the share of the busy time stands the
 * cost per operation, which can be held against the targets: a function that takes 10 % of a broker at 8 µs a delivery
 * is worth at most 0.8 µs. `writev`, `writeBuffer` and the like are the system calls that a JavaScript function made;
 * `(program)` is other native code. V8 takes the whole poll phase for idle, reading from sockets included, so what
 * /proc charges above the busy time is reading, and is the same for every Node broker. Self time is wall time: while other
 * programs have the core it is charged to the function that lost it, so on a loaded machine read shares, not µs.
 */
import { readFileSync } from 'node:fs'
import { format, table } from './report.ts'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

function place(url: string, line: number): string {
  if (url === '') return ''
  const path = url.replace(/^file:\/\//, '').replace(`${process.cwd()}/`, '')
  return `${path.replace(/^.*\/node_modules\//, '')}:${line + 1}`
}

/** Self time in µs by key, largest first. */
function sumBy(
  profile: CpuProfile,
  keyOf: (frame: CpuProfile['nodes'][number]['callFrame']) => string,
): [string, number][] {
  const keys = new Map(profile.nodes.map(({ id, callFrame }) => [id, keyOf(callFrame)]))
  const sums = new Map<string, number>()
  for (const [i, id] of profile.samples.entries()) {
    const key = keys.get(id) ?? '(unknown)'
    // The time up to the next sample is this one's; the deltas are those from the sample before.
    sums.set(key, (sums.get(key) ?? 0) + (profile.timeDeltas[i + 1] ?? 0))
  }
  return [...sums].sort((a, b) => b[1] - a[1])
}

/**
 * The functions and the files with the largest self time.
 *
 * @param operations deliveries, connections or filters while the profile was taken
 * @param cpuUs what each cost by /proc, µs
 */
export function hotFunctions(path: string, operations: number, cpuUs: number | undefined, count: number): string {
  const profile = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile
  const functions = sumBy(profile, ({ functionName, url, lineNumber }) =>
    [functionName || '(anonymous)', place(url, lineNumber)].join(' '),
  )
  const idle = functions.find(([key]) => key.startsWith('(idle)'))?.[1] ?? 0
  const all = functions.reduce((sum, [, us]) => sum + us, 0)
  const busy = all - idle
  const rows = (list: [string, number][]): string[][] =>
    list
      .filter(([key]) => !key.startsWith('(idle)'))
      .slice(0, count)
      .map(([key, us]) => [key, `${((us / busy) * 100).toFixed(1)} %`, (us / operations).toFixed(3)])
  const files = sumBy(profile, ({ functionName, url }) =>
    url === ''
      ? functionName.startsWith('(')
        ? functionName
        : '(built-in functions)'
      : place(url, 0).replace(/:1$/, ''),
  )
  return [
    `${operations} operations in ${(all / 1000).toFixed(0)} ms; busy in JavaScript and what it calls ${(busy / operations).toFixed(3)} µs each, CPU by /proc ${format(cpuUs)} µs each`,
    table([['function', 'self', 'µs each'], ...rows(functions)]),
    '',
    table([['file', 'self', 'µs each'], ...rows(files)]),
  ].join('\n')
}
