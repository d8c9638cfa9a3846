import { describe, expect, test } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { atom, BitBinary, Export, Fun, ImproperList, Port, tuple } from '../../src/dist/term.ts'
import { decodeAll, decoder, etf, NODE, refusal, uint32 } from './etf-support.ts'

const THERE = { name: 'n@h', creation: 9 }
const NAME = [119, 3, 'n@h'] as const
const OWN_NAME = [119, 14, 'here@127.0.0.1'] as const
const PID_THERE = [88, ...NAME, uint32(5), uint32(6), uint32(9)] as const

describe('the decoder reads', () => {
  test.each([
    ['SMALL_INTEGER_EXT', etf(97, 255), 255],
    ['INTEGER_EXT, negative', etf(98, 255, 255, 255, 254), -2],
    ['INTEGER_EXT, positive', etf(98, 127, 255, 255, 255), 2 ** 31 - 1],
    ['SMALL_BIG_EXT that is a safe integer', etf(110, 7, 1, 255, 255, 255, 255, 255, 255, 31), Number.MIN_SAFE_INTEGER],
    ['SMALL_BIG_EXT that is not safe', etf(110, 7, 0, 0, 0, 0, 0, 0, 0, 32), 2n ** 53n],
    ['SMALL_BIG_EXT of eight bytes', etf(110, 8, 1, 255, 255, 255, 255, 255, 255, 255, 255), -(2n ** 64n - 1n)],
    ['SMALL_BIG_EXT with zeros at its end', etf(110, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1],
    ['SMALL_BIG_EXT that is minus zero', etf(110, 1, 1, 0), 0],
    ['SMALL_BIG_EXT of no bytes', etf(110, 0, 0), 0],
    ['LARGE_BIG_EXT', etf(111, uint32(9), 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 2n ** 64n],
    ['NEW_FLOAT_EXT', etf(70, 63, 248, 0, 0, 0, 0, 0, 0), 1.5],
    ['NEW_FLOAT_EXT that is integral, as a number', etf(70, 63, 240, 0, 0, 0, 0, 0, 0), 1],
    ['NEW_FLOAT_EXT that is minus zero', etf(70, 128, 0, 0, 0, 0, 0, 0, 0), -0],
    ['FLOAT_EXT', etf(99, '-1.50000000000000000000e+03', 0, 0, 0, 0), -1500],
    ['SMALL_ATOM_UTF8_EXT', etf(119, 3, 'é!'), atom('é!')],
    ['ATOM_UTF8_EXT', etf(118, 0, 2, 'ok'), atom('ok')],
    ['SMALL_ATOM_EXT in Latin-1', etf(115, 1, Buffer.of(0xe9)), atom('é')],
    ['ATOM_EXT', etf(100, 0, 2, 'ok'), atom('ok')],
    ['the empty atom', etf(119, 0), atom('')],
    ['an atom of 255 characters in 1020 bytes', etf(118, 3, 252, '𝄞'.repeat(255)), atom('𝄞'.repeat(255))],
    ['the atom true', etf(100, 0, 4, 'true'), true],
    ['the atom false', etf(119, 5, 'false'), false],
    ['the atom undefined', etf(119, 9, 'undefined'), undefined],
    ['the atom null', etf(119, 4, 'null'), null],
    ['the atom nil, which is only an atom', etf(119, 3, 'nil'), atom('nil')],
    ['SMALL_TUPLE_EXT', etf(104, 2, 97, 1, 104, 0), tuple(1, tuple())],
    ['LARGE_TUPLE_EXT', etf(105, uint32(7), 106, 106, 106, 106, 106, 106, 106), tuple([], [], [], [], [], [], [])],
    ['NIL_EXT', etf(106), []],
    ['STRING_EXT, as numbers', etf(107, 0, 3, 'abc'), [97, 98, 99]],
    ['LIST_EXT', etf(108, uint32(2), 97, 1, 106, 106), [1, []]],
    ['LIST_EXT with a tail that is none', etf(108, uint32(1), 97, 1, 97, 2), new ImproperList([1], 2)],
    ['LIST_EXT with tails that are lists', etf(108, uint32(1), 97, 1, 108, uint32(1), 97, 2, 107, 0, 1, 3), [1, 2, 3]],
    ['LIST_EXT of nothing but its tail', etf(108, uint32(0), 97, 2), 2],
    [
      'MAP_EXT with atoms as keys',
      etf(116, uint32(2), 119, 1, 'a', 97, 1, 100, 0, 4, 'true', 97, 2),
      { a: 1, true: 2 },
    ],
    ['MAP_EXT without keys', etf(116, uint32(0)), {}],
    ['MAP_EXT with other keys', etf(116, uint32(1), 97, 1, 97, 2), new Map([[1, 2]])],
    [
      'MAP_EXT with atoms and other keys',
      etf(116, uint32(3), 119, 1, 'a', 97, 1, 119, 4, 'true', 97, 2, 106, 97, 3),
      new Map<unknown, unknown>([
        [atom('a'), 1],
        [true, 2],
        [[], 3],
      ]),
    ],
    ['BINARY_EXT', etf(109, uint32(3), 1, 2, 3), Buffer.of(1, 2, 3)],
    ['BINARY_EXT of nothing', etf(109, uint32(0)), Buffer.alloc(0)],
    ['BIT_BINARY_EXT', etf(77, uint32(2), 3, 1, 0xe0), new BitBinary(Buffer.of(1, 0xe0), 3)],
    ['BIT_BINARY_EXT of whole bytes, as text', etf(77, uint32(3), 8, 'é!'), 'é!'],
    ['BIT_BINARY_EXT of nothing, as text', etf(77, uint32(0), 0), ''],
    ['BIT_BINARY_EXT of whole bytes that are no text', etf(77, uint32(1), 8, Buffer.of(255)), Buffer.of(255)],
    ['text with U+FFFD in it', etf(77, uint32(4), 8, '\ufffd!'), '\ufffd!'],
    ['NEW_PID_EXT', etf(...PID_THERE), new Pid(THERE, 5, 6)],
    ['PID_EXT', etf(103, ...NAME, uint32(5), uint32(6), 2), new Pid({ name: 'n@h', creation: 2 }, 5, 6)],
    [
      'NEWER_REFERENCE_EXT of five words',
      etf(90, 0, 5, ...NAME, uint32(9), uint32(1), uint32(2), uint32(3), uint32(4), uint32(0xffffffff)),
      new Ref(THERE, [1, 2, 3, 4, 0xffffffff]),
    ],
    [
      'NEW_REFERENCE_EXT',
      etf(114, 0, 2, ...NAME, 2, uint32(1), uint32(2)),
      new Ref({ name: 'n@h', creation: 2 }, [1, 2]),
    ],
    ['REFERENCE_EXT', etf(101, ...NAME, uint32(1), 2), new Ref({ name: 'n@h', creation: 2 }, [1])],
    ['NEW_PORT_EXT', etf(89, ...NAME, uint32(5), uint32(9)), new Port(THERE, 5)],
    ['PORT_EXT', etf(102, ...NAME, uint32(5), 2), new Port({ name: 'n@h', creation: 2 }, 5)],
    [
      'V4_PORT_EXT',
      etf(120, ...NAME, uint32(0xffffffff), uint32(0xfffffffe), uint32(9)),
      new Port(THERE, 2n ** 64n - 2n),
    ],
    ['V4_PORT_EXT that is safe', etf(120, ...NAME, uint32(1), uint32(2), uint32(9)), new Port(THERE, 2 ** 32 + 2)],
    ['EXPORT_EXT', etf(113, 119, 5, 'lists', 119, 3, 'map', 97, 2), new Export(atom('lists'), atom('map'), 2)],
  ])('%s', (_name, bytes, expected) => {
    expect(decodeAll(bytes)).toStrictEqual(expected)
  })

  test('NEW_FUN_EXT as bytes that go back as they came', () => {
    const inner = [
      2,
      Buffer.alloc(16, 1),
      uint32(3),
      uint32(1),
      ...[100, 0, 1, 'm'],
      97,
      1,
      98,
      uint32(5),
      ...PID_THERE,
    ]
    const body = etf(...inner, 97, 42).subarray(1)
    const bytes = etf(112, uint32(body.length + 4), body)
    const fun = decodeAll(bytes) as Fun
    expect(fun).toBeInstanceOf(Fun)
    expect(fun.arity).toBe(2)
    expect(encode(fun)).toEqual(bytes)
    const copy = Buffer.from(fun.encoded)
    bytes.fill(0)
    expect(fun.encoded).toEqual(copy)
  })

  test('references to the atom cache by the hook, and refuses them without it', () => {
    const bytes = etf(104, 2, 82, 0, 82, 1)
    const names = ['ok', 'true']
    const withCache = new Decoder({ node: NODE, cachedAtom: (index) => atom(names[index]!) })
    expect(decodeAll(bytes, withCache)).toStrictEqual(tuple(atom('ok'), true))
    expect(decodeAll(etf(116, uint32(1), 82, 0, 106), withCache)).toStrictEqual({ ok: [] })
    expect(refusal(bytes)).toBe('malformed')
  })

  test('terms without a version byte, from an offset, and tells where they end', () => {
    expect(decoder().decodeBare(Buffer.of(0, 97, 5, 99), 1)).toEqual({ ok: true, value: 5, end: 3 })
    expect(decoder().decode(Buffer.of(0, 131, 97, 5, 99), 1)).toEqual({ ok: true, value: 5, end: 4 })
  })

  test('any Uint8Array, a slice of a larger one too', () => {
    expect(decodeAll(Uint8Array.of(9, 131, 109, 0, 0, 0, 1, 7).subarray(1))).toStrictEqual(Buffer.of(7))
  })
})

describe('what the decoder makes', () => {
  test('is the atom of that name, whatever its tag', () => {
    const by = decoder()
    for (const bytes of [etf(119, 2, 'ok'), etf(118, 0, 2, 'ok'), etf(115, 2, 'ok'), etf(100, 0, 2, 'ok')]) {
      expect(decodeAll(bytes, by)).toBe(atom('ok'))
      expect(decodeAll(bytes)).toBe(atom('ok'))
    }
  })

  test('is a view of the input when it is a binary', () => {
    const bytes = etf(109, uint32(3), 'abc')
    const binary = decodeAll(bytes) as Buffer
    bytes[6] = 0x7a
    expect(binary.toString()).toBe('zbc')
  })

  test('has the object of this node as owner of its own pids and references, which equal the live ones', () => {
    const pid = decodeAll(etf(88, ...OWN_NAME, uint32(5), uint32(6), uint32(7))) as Pid
    expect(pid.owner).toBe(NODE)
    expect(pid.equals(new Pid(NODE, 5, 6))).toBe(true)
    const ref = decodeAll(etf(90, 0, 3, ...OWN_NAME, uint32(7), uint32(5), uint32(1), uint32(0))) as Ref
    expect(ref.owner).toBe(NODE)
    expect(ref.id).toBe(2 ** 32 + 5)
    expect(ref.equals(new Ref(NODE, 2 ** 32 + 5))).toBe(true)
  })

  test('has another owner when the pid is of a former incarnation of this node', () => {
    const pid = decodeAll(etf(88, ...OWN_NAME, uint32(5), uint32(6), uint32(6))) as Pid
    expect(pid.equals(new Pid(NODE, 5, 6))).toBe(false)
    const ref = decodeAll(etf(90, 0, 3, ...OWN_NAME, uint32(6), uint32(5), uint32(1), uint32(0))) as Ref
    expect(ref.id).toEqual([5, 1, 0])
  })

  test('keeps the words of references that this runtime cannot have made', () => {
    for (const words of [[1], [1, 2, 3], [1, 2 ** 21, 0], [1, 2, 0, 0]]) {
      const bytes = etf(90, 0, words.length, ...OWN_NAME, uint32(7), ...words.map(uint32))
      expect((decodeAll(bytes) as Ref).id).toEqual(words)
    }
  })

  test('shares the identities of other nodes, and asks the hook for them', () => {
    const [one, two] = decodeAll(etf(108, uint32(2), ...PID_THERE, ...PID_THERE, 106)) as [Pid, Pid]
    expect(one.owner).toBe(two.owner)
    const asked: unknown[] = []
    const identity = (name: string, creation: number) => {
      asked.push([name, creation])
      return THERE
    }
    const pid = decodeAll(etf(...PID_THERE), new Decoder({ node: NODE, identity })) as Pid
    expect(pid.owner).toBe(THERE)
    expect(asked).toEqual([['n@h', 9]])
  })

  test('takes for an object only a map that says so and has texts for keys', () => {
    const says = [113, 119, 5, 'agner', 119, 6, 'object', 97, 0, 106] as const
    // As Erlang gives it back: with a binary, and in its own order.
    expect(decodeAll(etf(116, uint32(2), 109, uint32(1), 'k', 97, 1, ...says))).toStrictEqual({ k: 1 })
    const other = decodeAll(etf(116, uint32(2), ...says, 97, 1, 97, 2)) as Map<unknown, unknown>
    expect(other).toBeInstanceOf(Map)
    expect(other.get(1)).toBe(2)
    expect(decodeAll(etf(113, 119, 5, 'agner', 119, 8, 'infinity', 97, 1))).toEqual(
      new Export(atom('agner'), atom('infinity'), 1),
    )
  })

  test('never has a prototype that the peer chose', () => {
    const map = decodeAll(etf(116, uint32(2), 119, 1, 'a', 97, 1, 119, 9, '__proto__', 116, uint32(0)))
    expect(map).toStrictEqual(
      new Map<unknown, unknown>([
        [atom('a'), 1],
        [atom('__proto__'), {}],
      ]),
    )
    const named = decodeAll(encode(JSON.parse('{"__proto__": {"a": 1}}'))) as object
    expect(Object.keys(named)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(named)).toBe(Object.prototype)
    const object = decodeAll(etf(116, uint32(1), 119, 11, 'constructor', 97, 1)) as object
    expect(Object.hasOwn(object, 'constructor')).toBe(true)
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
  })
})
