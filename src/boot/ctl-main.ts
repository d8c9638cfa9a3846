/** The program behind bin/ctl: gives `ctl` the real world and leaves with its exit code. */
import { randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { ctl } from '../ctl/ctl.ts'
import { epmdPort } from './epmd.ts'
import { packageVersion } from './package-root.ts'

// Whoever read our output may leave before us.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

const BAD_USAGE = 2

const port = epmdPort(process.env)
if (typeof port === 'string') {
  process.stderr.write(`bin/ctl: ${port}\n`)
  process.exit(BAD_USAGE)
}
process.exitCode = await ctl({
  argv: process.argv.slice(2),
  env: process.env,
  home: homedir(),
  version: packageVersion(),
  epmdPort: port,
  unique: randomBytes(6).toString('hex'),
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
})

/** On stderr: stdout may be a file. */
async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await lines.question(`${question}. Really? (y/N) `)
  lines.close()
  return /^\s*y(?:es)?\s*$/i.test(answer)
}
