/**
 * `npm run bench`: runs every benchmark; `npm run bench -- NAME [OPTIONS]` one, with options of its own; `-- --list` names them.
 *
 * A benchmark is a folder here with an `index.ts`, or a file. Each runs in a process of its own, so that none measures what another
 * left in the heap or in the compiler. Figures never fail a run; a benchmark fails when it could not measure, or when
 * what it measured was wrong.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const scripts = new Map(
  readdirSync(HERE)
    .filter((entry) => entry !== 'index.ts')
    .map((entry) => [entry.replace(/\.ts$/, ''), entry.endsWith('.ts') ? entry : `${entry}/index.ts`] as const)
    .filter(([, script]) => existsSync(join(HERE, script))),
)
const names = [...scripts.keys()]
const [first, ...rest] = process.argv.slice(2)

function run(name: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const script = join(HERE, scripts.get(name) ?? name)
    const child = spawn(process.execPath, ['--expose-gc', '--import', 'tsx', script, ...args], { stdio: 'inherit' })
    // Without this a benchmark would outlive a runner that is told to stop, and its brokers with it.
    const forward = (): void => void child.kill('SIGTERM')
    process.on('SIGTERM', forward)
    child.once('close', (code) => {
      process.off('SIGTERM', forward)
      resolve(code === 0)
    })
  })
}

if (first === '--list' || first === '--help') {
  process.stdout.write(`npm run bench [-- NAME [OPTIONS]]; NAME is one of:\n${names.join('\n')}\n`)
} else if (first === undefined || first.startsWith('-')) {
  // Options without a name go to every benchmark, such as --quick.
  const args = process.argv.slice(2)
  for (const name of names) {
    process.stdout.write(`\n== ${name}\n`)
    if (!(await run(name, args))) process.exitCode = 1
  }
} else if (names.includes(first)) {
  if (!(await run(first, rest))) process.exitCode = 1
} else {
  process.stderr.write(`bench: '${first}' is none of ${names.join(', ')}\n`)
  process.exitCode = 2
}
