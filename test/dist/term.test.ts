import { inspect } from 'node:util'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { BadArgError } from '../../src/actors/errors.ts'
import { identityTable } from '../../src/dist/identity-table.ts'
import {
  type Atom,
  atom,
  atomName,
  BitBinary,
  charlist,
  Export,
  float,
  ImproperList,
  isTuple,
  Port,
  type Tuple,
  text,
  tuple,
} from '../../src/dist/term.ts'

describe('a tuple', () => {
  test('has the types of its elements', () => {
    const made = tuple(atom('ok'), 1, 'x')
    expectTypeOf(made).toEqualTypeOf<Tuple<readonly [Atom, 1, 'x']>>()
    expect([...made]).toEqual([atom('ok'), 1, 'x'])
    expect(made.length).toBe(3)
  })

  test('is told from a list, and by its arity', () => {
    expect(isTuple(tuple(1))).toBe(true)
    expect(isTuple([1])).toBe(false)
    expect(isTuple(tuple(1, 2), 2)).toBe(true)
    expect(isTuple(tuple(1, 2), 3)).toBe(false)
  })

  test('is shown as Erlang shows it, and so is an improper list', () => {
    expect(inspect(tuple(atom('ok'), tuple(), [1]))).toBe('{ok, {}, [ 1 ]}')
    expect(inspect(new ImproperList([atom('alias'), 1], 2))).toBe('[alias, 1 | 2]')
  })
})

describe('text', () => {
  test.each([
    ['a string', 'é', 'é'],
    ['a binary of UTF-8', Buffer.from('é'), 'é'],
    ['a Uint8Array', new TextEncoder().encode('é'), 'é'],
    ['a charlist', charlist('aé𝄞'), 'aé𝄞'],
    ['a long charlist', charlist('x'.repeat(300_000)), 'x'.repeat(300_000)],
    ['the empty list', [], ''],
    ['no binary of anything else', Buffer.of(255), undefined],
    ['no list of anything else', [97, 'b'], undefined],
    ['no list with half a surrogate pair', [0xd800], undefined],
    ['no list with a hole', Array(1), undefined],
    ['no atom', atom('a'), undefined],
    ['no number', 97, undefined],
  ])('is read from %s', (_name, term, expected) => {
    expect(text(term)).toBe(expected)
  })

  test('as a charlist has one number for each character', () => {
    expect(charlist('a𝄞')).toEqual([97, 0x1d11e])
  })
})

test('atomName reads atoms and the values that are atoms', () => {
  expect([atom('ok'), true, false, null, undefined].map(atomName)).toEqual(['ok', 'true', 'false', 'null', 'undefined'])
  expect(['ok', 1, {}].map(atomName)).toEqual([undefined, undefined, undefined])
})

test('what would be no term is refused when it is made', () => {
  expect(() => float(Number.NaN)).toThrow(BadArgError)
  expect(() => new ImproperList([], 1)).toThrow(BadArgError)
  expect(() => new ImproperList([1], [2])).toThrow(BadArgError)
  expect(() => new BitBinary(Buffer.of(1), 8)).toThrow(BadArgError)
  expect(() => new BitBinary(Buffer.alloc(0), 1)).toThrow(BadArgError)
  expect(() => new Export(atom('m'), atom('f'), 256)).toThrow(BadArgError)
})

test('an improper list whose tail is one is one list', () => {
  expect(new ImproperList([1], new ImproperList([2], 3))).toEqual(new ImproperList([1, 2], 3))
})

test('ports are equal by what is in them', () => {
  const port = new Port({ name: 'n@h', creation: 1 }, 5)
  expect(port.equals(new Port({ name: 'n@h', creation: 1 }, 5))).toBe(true)
  expect(port.equals(new Port({ name: 'n@h', creation: 2 }, 5))).toBe(false)
  expect(port.equals(5)).toBe(false)
  expect(`${port}`).toBe('#Port<0.5>')
})

test('the table of identities gives one object for each, up to its bound', () => {
  const identity = identityTable(2)
  const one = identity('a@h', 1)
  const two = identity('a@h', 2)
  expect(one).toEqual({ name: 'a@h', creation: 1 })
  const beyond = identity('b@h', 1)
  expect(identity('a@h', 1)).toBe(one)
  expect(identity('a@h', 2)).toBe(two)
  expect(identity('b@h', 1)).toEqual(beyond)
  expect(identity('b@h', 1)).toBe(identity('b@h', 1))
})
