/** Values as text: Erlang's terms in its notation, rows as tables, trees as trees, and nothing that could harm a terminal. */
import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { atom, BitBinary, charlist, Export, float, ImproperList, Port, type Tuple, tuple } from '../../src/dist/term.ts'
import { Pids } from '../../src/observer/print/pids.ts'
import { inline, type PrintOptions, print } from '../../src/observer/print/print.ts'
import { bytes, duration } from '../../src/observer/print/units.ts'
import { withView } from '../../src/observer/print/view.ts'

const own = { name: 'me@host', creation: 1 }
const other = { name: 'n1@host', creation: 7 }

function options(more: Partial<PrintOptions> = {}): PrintOptions {
  const pids = new Pids(own)
  return { columns: 60, pid: (pid) => pids.write(pid), ...more }
}

const show = (value: unknown, more?: Partial<PrintOptions>): string => print(value, options(more))

describe('terms of Erlang', () => {
  it.each<[unknown, string]>([
    [atom('ok'), 'ok'],
    [atom('Odd one'), "atom('Odd one')"],
    [tuple(atom('a'), 1, 'b'), "{a, 1, 'b'}"],
    [new ImproperList([1, 2], 3), '[1, 2 | 3]'],
    [new Map<unknown, unknown>([[1, atom('x')]]), '#{1 => x}'],
    [Buffer.from('text'), '<<"text">>'],
    [Buffer.from([0, 255, 16]), '<<00 ff 10>>'],
    [Buffer.alloc(100, 255), `<<${'ff '.repeat(32)}… 100 bytes>>`],
    [Buffer.alloc(0), '<<>>'],
    [new BitBinary(Buffer.from([160]), 3), '<<a0:3>>'],
    [float(1), '1.0'],
    [new Export(atom('m'), atom('f'), 2), 'fun m:f/2'],
    [new Port(other, 5), '#Port<0.5>'],
    [new Ref(other, [1, 2, 3]), '#Ref<0.3.2.1>'],
    [[], '[]'],
    [{}, '{}'],
    [12345678901234567890n, '12345678901234567890n'],
    [undefined, 'undefined'],
  ])('%o is %s', (value, text) => {
    expect(show(value)).toBe(text)
  })

  it('lists of characters are text on an Erlang node only', () => {
    expect(show(charlist('abc'))).toBe('[ 97, 98, 99 ]')
    expect(show(charlist('abc'), { charlists: true })).toBe('"abc"')
    expect(show([1, 2], { charlists: true })).toBe('[ 1, 2 ]')
  })

  it('pids have the number of their node in this session, and can be read back', () => {
    const pids = new Pids(own)
    const [mine, theirs, restarted] = [
      new Pid(own, 1, 0),
      new Pid(other, 77, 2),
      new Pid({ ...other, creation: 8 }, 77, 2),
    ]
    expect([mine, theirs, restarted].map((pid) => pids.write(pid))).toEqual(['<0.1.0>', '<1.77.2>', '<2.77.2>'])
    expect(pids.read('<1.77.2>').equals(theirs)).toBe(true)
    expect(pids.read('<2.77.2>').equals(theirs)).toBe(false)
    expect(() => pids.read('<3.1.1>')).toThrow('no pid of a node 3')
    expect(() => pids.read('rex')).toThrow('is no pid')
    expect(pids.seen).toEqual(['<2.77.2>', '<1.77.2>', '<0.1.0>'])
  })
})

describe('plain data', () => {
  it('is on one line when it fits, else each item on a line of its own, short ones packed', () => {
    expect(show({ a: 1, b: ['x', 'y'] })).toBe("{ a: 1, b: [ 'x', 'y' ] }")
    expect(show({ name: 'x'.repeat(40), other: 'y'.repeat(30) })).toBe(
      `{\n  name: '${'x'.repeat(40)}',\n  other: '${'y'.repeat(30)}'\n}`,
    )
    expect(show(Array.from({ length: 30 }, (_, at) => at)).split('\n')).toEqual([
      '[',
      '  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,',
      '  17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29',
      ']',
    ])
  })

  it('is cut where it is long or deep, and says so; in full it is not', () => {
    expect(show([[[[[1]]]]])).toBe('[ [ [ [ […] ] ] ] ]')
    expect(show([[[[[1]]]]], { full: true })).toBe('[ [ [ [ [ 1 ] ] ] ] ]')
    const many = Array.from({ length: 150 }, () => 1)
    expect(show(many)).toContain('… 50 more')
    expect(show(many, { full: true })).not.toContain('…')
    expect(show('x'.repeat(1500))).toContain('… 500 more characters')
    expect(show(Array.from({ length: 90 }, () => 'y'.repeat(500))).length).toBeLessThan(15_000)
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    expect(show(cyclic, { full: true })).toBe('{ self: [circular] }')
  })

  it('shows neither payloads nor secrets unless it is asked to', () => {
    const message = { topic: 't', payload: Buffer.from('hello'), password: 'pw' }
    expect(show(message)).toBe(
      "{\n  topic: 't',\n  payload: <<masked, 5 bytes>>,\n  password: <<masked, 2 characters>>\n}",
    )
    expect(show(message, { unmask: true })).toContain('<<"hello">>')
    expect(show([message, message])).not.toContain('hello')
  })

  it('on one line is cut at the end', () => {
    expect(stringWidth(inline(Array.from({ length: 90 }, () => 'y'.repeat(50))))).toBe(120)
  })
})

