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
import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { format, table } from './report.ts'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
      readonly columnNumber: number
    }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

type CallFrame = CpuProfile['nodes'][number]['callFrame']

/** Says where functions of a profile are in the sources, by the source maps of the built files. */
class Places {
  readonly #maps = new Map<string, SourceMap | undefined>()

  fileOf(frame: CallFrame): string {
    return this.#find(frame).file
  }

  placeOf(frame: CallFrame): string {
    if (frame.url === '') return ''
    const { file, line } = this.#find(frame)
    return `${file}:${line + 1}`
  }

  #find({ url, lineNumber, columnNumber }: CallFrame): { file: string; line: number } {
    if (!url.startsWith('file:')) return { file: url, line: lineNumber }
    const built = fileURLToPath(url)
    const entry = this.#mapOf(built)?.findEntry(lineNumber, columnNumber)
    const isMapped = entry !== undefined && 'originalSource' in entry
    const path = isMapped ? resolve(dirname(built), entry.originalSource) : built
    return {
      file: path.replace(`${process.cwd()}/`, '').replace(/^.*\/?node_modules\//, ''),
      line: isMapped ? entry.originalLine : lineNumber,
    }
  }

  #mapOf(built: string): SourceMap | undefined {
    if (this.#maps.has(built)) return this.#maps.get(built)
    const file = `${built}.map`
    const map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : undefined
    this.#maps.set(built, map)
    return map
  }
}

/** Self time in µs by key, largest first. */
function sumBy(profile: CpuProfile, keyOf: (frame: CallFrame) => string): [string, number][] {
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
  const places = new Places()
  const functions = sumBy(profile, (frame) => [frame.functionName || '(anonymous)', places.placeOf(frame)].join(' '))
  const idle = functions.find(([key]) => key.startsWith('(idle)'))?.[1] ?? 0
  const all = functions.reduce((sum, [, us]) => sum + us, 0)
  const busy = all - idle
  const rows = (list: [string, number][]): string[][] =>
    list
      .filter(([key]) => !key.startsWith('(idle)'))
      .slice(0, count)
      .map(([key, us]) => [key, `${((us / busy) * 100).toFixed(1)} %`, (us / operations).toFixed(3)])
  const files = sumBy(profile, (frame) => {
    if (frame.url !== '') return places.fileOf(frame)
    return frame.functionName.startsWith('(') ? frame.functionName : '(built-in functions)'
  })
  return [
    `${operations} operations in ${(all / 1000).toFixed(0)} ms; busy in JavaScript and what it calls ${(busy / operations).toFixed(3)} µs each, CPU by /proc ${format(cpuUs)} µs each`,
    table([['function', 'self', 'µs each'], ...rows(functions)]),
    '',
    table([['file', 'self', 'µs each'], ...rows(files)]),
  ].join('\n')
}
