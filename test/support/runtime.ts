/** A runtime for a test: the real clock and scheduler, logs kept instead of printed, stopped when the test ends. */
import { Writable } from 'node:stream'
import pino, { type Logger } from 'pino'
import { onTestFinished } from 'vitest'
import { Runtime, type RuntimeOptions } from '../../src/actors/runtime.ts'

export interface TestRuntime {
  readonly runtime: Runtime
  /** Log lines so far, parsed. */
  readonly logs: Record<string, unknown>[]
}

export function testRuntime(options: Partial<RuntimeOptions> = {}): TestRuntime {
  const logs: Record<string, unknown>[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      logs.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const runtime = new Runtime({ logger: pino({ level: 'debug' }, sink), ...options })
  onTestFinished(() => runtime.stop())
  return { runtime, logs }
}

export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
