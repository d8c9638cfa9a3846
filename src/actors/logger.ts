/**
 * Loggers: pino, in the form that a node uses.
 *
 * Lines are written synchronously: what is logged last, before a node dies, is what matters most, and a worker thread or
 * a buffer would lose it. Logging is for events of a node's life, not for messages, so that its cost does not show.
 * Secrets are taken out by name, whoever logs them.
 */
import { type Logger, pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Clock } from './system.ts'

/** Takes each line as it is logged; levels are numbers as in pino, 30 info, 40 warn, 50 error. */
export interface LogDestination {
  write(line: string, level: number): void
}

/** How a node logs. */
export interface LoggerOptions {
  readonly level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  /** `pretty` for people, in colours when `colours` is set; `json` is one object a line. */
  readonly format: 'pretty' | 'json'
  readonly colours: boolean
  /** Name of the node, on every line. */
  readonly node: string
  readonly clock: Pick<Clock, 'now'>
  readonly destination: LogDestination
}

const SECRETS = ['cookie', 'password', '*.cookie', '*.password']

/** Makes the logger of a node. */
export function createLogger({ level, format, colours, node, clock, destination }: LoggerOptions): Logger {
  const prettify = prettyFactory({ colorize: colours, ignore: 'node', translateTime: 'SYS:HH:MM:ss.l' })
  const stream = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    // pino-pretty's own stream is asynchronous, so the last lines would be lost.
    write(line: string): void {
      destination.write(format === 'json' ? line : prettify(line), this.lastLevel)
    },
  }
  return pino(
    {
      level,
      base: { node },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS, censor: '***' },
    },
    stream,
  )
}
