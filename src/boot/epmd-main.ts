/** The program behind bin/epmd: gives `runEpmd` the real world and leaves with its exit code. */
import { realSystem } from '../actors/system.ts'
import { EpmdClient } from '../dist/epmd-client.ts'
import { startEpmdServer } from '../dist/epmd-server.ts'
import { tcpTransport } from '../dist/transport-tcp.ts'
import { runEpmd } from './epmd.ts'
import { READY, startEpmdInBackground } from './epmd-background.ts'

const system = realSystem()
const transport = tcpTransport()

// Whoever read our output may leave before us.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

process.exitCode = await runEpmd({
  argv: process.argv.slice(2),
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  client: (port) => new EpmdClient({ transport, system, port }),
  startServer: (options) =>
    startEpmdServer({ ...options, transport, timers: system.timers, randomFill: system.randomFill }),
  ready: () => {
    if (process.send === undefined) return
    process.send(READY)
    process.disconnect()
  },
  untilSignal: () =>
    new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => resolve())
    }),
  daemonise: (argv) => startEpmdInBackground(argv, process.env),
})
process.exit()
