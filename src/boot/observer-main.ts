/** The program behind bin/observer: gives `runObserver` the real world and leaves with its exit code. */
import { homedir } from 'node:os'
import { errorText } from '../observer/shell/outcome-text.ts'
import { startEpmdInBackground } from './epmd-background.ts'
import { runObserver } from './observer.ts'
import { failureLogger } from './observer-failure.ts'
import { packageVersion } from './package-root.ts'

const { stdin, stdout, stderr } = process

// Whoever read our output may leave before us, as `head` does.
let isOpen = true
stdout.on('error', () => {
  isOpen = false
})
stderr.on('error', () => {})

// A promise that was made at the prompt and left alone is nobody's death.
process.on('unhandledRejection', (error) => void stderr.write(`** ${errorText(error)}\n`))

const end = new AbortController()
process.once('SIGTERM', () => end.abort())
if (process.argv.includes('--top') || process.argv.includes('-top')) process.once('SIGINT', () => end.abort())

process.exitCode = await runObserver({
  argv: process.argv.slice(2),
  env: process.env,
  home: homedir(),
  version: packageVersion(),
  input: stdin,
  output: stdout,
  isOutputOpen: () => isOpen,
  err: (text) => void stderr.write(text),
  logger: failureLogger,
  startEpmd: async (port) => {
    // It serves others too and lives on: our cookie is no business of it.
    const { AGNER_COOKIE: _, ...env } = process.env
    await startEpmdInBackground(['-port', String(port)], env)
  },
  signal: end.signal,
})
process.exit()
