import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { UnsendableError } from '../../src/dist/errors.ts'
import { Encoder, encode, preencode } from '../../src/dist/etf-encode.ts'
import { atom, BitBinary, charlist, Export, float, ImproperList, Port, tuple } from '../../src/dist/term.ts'
import { decodeAll, etf, NODE, uint32 } from './etf-support.ts'

const OWN_NAME = [119, 14, 'here@127.0.0.1'] as const

describe('the encoder writes', () => {
  test.each([
    ['a byte', 255, etf(97, 255)],
    ['a negative integer', -1, etf(98, 255, 255, 255, 255)],
    ['an integer of 32 bits', 256, etf(98, 0, 0, 1, 0)],
    ['an integer of 33 bits', 2 ** 32, etf(110, 5, 0, 0, 0, 0, 0, 1)],
    ['an unsigned integer of 32 bits', 2 ** 31, etf(110, 4, 0, 0, 0, 0, 128)],
    ['the least safe integer', Number.MIN_SAFE_INTEGER, etf(110, 7, 1, 255, 255, 255, 255, 255, 255, 31)],
    ['a bigint that is small as an integer', 5n, etf(97, 5)],
    ['a bigint', -(2n ** 64n), etf(110, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
    ['a bigint of 256 bytes', 2n ** 2040n, etf(111, uint32(256), 0, Buffer.alloc(255), 1)],
    ['a float', 1.5, etf(70, 63, 248, 0, 0, 0, 0, 0, 0)],
    ['an integral number as an integer', 1.0, etf(97, 1)],
    ['a wrapped integral number as a float', float(1), etf(70, 63, 240, 0, 0, 0, 0, 0, 0)],
    ['minus zero as a float', -0, etf(70, 128, 0, 0, 0, 0, 0, 0, 0)],
    ['an integral number that is not safe as a float', 2 ** 60, etf(70, 67, 176, 0, 0, 0, 0, 0, 0)],
    ['an atom', atom('ok'), etf(119, 2, 'ok')],
    ['an atom of UTF-8', atom('é'), etf(119, 2, 'é')],
    ['an atom of more than 255 bytes', atom('é'.repeat(200)), etf(118, 1, 144, 'é'.repeat(200))],
    [
      'the values that are atoms',
      [true, false, undefined, null],
      etf(108, uint32(4), 119, 4, 'true', 119, 5, 'false', 119, 9, 'undefined', 119, 4, 'null', 106),
    ],
    ['text', 'é!', etf(77, uint32(3), 8, 'é!')],
    ['long text', 'é'.repeat(5000), etf(77, uint32(10_000), 8, 'é'.repeat(5000))],
    ['the empty text with 0 bits', '', etf(77, uint32(0), 0)],
    ['a binary', Buffer.of(1, 2), etf(109, uint32(2), 1, 2)],
    ['a long binary', Uint8Array.of(...Array(50).keys()), etf(109, uint32(50), Buffer.from([...Array(50).keys()]))],
    [
      'a bit string, without the bits that do not count',
      new BitBinary(Buffer.of(1, 0xff), 3),
      etf(77, uint32(2), 3, 1, 0xe0),
    ],
    ['a tuple', tuple(1, tuple()), etf(104, 2, 97, 1, 104, 0)],
    ['a large tuple', tuple(...Array<number>(256).fill(1)), etf(105, uint32(256), Buffer.alloc(512, Buffer.of(97, 1)))],
    ['a list', [1, []], etf(108, uint32(2), 97, 1, 106, 106)],
    ['a charlist', charlist('aλ'), etf(108, uint32(2), 97, 97, 98, 0, 0, 3, 0xbb, 106)],
    ['an improper list', new ImproperList([atom('alias')], 2), etf(108, uint32(1), 119, 5, 'alias', 97, 2)],
    ['an object', { a: 1, '0': 2 }, etf(116, uint32(2), 119, 1, '0', 97, 2, 119, 1, 'a', 97, 1)],
    ['a Map', new Map<unknown, unknown>([[1, 2]]), etf(116, uint32(1), 97, 1, 97, 2)],
    ['a pid', new Pid(NODE, 5, 6), etf(88, ...OWN_NAME, uint32(5), uint32(6), uint32(7))],
    [
      'a reference of this runtime',
      new Ref(NODE, 2 ** 32 + 5),
      etf(90, 0, 3, ...OWN_NAME, uint32(7), uint32(5), uint32(1), uint32(0)),
    ],
    [
      'a foreign reference',
      new Ref(NODE, [1, 2 ** 32 - 1]),
      etf(90, 0, 2, ...OWN_NAME, uint32(7), uint32(1), uint32(2 ** 32 - 1)),
    ],
    ['a port', new Port(NODE, 5), etf(89, ...OWN_NAME, uint32(5), uint32(7))],
    [
      'a port of more than 28 bits',
      new Port(NODE, 2n ** 63n),
      etf(120, ...OWN_NAME, 128, 0, 0, 0, 0, 0, 0, 0, uint32(7)),
    ],
    ['a function by its name', new Export(atom('m'), atom('f'), 2), etf(113, 119, 1, 'm', 119, 1, 'f', 97, 2)],
    ['an infinity', -Infinity, etf(113, 119, 5, 'agner', 119, 14, 'minus_infinity', 97, 0)],
    [
      'an object with a key that can be no atom',
      JSON.parse('{"a": 1, "__proto__": 2}'),
      etf(
        ...[116, uint32(3), 113, 119, 5, 'agner', 119, 6, 'object', 97, 0, 106],
        ...[77, uint32(1), 8, 'a', 97, 1, 77, uint32(9), 8, '__proto__', 97, 2],
      ),
    ],
    ['a term that was encoded before', [preencode({ a: 1 })], encode([{ a: 1 }])],
  ])('%s', (_name, term, expected) => {
    expect(encode(term)).toEqual(expected)
  })

  test('objects without a prototype and of another realm like any other', () => {
    const bare = Object.assign(Object.create(null), { a: 1 })
    expect(encode(bare)).toEqual(encode({ a: 1 }))
    const foreign: unknown = runInNewContext('({ a: [new Map([[1, 2]])] })')
    expect(encode(foreign)).toEqual(encode({ a: [new Map([[1, 2]])] }))
  })

  test('only the own keys of an object', () => {
    expect(encode(Object.assign({}, JSON.parse('{"toString": 1}')))).toEqual(encode({ toString: 1 }))
    const withSymbol = { a: 1, [Symbol('s')]: 2 }
    expect(encode(withSymbol)).toEqual(encode({ a: 1 }))
  })
})

describe('the encoder refuses', () => {
  const cyclic: Record<string, unknown> = { list: [1, {}] }
  ;(cyclic.list as unknown[])[1] = cyclic
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])

  test.each([
    ['a function', { a: [1, tuple(2, () => 0)] }, 'function', '.a[1][1]'],
    ['a symbol', Symbol('x'), 'symbol', ''],
    ['an instance of a class', { when: new Date(0) }, 'instance', '.when'],
    ['an Error', new Map([[1, new Error('x')]]), 'instance', '.values[0]'],
    ['a Set', new ImproperList([1], new Set()), 'instance', '.tail'],
    ['a key with half a surrogate pair', { '\ud800': 1 }, 'bad_key', ''],
    ['a long key with half a surrogate pair', { x: { [`${'x'.repeat(256)}\ud800`]: 1 } }, 'bad_key', '.x'],
    ['an object that contains itself', cyclic, 'cyclic', '.list[1]'],
    ['what is too deep', deep(1001), 'too_deep', ''],
  ])('%s', (_name, term, reason, path) => {
    const refusal = thrownBy(() => encode(term))
    expect(refusal).toBeInstanceOf(UnsendableError)
    expect(refusal).toMatchObject({ code: 'unsendable', reason, path })
  })

  test.each([
    ['text and the binary of it', ['a', Buffer.from('a')]],
    ['an integer and a bigint', [1, 1n]],
    ['a value and the atom of it', [true, atom('true')]],
    ['equal tuples', [tuple(1, 'a'), tuple(1, Buffer.from('a'))]],
    [
      'equal maps',
      [
        { a: 1, b: 2 },
        new Map([
          [atom('b'), 2],
          [atom('a'), 1],
        ]),
      ],
    ],
    ['equal pids', [new Pid(NODE, 1, 2), new Pid({ ...NODE }, 1, 2)]],
    ['texts that are one in UTF-8', ['\ud800', '\ud801']],
    ['zeros', [float(-0), float(0)]],
    ['bit strings', [new BitBinary(Buffer.of(0xff), 1), new BitBinary(Buffer.of(0x80), 1)]],
    ['ports', [new Port(NODE, 5), new Port({ ...NODE }, 5)]],
    ['exports', [new Export(atom('m'), atom('f'), 1), new Export(atom('m'), atom('f'), 1)]],
    ['improper lists', [new ImproperList([1], 2), new ImproperList([1n], 2)]],
    ['bigints', [tuple(2n ** 70n), tuple(2n ** 70n)]],
  ])('a Map with one term twice as a key: %s', (_name, keys) => {
    const map = new Map<unknown, unknown>(keys.map((key) => [key, 1]))
    expect(map.size).toBe(2)
    expect(thrownBy(() => encode([map]))).toMatchObject({ reason: 'duplicate_key', path: '[0]' })
  })

  test.each([
    ['an integer and a float', [1, float(1)]],
    ['tuples', [tuple(1, 2), tuple(tuple(1), 2), tuple(1), [1]]],
    ['text and an atom', ['a', atom('a')]],
    ['texts', ['a', 'b', '']],
    ['bits', [new BitBinary(Buffer.of(0x80), 1), new BitBinary(Buffer.of(0x80), 2), Buffer.of(0x80)]],
    ['ports and pids', [new Port(NODE, 5), new Pid(NODE, 5, 0), new Port({ ...NODE, creation: 8 }, 5)]],
    ['tails', [new ImproperList([1, 2], 3), new ImproperList([1], 2), [1, 2]]],
  ])('no Map with different terms as keys: %s', (_name, keys) => {
    expect(decodeAll(encode(new Map<unknown, unknown>(keys.map((key) => [key, 1]))))).toBeInstanceOf(Map)
  })

  test('what is larger than its limits', () => {
    expect(thrownBy(() => encode(Buffer.alloc(100), { maxTermBytes: 99 }))).toMatchObject({ reason: 'too_large' })
    expect(thrownBy(() => encode('x'.repeat(100_000), { maxTermBytes: 99 }))).toMatchObject({ reason: 'too_large' })
    expect(thrownBy(() => encode(2n ** 800n, { maxIntegerBytes: 100 }))).toMatchObject({ reason: 'too_large' })
    expect(encode(2n ** 799n, { maxIntegerBytes: 100 }).length).toBe(104)
  })

  test('too deep lists only beyond the limit', () => {
    expect(decodeAll(encode(deep(1000)))).toEqual(deep(1000))
  })
})

