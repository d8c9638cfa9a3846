import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { atom, Tuple, tuple } from '../../src/dist/term.ts'
import { RowBytesError } from '../../src/mnesia/errors.ts'
import { termBytes } from '../../src/mnesia/row-bytes.ts'
import { isSameRow, rows } from './row-support.ts'

const { encode, decode } = termBytes<unknown>()

describe('a row', () => {
  test('comes back exactly as it went', () => {
    fc.assert(
      fc.property(rows, (row) => {
        expect(isSameRow(decode(encode(row)), row)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  test('comes back from a chunk of which it was a part, without holding on to the chunk', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), (payload) => {
        const row = { a: Buffer.from(payload), b: payload, c: [Buffer.from(payload)], d: tuple(Buffer.from(payload)) }
        const bytes = encode(row)
        const chunk = Buffer.concat([Buffer.alloc(7), bytes, Buffer.alloc(9)])
        const decoded = decode(chunk.subarray(7, 7 + bytes.length))
        chunk.fill(0xff)
        expect(isSameRow(decoded, row)).toBe(true)
      }),
    )
  })

  test('with fields that are undefined, infinite, bytes, Maps and pids comes back', () => {
    const row = {
      topic: 'sensors/1',
      message: { payload: Buffer.from('on'), expiresAtMs: Number.POSITIVE_INFINITY, properties: undefined },
      counts: new Map([['a', 1n]]),
      pid: new Pid({ name: 'n1@127.0.0.1', creation: 3 }, 12, 0),
    }
    const decoded = decode(encode(row)) as typeof row
    expect(decoded).toStrictEqual(row)
    expect(Object.keys(decoded.message)).toEqual(['payload', 'expiresAtMs', 'properties'])
  })

  test('nested a thousand deep is refused by its writer, not by its reader', () => {
    let row: unknown = Number.POSITIVE_INFINITY
    for (let i = 0; i < 990; i++) row = { row }
    expect(isSameRow(decode(encode(row)), row)).toBe(true)
    for (let i = 0; i < 990; i++) row = [row]
    expect(() => encode(row)).toThrow(expect.objectContaining({ code: 'unsendable', reason: 'too_deep' }))
    expect(decode(encode('after'))).toBe('after')
  })

  test('that holds a function is refused, naming where', () => {
    expect(() => encode({ options: [{ callback: () => undefined }] })).toThrow('.options[0].callback')
  })
})

describe('bytes that are no row', () => {
  function refused(bytes: Uint8Array): void {
    try {
      decode(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(RowBytesError)
    }
  }

  test('make one error and nothing else, however they are damaged', () => {
    const damage = fc.tuple(fc.constantFrom('set', 'cut', 'put', 'end'), fc.nat(), fc.nat(255))
    fc.assert(
      fc.property(rows, fc.array(damage, { minLength: 1, maxLength: 4 }), (row, damages) => {
        let bytes = [...encode(row)]
        for (const [kind, where, value] of damages) {
          const at = where % (bytes.length + 1)
          if (kind === 'set') bytes[at] = value
          else if (kind === 'end') bytes = bytes.slice(0, at)
          else bytes.splice(at, kind === 'cut' ? 1 : 0, ...(kind === 'put' ? [value] : []))
        }
        refused(Buffer.from(bytes))
      }),
      { numRuns: 5000 },
    )
  })

  test('of an escape with wrong contents are refused', () => {
    const mark = atom('$row')
    const wrong = [
      ...['utf16', 'number', 'bigint', 'bytes', 'tuple', 'map', 'set', 'date', 'object', 'dictionary', 'later'].flatMap(
        (kind) => [7.5, 'x', [1], [1, 2, 3], { a: 1 }].map((content) => tuple(mark, atom(kind), content)),
      ),
      tuple(mark),
      tuple(mark, 1, 2),
      tuple(mark, atom('object'), [tuple(mark, atom('object'), []), 1]),
    ]
    for (const row of wrong) {
      // The writer's escape of the tuple itself is undone here, so that its reader meets the bare one.
      const bytes = Buffer.from(encode(tuple(atom('$rox'), row)))
      refused(bytes)
    }
    for (const row of wrong) {
      const bytes = Buffer.from(encode(new Tuple([atom('$rox'), ...row.elements.slice(1)])))
      bytes.write('$row', bytes.indexOf('$rox'))
      refused(bytes)
    }
  })

  test('of a later format are named', () => {
    const bytes = Buffer.from(encode({ a: 1 }))
    bytes[0] = 2
    expect(() => decode(bytes)).toThrow('row of format 2; this version reads 1')
    expect(() => decode(Buffer.alloc(0))).toThrow('no bytes')
    expect(() => decode(Buffer.concat([encode(1), Buffer.from('x')]))).toThrow('1 bytes too many')
  })

  test('with a count that is a lie reserve no memory for it', () => {
    const list = Buffer.from([1, 108, 0xff, 0xff, 0xff, 0xff, 106])
    const map = Buffer.from([1, 116, 0x7f, 0xff, 0xff, 0xff])
    const binary = Buffer.from([1, 109, 0xff, 0xff, 0xff, 0xff])
    for (const bytes of [list, map, binary]) expect(() => decode(bytes)).toThrow(RowBytesError)
  })
})
