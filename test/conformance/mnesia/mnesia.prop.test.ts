/** Random programs give the same on our tables as on Mnesia. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HAS_ERL } from '../../support/erl-terms.ts'
import { runOnOurs } from './ours.ts'
import type { Operation, Row, Step, TableOptions } from './program.ts'
import { RealMnesia } from './real.ts'

const RUNS = 60

const key = fc.constantFrom('a', 'b', 'c', 'é', '')
const v = fc.integer({ min: -1, max: 3 })
const w = fc.constantFrom('x', 'y')
const row: fc.Arbitrary<Row> = fc.tuple(key, v, w)
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 1 })
const pattern = fc.tuple(some(key), some(v), some(w))
const T = fc.constant('t')
const named = <Name extends string>(name: Name) => fc.constant(name)

const reads = [
  fc.tuple(named('dirty_read'), T, key),
  fc.tuple(named('dirty_all_keys'), T),
  fc.tuple(named('dirty_match_object'), T, pattern),
  fc.tuple(named('dirty_select'), T, v),
  fc.tuple(named('dirty_index_read'), T, w, named('w')),
  fc.tuple(named('dirty_index_read'), T, v, named('v')),
  fc.tuple(named('table_info'), T, fc.constantFrom<'size' | 'index'>('size', 'index')),
]
const ordered = [
  fc.tuple(fc.constantFrom<'dirty_first' | 'dirty_last'>('dirty_first', 'dirty_last'), T),
  fc.tuple(fc.constantFrom<'dirty_next' | 'dirty_prev'>('dirty_next', 'dirty_prev'), T, key),
]
const writes = [
  fc.tuple(named('dirty_write'), T, row),
  fc.tuple(named('dirty_write'), T, row),
  fc.tuple(named('dirty_delete'), T, key),
  fc.tuple(named('dirty_delete_object'), T, row),
]
const schema = [
  fc.tuple(named('clear_table'), T),
  fc.tuple(fc.constantFrom<'add_table_index' | 'del_table_index'>('add_table_index', 'del_table_index'), T, named('v')),
]
const restarts = [fc.tuple(named('restart'))]

function step(isOrdered: boolean): fc.Arbitrary<Step> {
  const inOrder = [
    fc.tuple(fc.constantFrom<'first' | 'last' | 'foldl'>('first', 'last', 'foldl'), T),
    fc.tuple(fc.constantFrom<'next' | 'prev'>('next', 'prev'), T, key),
  ]
  const { step } = fc.letrec<{ step: Step }>((tie) => ({
    step: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.tuple(fc.constantFrom<'read' | 'wread' | 'delete'>('read', 'wread', 'delete'), T, key),
      fc.tuple(fc.constantFrom<'write' | 'delete_object'>('write', 'delete_object'), T, row),
      fc.tuple(named('write'), T, row),
      fc.tuple(named('match_object'), T, pattern),
      fc.tuple(named('select'), T, v),
      fc.tuple(named('index_read'), T, w, named('w')),
      fc.tuple(named('all_keys'), T),
      ...(isOrdered ? inOrder : []),
      fc.oneof(
        fc.tuple(named('abort'), fc.constant('enough')),
        fc.tuple(named('transaction'), fc.array(tie('step'), { minLength: 1, maxLength: 5 })),
      ),
    ),
  }))
  return step
}

interface Setting {
  readonly options: TableOptions
  /** Whether transactions are for it. */
  readonly replication: 'shared' | 'owned'
  /** Events are compared: without operations of which Mnesia tells something else. */
  readonly isWatched: boolean
}

const setting: fc.Arbitrary<Setting> = fc.record({
  options: fc.record({
    type: fc.constantFrom<'set' | 'ordered_set' | 'bag'>('set', 'ordered_set', 'bag'),
    copies: fc.constantFrom<'ram_copies' | 'disc_copies'>('ram_copies', 'disc_copies'),
    index: fc.constant(['w'] as const),
    local_content: fc.boolean(),
  }),
  replication: fc.constantFrom<'shared' | 'owned'>('shared', 'shared', 'owned'),
  isWatched: fc.boolean(),
})

/** Mnesia misses keys that a nested transaction has written when the outer one goes through the table in order. */
function isSoundInMnesia(steps: readonly Step[]): boolean {
  const names = steps.map(([name]) => name)
  const hasNested = names.includes('transaction')
  const isSound = !hasNested || !names.some((name) => ['first', 'last', 'next', 'prev'].includes(name))
  return isSound && steps.every((each) => each[0] !== 'transaction' || isSoundInMnesia(each[1]))
}

function operation({ options, replication, isWatched }: Setting): fc.Arbitrary<Operation> {
  const isOrdered = options.type === 'ordered_set'
  const isEvent = isWatched && options.type !== 'bag'
  // Of a transaction they have no order in Mnesia.
  const hasTransactions = replication === 'shared' && !options.local_content && !isEvent
  const steps = fc.array(step(isOrdered), { minLength: 1, maxLength: 8 }).filter(isSoundInMnesia)
  return fc
    .oneof(
      { weight: 6, arbitrary: fc.oneof(...writes) },
      { weight: 6, arbitrary: fc.oneof(...reads, ...(isOrdered ? ordered : [])) },
      { weight: 1, arbitrary: fc.oneof(...schema) },
      ...(isEvent ? [{ weight: 1, arbitrary: fc.tuple(named('events')) }] : []),
      ...(hasTransactions ? [{ weight: 3, arbitrary: fc.tuple(named('transaction'), steps) }] : []),
    )
    .filter((each) => !isEvent || !/delete_object|clear_table/.test(JSON.stringify(each)))
}

const all: Operation = ['dirty_match_object', 't', [null, null, null]]

const program = setting.chain((set) =>
  fc.record({
    set: fc.constant(set),
    before: fc.array(operation(set), { minLength: 5, maxLength: 25 }),
    // Subscriptions end with the node.
    restart: fc.option(
      fc.tuple(fc.oneof(...restarts), fc.array(operation(set).filter(([name]) => name !== 'events'))),
      { freq: 2 },
    ),
  }),
)

describe.skipIf(!HAS_ERL)('random programs', () => {
  let mnesia: RealMnesia
  beforeAll(async () => {
    mnesia = await RealMnesia.start()
  })
  afterAll(() => mnesia.stop())

  it('give the same on our tables as on Mnesia', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(program, async ({ set, before, restart }) => {
        const operations: Operation[] = [
          ['create_table', 't', set.options],
          ['subscribe', 't'],
          ...before,
          all,
          ...(restart === null ? [] : [restart[0], ...restart[1], all]),
        ]
        expect(await runOnOurs(operations, set.replication)).toEqual(await mnesia.run(operations))
      }),
      { numRuns: RUNS },
    )
  })
})