describe('tables', () => {
  const rows = [
    { pid: new Pid(other, 1, 0), name: 'router', msgq: 3 },
    { pid: new Pid(other, 20, 0), name: 'sm', msgq: 1200 },
  ]

  it('are made of rows with the same properties, numbers at the right', () => {
    expect(show(rows)).toBe('PID       NAME    MSGQ\n<1.1.0>   router     3\n<1.20.0>  sm      1200')
    expect(
      show(withView([...rows], { note: '2 of 7' }))
        .split('\n')
        .at(-1),
    ).toBe('2 of 7')
    expect(show(rows.filter(({ msgq }) => msgq > 9)).split('\n')).toHaveLength(2)
  })

  it('are not made of anything else', () => {
    expect(show([{ a: 1 }, { b: 2 }])).toBe('[ { a: 1 }, { b: 2 } ]')
    expect(show([{ a: 1 }, 2])).toBe('[ { a: 1 }, 2 ]')
    expect(show([rows[0]!.pid])).toBe('[ <1.1.0> ]')
    expect(show([{ state: { a: 'x'.repeat(60) } }])).toMatch(/^\[\n {2}\{\n {4}state: /)
  })

  it('fit into the line: the longest texts are cut', () => {
    const wide = [{ id: 'x'.repeat(100), peer: '127.0.0.1', count: 1 }]
    const lines = show(wide, { columns: 40 }).split('\n')
    for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(40)
    expect(lines[1]).toMatch(/^x+… {2}127\.0\.0\.1 {6}1$/)
  })

  it('keep their columns with wide characters', () => {
    const [, ...lines] = show([
      { id: '客户端', n: 1 },
      { id: 'abc', n: 2 },
    ]).split('\n')
    expect(lines.map((line) => stringWidth(line))).toEqual([9, 9])
  })
})

it('trees show what is not shown', () => {
  const pid = new Pid(other, 1, 0)
  const tree = {
    id: 'top',
    pid,
    type: 'supervisor',
    count: 5,
    children: [
      { id: 'a', pid, type: 'worker' },
      { id: 'b', pid, type: 'supervisor', count: 1, children: [{ id: 'c', pid: undefined, type: 'restarting' }] },
      { id: 'd', pid, type: 'supervisor', count: 10_031 },
    ],
  }
  expect(show(withView([tree], { as: 'tree' })).split('\n')).toEqual([
    'top  <1.1.0>  supervisor',
    '├─ a  <1.1.0>',
    '├─ b  <1.1.0>  supervisor',
    '│  └─ c  restarting',
    '├─ d  <1.1.0>  supervisor  10031 children',
    '└─ … 2 more',
  ])
})

it('figures are read as people read them', () => {
  expect([0, 61_000, 3_600_000, 183_845_000].map(duration)).toEqual(['00:00:00', '00:01:01', '01:00:00', '2d 03:04:05'])
  expect([0, 1023, 1536, 222_298_112].map(bytes)).toEqual(['0 B', '1023 B', '1.5 kB', '212 MB'])
})

describe('any value', () => {
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', maxDepth: 4 },
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.double(),
      fc.constantFrom(undefined, null, true),
      fc.string().map((text) => Buffer.from(text)),
      fc.constant(new Pid(other, 5, 1)),
      fc.string({ maxLength: 20 }).map(atom),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.array(tie('value'), { maxLength: 4 }).map((elements): Tuple => tuple(...elements)),
      fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { maxKeys: 4 }),
      fc.array(fc.record({ id: fc.string({ unit: 'binary' }), n: fc.integer() }), { maxLength: 4 }),
    ),
  })).value

  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not come out
  const HARMFUL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

  it('never puts a control character on the terminal', () => {
    fc.assert(
      fc.property(value, fc.boolean(), (any, full) => {
        expect(show(any, { full, unmask: true })).not.toMatch(HARMFUL)
        expect(inline(any)).not.toMatch(/\n/)
      }),
      { numRuns: 300 },
    )
  })
})
