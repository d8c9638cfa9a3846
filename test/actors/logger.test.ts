import { expect, test } from 'vitest'
import { createLogger, type LoggerOptions } from '../../src/actors/logger.ts'
import { Pid } from '../../src/actors/pid.ts'

function logger(options: Partial<LoggerOptions> = {}) {
  const lines: [line: string, level: number][] = []
  const logger = createLogger({
    level: 'info',
    format: 'json',
    colours: false,
    node: 'n1@127.0.0.1',
    clock: { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) },
    destination: { write: (line, level) => lines.push([line, level]) },
    ...options,
  })
  return { logger, lines }
}

test('a line of JSON has level, time of the given clock, node and message', () => {
  const { logger: log, lines } = logger()
  log.warn({ process: new Pid({ name: 'n1@127.0.0.1', creation: 1 }, 12, 0) }, 'slow')
  expect(lines).toHaveLength(1)
  const [line, level] = lines[0]!
  expect(level).toBe(40)
  expect(JSON.parse(line)).toEqual({
    level: 'warn',
    time: '2026-01-02T03:04:05.006Z',
    node: 'n1@127.0.0.1',
    process: '<n1@127.0.0.1.12.0>',
    msg: 'slow',
  })
})

test('what is below the level is not written', () => {
  const { logger: log, lines } = logger({ level: 'error' })
  log.warn('slow')
  log.error('broken')
  expect(lines.map(([, level]) => level)).toEqual([50])
})

test('for people a line is text, there at once', () => {
  const { logger: log, lines } = logger({ format: 'pretty' })
  log.error({ err: new Error('broken') }, 'failed')
  expect(lines[0]![0]).toMatch(/^\[\d\d:\d\d:05\.006\] ERROR.*: failed\n/)
  expect(lines[0]![0]).toContain('Error: broken')
  expect(lines[0]![0]).not.toContain('\u001b[')
})

test('colours are for terminals that want them', () => {
  const { logger: log, lines } = logger({ format: 'pretty', colours: true })
  log.info('started')
  expect(lines[0]![0]).toContain('\u001b[')
})

test('secrets are taken out by name, at the top and one level below', () => {
  for (const format of ['json', 'pretty'] as const) {
    const { logger: log, lines } = logger({ format })
    log.info({ cookie: 'topsecret', connect: { username: 'bob', password: 'topsecret' } }, 'connect')
    expect(lines[0]![0]).not.toContain('topsecret')
    expect(lines[0]![0]).toContain('bob')
  }
})
