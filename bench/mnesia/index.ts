/**
 * Tables: rows in memory, owned tables between nodes of one process, and all of it beside Mnesia on real nodes.
 *
 *     npm run bench -- mnesia [--quick] [rows|owned|beside]...
 *     npm run bench -- mnesia beside ...    with the words and options of beside.ts
 *
 * Each figure is measured in a process of its own. Time is CPU time of the process, collection of garbage included, so that other work on the
 * machine counts less; pauses are wall-clock time, and show it. Every line says the unit and n.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const args = process.argv.slice(2)
const isQuick = args.includes('--quick')
const isBeside = args[0] === 'beside'
const wanted = isBeside ? ['beside'] : args.filter((argument) => argument !== '--quick')

/** Script and arguments of each measurement. */
const RUNS: readonly { readonly part: string; readonly args: readonly string[] }[] = [
  ...['map', 'chained', 'sharded', 'key-map', 'key-pages'].flatMap((kind) =>
    (isQuick ? ['100000'] : ['1000000', '10000000']).map((n) => ({ part: 'rows', args: [kind, n] })),
  ),
  ...['table', 'replicate', 'snapshot'].map((kind) => ({ part: 'owned', args: [kind, isQuick ? '20000' : '1000000'] })),
  ...(isQuick ? [] : [{ part: 'owned', args: ['routes', '10000000'] }]),
  { part: 'beside', args: isBeside ? args.slice(1) : isQuick ? ['--quick'] : [] },
]

const unknown = wanted.find((word) => !RUNS.some(({ part }) => part === word))
if (unknown !== undefined) {
  process.stderr.write(`bench mnesia: '${unknown}' is none of rows, owned, beside, --quick\n`)
  process.exit(2)
}

for (const { part, args: own } of RUNS) {
  if (wanted.length > 0 && !wanted.includes(part)) continue
  const script = fileURLToPath(new URL(`${part}.ts`, import.meta.url))
  const { status } = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', script, ...own], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exitCode = 1
}
