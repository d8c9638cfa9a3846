/**
 * Our terms read and written by a real Erlang: what it makes of our bytes, and what we make of its own.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import {
  atom,
  BitBinary,
  charlist,
  Export,
  Float,
  Fun,
  float,
  ImproperList,
  isTuple,
  text,
  tuple,
} from '../../src/dist/term.ts'
import { decodeAll, isSameTerm, mutatedTerms, terms, throughErlang } from '../dist/etf-support.ts'
import { Erl, HAS_ERL } from '../support/erl-terms.ts'

if (!HAS_ERL)
  process.stderr.write('skipped: Erlang is not installed (apt-get install --no-install-recommends erlang-base)\n')

describe.skipIf(!HAS_ERL)('Erlang and we', () => {
  let erl: Erl

  beforeAll(() => {
    erl = new Erl()
  })

  afterAll(() => erl.stop())

  // With every minor_version: the old forms of floats, atoms in Latin-1, atoms in UTF-8.
  test.each(['r', '0', '1', '2', 'd'])('read any term of ours, and write it back the same: %s', async (op) => {
    const decoder = new Decoder({ node: { name: 'here@127.0.0.1', creation: 7 } })
    await fc.assert(
      fc.asyncProperty(terms, async (term) => {
        const back = decodeAll(await erl.ask(op, encode(term)), decoder)
        expect(isSameTerm(back, throughErlang(term))).toBe(true)
      }),
      { numRuns: 250 },
    )
  })

  test('agree about random terms of Erlang: ours of it are the same to Erlang as its own', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const theirs = await erl.ask('g', Buffer.from(String(seed)))
      const ours = encode(decodeAll(theirs))
      expect((await erl.ask('=', Buffer.concat([theirs, ours]))).toString(), `seed ${seed}`).toBe('same')
    }
  })

  test('agree that what we send of hostile bytes is no corrupt term', async () => {
    const decoder = new Decoder({ node: { name: 'here@127.0.0.1', creation: 7 } })
    await fc.assert(
      fc.asyncProperty(mutatedTerms, async (bytes) => {
        const decoded = decoder.decode(bytes)
        if (!decoded.ok) return
        let ours: Buffer
        try {
          ours = encode(decoded.value)
        } catch (error) {
          expect(error).toMatchObject({ reason: 'duplicate_key' })
          return
        }
        await erl.ask('r', ours)
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['{ok, [1, 2.5, foo]}.', tuple(atom('ok'), [1, 2.5, atom('foo')])],
    ['"hello".', charlist('hello')],
    ['"λx".', charlist('λx')],
    ['<<"hello">>.', Buffer.from('hello')],
    ['<<5:3>>.', new BitBinary(Buffer.of(0xa0), 3)],
    ['[alias | 5].', new ImproperList([atom('alias')], 5)],
    ["#{a => 1, 'B c' => []}.", { a: 1, 'B c': [] }],
    ['#{1 => 2}.', new Map([[1, 2]])],
    ['{true, false, undefined, null, nil}.', tuple(true, false, undefined, null, atom('nil'))],
    ['1 bsl 53.', 2n ** 53n],
    ['-(1 bsl 53) + 1.', Number.MIN_SAFE_INTEGER],
    ['-1.0e308.', -1e308],
    ['fun lists:map/2.', new Export(atom('lists'), atom('map'), 2)],
    ['list_to_tuple(lists:seq(1, 300)).', tuple(...Array.from({ length: 300 }, (_, i) => i + 1))],
    ['[].', []],
    ['list_to_atom(lists:duplicate(255, 16#1d11e)).', atom('𝄞'.repeat(255))],
  ])('mean the same by %s', async (expression, term) => {
    const theirs = await erl.eval(expression)
    expect(isSameTerm(decodeAll(theirs), term)).toBe(true)
    expect((await erl.ask('=', Buffer.concat([theirs, encode(term)]))).toString()).toBe('same')
  })

  test.each([
    ['""', '<<>>.', ''],
    ['a string', '<<"é λ"/utf8>>.', 'é λ'],
    ['an object with text', '#{topic => <<"a/b">>, payload => <<1, 2>>}.', { topic: 'a/b', payload: Buffer.of(1, 2) }],
    ['float(1)', '1.0.', float(1)],
    ['a bigint that is small', '7.', 7n],
    ['a large integral number', '1.0e300.', 1e300],
  ])('mean by %s what Erlang writes as %s', async (_name, expression, term) => {
    const theirs = await erl.eval(expression)
    expect((await erl.ask('=', Buffer.concat([theirs, encode(term)]))).toString()).toBe('same')
    if (!(term instanceof Float) && typeof term === 'string') expect(text(decodeAll(theirs))).toBe(term)
  })

  test('have funs that go back to be called', async () => {
    const fun = decodeAll(await erl.eval('N = 40, fun(X) -> X + N end.'))
    expect(fun).toBeInstanceOf(Fun)
    const bytes = [...encode(fun)].join(',')
    expect(decodeAll(await erl.eval(`F = binary_to_term(<<${bytes}>>), F(2).`))).toBe(42)
  })

  test('have an integer of a megabyte', async () => {
    const term = -(2n ** 8_000_000n) + 12_345n
    expect(decodeAll(await erl.ask('r', encode(term))) === term).toBe(true)
  })

  test('have a Map whose keys would be one term to Erlang, which it takes for a corrupt term', async () => {
    const twice = Buffer.from([
      131,
      116,
      0,
      0,
      0,
      2,
      ...encode('a').subarray(1),
      97,
      1,
      ...encode(Buffer.from('a')).subarray(1),
      97,
      2,
    ])
    await expect(erl.ask('r', twice)).rejects.toThrow('badarg')
    expect(() =>
      encode(
        new Map<unknown, unknown>([
          ['a', 1],
          [Buffer.from('a'), 2],
        ]),
      ),
    ).toThrow('two keys')
  })

  test('have a pid, a reference and a port that are still the same process', async () => {
    const identifiers = decodeAll(await erl.eval('{self(), make_ref(), hd(erlang:ports())}.'))
    expect(isTuple(identifiers, 3)).toBe(true)
    const bytes = [...encode(identifiers)].join(',')
    const alive = await erl.eval(
      `{Pid, Ref, Port} = binary_to_term(<<${bytes}>>), {Pid =:= self(), is_reference(Ref), lists:member(Port, erlang:ports())}.`,
    )
    expect(decodeAll(alive)).toEqual(tuple(true, true, true))
  })
})
