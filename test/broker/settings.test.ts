import { describe, expect, it } from 'vitest'
import { configOf, defaultConfig } from '../../src/broker/config.ts'
import {
  bytes,
  check,
  closest,
  duration,
  INFINITY,
  integer,
  list,
  map,
  OFF,
  oneOf,
  type Setting,
  seconds,
  text,
} from '../../src/broker/settings.ts'

/** What a setting makes of an input; undefined when it refuses. */
function read<V>(setting: Setting<string, V>, input: unknown): V | undefined {
  const result = setting.schema.safeParse(input)
  return result.success ? result.data : undefined
}
const doc = ''

describe('a time', () => {
  const setting = duration({ field: 'waitMs', default: '1s', min: 100, max: 86_400_000, word: OFF, doc })

  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    [2, 2000],
    [0.5, 500],
    ['off', 0],
    [0, 0],
    ['2d', undefined],
    ['99ms', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['s', undefined],
    [Number.NaN, undefined],
    [-1, undefined],
    [true, undefined],
    ['infinity', undefined],
  ])('%j is %s ms', (input, ms) => {
    expect(read(setting, input)).toBe(ms)
  })

  it('of whole seconds is refused with a part of one', () => {
    const whole = seconds({ field: 'waitSec', default: '1s', word: INFINITY, doc })
    expect([read(whole, '90s'), read(whole, '1500ms'), read(whole, '2m'), read(whole, 'infinity')]).toEqual([
      90,
      undefined,
      120,
      Number.POSITIVE_INFINITY,
    ])
  })
})

describe('a size', () => {
  const setting = bytes({ field: 'roomBytes', default: '1KB', min: 1, max: 2 ** 30, doc })

  it.each([
    ['512B', 512],
    ['64KB', 65_536],
    ['1mb', 1_048_576],
    ['1GB', 2 ** 30],
    [77, 77],
    ['77', 77],
    ['2GB', undefined],
    [0, undefined],
    [1.5, undefined],
    ['1.5MB', undefined],
    ['1TB', undefined],
    ['', undefined],
  ])('%j is %s bytes', (input, size) => {
    expect(read(setting, input)).toBe(size)
  })
})

describe('other settings', () => {
  it('take what they allow and nothing else', () => {
    const count = integer({ field: 'count', default: 1, min: 1, max: 3, doc })
    expect([1, 3, 0, 4, 1.5, '1', null].map((input) => read(count, input))).toEqual([1, 3, ...Array(5).fill(undefined)])
    const word = oneOf({ field: 'word', default: 'a', values: ['a', 'b'], doc })
    expect(['a', 'b', 'c', 0].map((input) => read(word, input))).toEqual(['a', 'b', undefined, undefined])
    const host = text({ field: 'host', default: 'x', pattern: /^\S+$/, doc })
    expect(['h', '', 'a b', 1].map((input) => read(host, input))).toEqual(['h', undefined, undefined, undefined])
    const even = (element: unknown) => (typeof element === 'number' && element % 2 === 0 ? element : undefined)
    const evens = list({ field: 'evens', default: [], allowed: 'even numbers', doc, parse: even })
    expect([[2, 4], [2, 3], 2].map((input) => read(evens, input))).toEqual([[2, 4], undefined, undefined])
    const named = map({ field: 'named', allowed: 'even numbers', doc, parse: even })
    expect([{ a: 2 }, { a: 1 }, [2], null].map((input) => read(named, input))).toEqual([
      { a: 2 },
      undefined,
      undefined,
      undefined,
    ])
  })

  it('say what is allowed and what they got, cut short', () => {
    const result = check({ count: integer({ field: 'count', default: 1, max: 3, doc }) }, { count: 'x'.repeat(100) })
    expect(result).toMatchObject({
      ok: false,
      problems: [
        { path: ['count'], problem: expect.stringMatching(/^must be a whole number, from 0 to 3, not "x{56}\.\.\.$/) },
      ],
    })
  })
})

describe('the configuration of an embedded broker', () => {
  it('is the defaults with what is given', () => {
    const config = configOf({ listeners: { tcp: { port: 0 } }, session: { queue: { maxLength: 5 } } })
    const defaults = defaultConfig()
    expect(config.listeners.tcp).toEqual({ ...defaults.listeners.tcp, port: 0 })
    expect(config.session).toEqual({ ...defaults.session, queue: { ...defaults.session.queue, maxLength: 5 } })
    expect(configOf({ mqtt: undefined })).toEqual(defaults)
  })

  it('replaces tables of names as a whole', () => {
    expect(configOf({ session: { queue: { priorities: { a: 1 } } } }).session.queue.priorities).toEqual({ a: 1 })
  })

  it('throws for a field that does not exist, with the one that was meant', () => {
    const misspelt = { session: { queue: { maxLenght: 5 } } }
    expect(() => configOf(misspelt as object)).toThrow(
      new TypeError('session.queue.maxLenght is not a setting; did you mean maxLength?'),
    )
  })

  it('has a finite limit for everything that a client can make grow', () => {
    const { mqtt, session, retained, listeners } = defaultConfig()
    const limits = [
      mqtt.maxPacketBytes,
      mqtt.idleTimeoutMs,
      session.maxExpirySec,
      session.maxSubscriptions,
      session.queue.maxLength,
      session.queue.maxBytes,
      retained.maxMessages,
      retained.maxPayloadBytes,
      listeners.tcp.maxConnections,
      listeners.tcp.slowConsumerTimeoutMs,
    ]
    expect(limits.every(Number.isFinite)).toBe(true)
  })
})

describe('the nearest of some words', () => {
  it('is one that a slip explains, or none', () => {
    const words = ['max_packet_size', 'max_inflight', 'port']
    expect(closest('max_packet_sise', words)).toBe('max_packet_size')
    expect(closest('prot', words)).toBe('port')
    expect(closest('colour', words)).toBeUndefined()
  })
})
