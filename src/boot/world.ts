/**
 * The real `World`: the OS process around a node, with its arguments, files, output and signals.
 *
 * The first SIGTERM, SIGINT or SIGHUP asks for an ordered stop, the second ends the process at once.
 */
import { lookup } from 'node:dns/promises'
import { constants, homedir, hostname } from 'node:os'
import type { World } from './boot.ts'
import { type DetachedReport, detach, REPORTS } from './detach.ts'
import { startEpmdInBackground } from './epmd-background.ts'
import { packageRoot, packageVersion } from './package-root.ts'
import { runNode } from './run-node.ts'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
/** Ctrl+C at a console is for what runs there. */
const SIGNALS_OF_CONSOLE = ['SIGTERM', 'SIGHUP'] as const

/** The world of this OS process. */
export function realWorld(): World {
  const { [REPORTS]: reports, ...env } = process.env
  /** In the background, what the user would have seen goes to the process that the user sees, until that is told enough. */
  const isReporting = reports !== undefined && process.send !== undefined
  const root = packageRoot()
  // Whoever read our output may leave before us.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  return {
    argv: process.argv.slice(2),
    env,
    home: homedir(),
    hostname: hostname(),
    root,
    version: packageVersion(),
    isInBackground: isReporting,
    isTerminal: process.stderr.isTTY === true,
    out: (text) => {
      process.stdout.write(text)
      if (isReporting) report({ stream: 'out', text })
    },
    err: (text) => {
      process.stderr.write(text)
      if (isReporting) report({ stream: 'err', text })
    },
    log: (line) => void process.stderr.write(line),
    readStdin: async () => {
      const chunks: Buffer[] = []
      for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
      return Buffer.concat(chunks)
    },
    resolveHost: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    startEpmd: async (port) => {
      // It serves others too and lives on: our cookie is no business of it.
      const { AGNER_COOKIE: _, ...rest } = env
      await startEpmdInBackground(['-port', String(port)], rest)
    },
    runNode,
    terminal: { input: process.stdin, output: process.stdout, home: homedir() },
    untilSignal: (hasConsole) =>
      new Promise((resolve) => {
        for (const signal of hasConsole ? SIGNALS_OF_CONSOLE : SIGNALS) {
          process.once(signal, () => {
            for (const other of SIGNALS) process.on(other, () => process.exit(128 + constants.signals[other]))
            resolve(signal)
          })
        }
      }),
    detach: (dataDir) =>
      detach({
        execPath: process.execPath,
        args: [...process.execArgv, ...process.argv.slice(1)],
        env,
        dataDir,
        out: (text) => void process.stdout.write(text),
        err: (text) => void process.stderr.write(text),
      }),
  }
}

function report(message: DetachedReport): void {
  if (process.connected) process.send?.(message)
}
