/**
 * Loggers: pino, in the form that a node uses.
 *
 * Lines are written synchronously: what is logged last, before a node dies, is what matters most, and a worker thread or
 * a buffer would lose it. Logging is for events of a node's life, not for messages, so that its cost does not show.
 * Secrets are taken out by name, whoever logs them.
 */
import { type DestinationStream, type Logger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Clock } from './system.ts'

/** How a node logs. */
export interface LoggerOptions {
  readonly level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  /** `pretty` for people, in colours when `colours` is set; `json` is one object a line. */
  readonly format: 'pretty' | 'json'
  readonly colours: boolean
  /** Name of the node, on every line. */
  readonly node: string
  readonly clock: Pick<Clock, 'now'>
  /** Takes each line as it is logged. */
  readonly destination: DestinationStream
}

const SECRETS = ['cookie', 'password', '*.cookie', '*.password']

/** Makes the logger of a node. */
export function createLogger({ level, format, colours, node, clock, destination }: LoggerOptions): Logger {
  const prettify = prettyFactory({ colorize: colours, ignore: 'node', translateTime: 'SYS:HH:MM:ss.l' })
  return pino(
    {
      level,
      base: { node },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS, censor: '***' },
    },
    // pino-pretty's own stream is asynchronous, so the last lines would be lost.
    format === 'json' ? destination : { write: (line) => destination.write(prettify(line)) },
  )
}