describe('a batch', () => {
  test('has terms and frames side by side, with lengths that are filled in later', () => {
    const encoder = new Encoder()
    for (const message of ['one', 'two']) {
      const from = encoder.length
      encoder.uint32(0)
      encoder.byte(112)
      encoder.writeVersioned(message)
      encoder.patchUint32(from, encoder.length - from - 4)
    }
    const frame = (message: string) => Buffer.concat([uint32(11), Buffer.of(112), encode(message)])
    expect(encoder.take()).toEqual(Buffer.concat([frame('one'), frame('two')]))
    expect(encoder.length).toBe(0)
  })

  test('keeps nothing of a term that was refused', () => {
    const encoder = new Encoder()
    encoder.writeVersioned(1)
    expect(() => encoder.writeVersioned([2, Symbol('x')])).toThrow(UnsendableError)
    encoder.writeVersioned(3)
    expect(encoder.take()).toEqual(Buffer.concat([encode(1), encode(3)]))
  })

  test('that was taken is never written to again', () => {
    const encoder = new Encoder({ slabBytes: 64 })
    const batches: [Buffer, Buffer][] = []
    for (let i = 0; i < 200; i++) {
      encoder.writeVersioned(Buffer.alloc(i, i))
      if (i % 3 === 0) encoder.truncate(encoder.length)
      if (i % 2 === 0) continue
      const batch = encoder.take()
      batches.push([batch, Buffer.from(batch)])
    }
    for (const [batch, copy] of batches) expect(batch).toEqual(copy)
  })
})

function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
