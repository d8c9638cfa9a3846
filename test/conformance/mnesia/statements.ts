/**
 * What Mnesia's reference manual (OTP 25, module mnesia) says of its functions, in our own words, with the program that shows each statement.
 *
 * `gives` are the results of the program's operations but those that are `ok`, on Mnesia as on our tables. A statement that
 * does not hold here says what we give instead (`ours`), and why; one that has no program says why there is none.
 */
import type { Field, Operation, Program, Row, Step, TableOptions } from './program.ts'

export interface Statement {
  /** Function and arity, as in the manual. */
  readonly of: string
  readonly says: string
  readonly program?: Program
  readonly gives?: readonly unknown[]
  /** What our tables give, where that is something else on purpose. */
  readonly ours?: readonly unknown[]
  /** The reason for the difference, or against a program. */
  readonly why?: string
}

/** A statement that has a program. */
export interface Told<P> extends Omit<Statement, 'program'> {
  readonly program: P
  readonly gives: readonly unknown[]
}

export function sameAs<P>(of: string, says: string, program: P, gives: readonly unknown[]): Told<P> {
  return { of, says, program, gives }
}

export function differsFrom<P>(
  of: string,
  says: string,
  program: P,
  gives: readonly unknown[],
  ours: readonly unknown[],
  why: string,
): Told<P> {
  return { of, says, program, gives, ours, why }
}

const A: Row = ['a', 1, 'x']
const B: Row = ['b', 2, 'y']
const C: Row = ['c', 3, 'x']

function create(options: TableOptions = {}): Operation {
  return ['create_table', 't', options]
}

function written(...rows: readonly Row[]): Operation[] {
  return rows.map((row) => ['dirty_write', 't', row])
}

function atomic(...steps: readonly Step[]): Operation {
  return ['transaction', steps]
}

const BAG = create({ type: 'bag' })
const ORDERED = create({ type: 'ordered_set' })
const INDEXED = create({ index: ['w'] })

const same = sameAs<Program>
const differs = differsFrom<Program>

function none(of: string, says: string, why: string): Statement {
  return { of, says, why }
}

const byField = (field: Field, value: number | string): Operation => ['dirty_index_read', 't', value, field]

const TABLES: readonly Statement[] = [
  same(
    'create_table/2',
    'A set has one row for each key; the later write of a key replaces the earlier',
    [create(), ...written(A, ['a', 2, 'y']), ['dirty_read', 't', 'a']],
    [[['a', 2, 'y']]],
  ),
  same(
    'create_table/2',
    'A bag has any number of rows for a key, no two of them equal',
    [BAG, ...written(A, ['a', 2, 'x'], A), ['dirty_read', 't', 'a']],
    [[A, ['a', 2, 'x']]],
  ),
  same(
    'create_table/2',
    'An ordered_set is a set that is gone through by the order of its keys',
    [ORDERED, ...written(C, A, B), atomic(['foldl', 't'])],
    [['atomic', [['a', 'b', 'c']]]],
  ),
  same(
    'create_table/2',
    'A table is a set and has ram copies unless told otherwise',
    [create(), ['table_info', 't', 'type'], ['table_info', 't', 'storage_type']],
    ['set', 'ram_copies'],
  ),
  differs(
    'create_table/2',
    'A table that exists cannot be created',
    [create(), create()],
    [['aborted', 'already_exists']],
    [],
    'code opens its tables at each start, so `open` is content with one of the same definition',
  ),
  differs(
    'create_table/2',
    'Nor can one of another definition',
    [create(), BAG],
    [['aborted', 'already_exists']],
    [['aborted', 'definition_differs']],
    'the difference is named',
  ),
  same(
    'create_table/2',
    'Indexes that are asked for are there from the beginning',
    [INDEXED, ...written(A, B, C), byField('w', 'x')],
    [[A, C]],
  ),
  same(
    'create_table/2',
    'A table of local_content is told as such',
    [create({ local_content: true }), ['table_info', 't', 'local_content']],
    [true],
  ),
  same(
    'create_table/2',
    'Rows of a disc copy are there after a restart, with their indexes',
    [
      create({ copies: 'disc_copies', index: ['w'] }),
      ...written(A, B),
      ['restart'],
      ['dirty_read', 't', 'a'],
      byField('w', 'y'),
    ],
    [[A], [B]],
  ),
  same(
    'create_table/2',
    'Rows of a bag on disc are there after a restart, each',
    [
      create({ copies: 'disc_copies', type: 'bag' }),
      ...written(A, ['a', 2, 'x'], ['a', 3, 'z']),
      ['dirty_delete_object', 't', A],
      ['restart'],
      ['dirty_read', 't', 'a'],
    ],
    [
      [
        ['a', 2, 'x'],
        ['a', 3, 'z'],
      ],
    ],
  ),
  same(
    'create_table/2',
    'A ram copy is empty after a restart; the table is there',
    [create(), ...written(A), ['restart'], ['table_info', 't', 'size']],
    [0],
  ),
  same(
    'create_table/2',
    'Disc copies of a local_content table outlive a restart',
    [create({ copies: 'disc_copies', local_content: true }), ...written(A), ['restart'], ['dirty_read', 't', 'a']],
    [[A]],
  ),
  same(
    'delete_table/1',
    'A table that is deleted is gone, with its rows',
    [create(), ...written(A), ['delete_table', 't'], ['system_info_tables'], create(), ['dirty_read', 't', 'a']],
    [[], []],
  ),
  same(
    'delete_table/1',
    'A disc copy that is deleted does not come back with a restart',
    [
      create({ copies: 'disc_copies' }),
      ...written(A),
      ['delete_table', 't'],
      ['restart'],
      ['system_info_tables'],
      create({ copies: 'disc_copies' }),
      ['dirty_read', 't', 'a'],
    ],
    [[], []],
  ),
  same(
    'delete_table/1',
    'A table that does not exist cannot be deleted',
    [['delete_table', 't']],
    [['aborted', 'no_exists']],
  ),
  same(
    'clear_table/1',
    'All rows go, the table and its indexes stay',
    [
      INDEXED,
      ...written(A, B),
      ['clear_table', 't'],
      ['table_info', 't', 'size'],
      byField('w', 'x'),
      ...written(C),
      byField('w', 'x'),
    ],
    [0, [], [C]],
  ),
  same(
    'clear_table/1',
    'A disc copy that was cleared is empty after a restart',
    [create({ copies: 'disc_copies' }), ...written(A), ['clear_table', 't'], ['restart'], ['table_info', 't', 'size']],
    [0],
  ),
  same(
    'clear_table/1',
    'A local_content table is cleared as well',
    [create({ local_content: true }), ...written(A), ['clear_table', 't'], ['table_info', 't', 'size']],
    [0],
  ),
  same(
    'change_table_copy_type/3',
    'A table that does not exist has no copies',
    [['change_table_copy_type', 't', 'disc_copies']],
    [['aborted', 'no_exists']],
  ),
  differs(
    'change_table_copy_type/3',
    'A copy that is of the type already cannot be changed to it',
    [create(), ['change_table_copy_type', 't', 'ram_copies']],
    [['aborted', 'already_exists']],
    [],
    'what is asked for is so',
  ),
  differs(
    'add_table_index/2',
    'The key cannot have an index',
    [create(), ['add_table_index', 't', 'k' as Field]],
    [['aborted', 'bad_type']],
    [['aborted', 'already_exists']],
    'the key is an index of its own',
  ),
  same(
    'clear_table/1',
    'A table that does not exist cannot be cleared',
    [['clear_table', 't']],
    [['aborted', 'no_exists']],
  ),
  same(
    'add_table_index/2',
    'An index of a table that exists finds the rows that are there and those to come',
    [
      create(),
      ...written(A, B),
      ['add_table_index', 't', 'w'],
      ...written(C),
      byField('w', 'x'),
      ['table_info', 't', 'index'],
    ],
    [[A, C], ['w']],
  ),
  same(
    'add_table_index/2',
    'Rows of a bag are found as well, each',
    [
      BAG,
      ...written(A, ['a', 2, 'x'], ['b', 1, 'z']),
      ['add_table_index', 't', 'w'],
      byField('w', 'x'),
      ['dirty_delete_object', 't', A],
      byField('w', 'x'),
    ],
    [[A, ['a', 2, 'x']], [['a', 2, 'x']]],
  ),
  same(
    'add_table_index/2',
    'The index is there after a restart',
    [create({ copies: 'disc_copies' }), ...written(A), ['add_table_index', 't', 'w'], ['restart'], byField('w', 'x')],
    [[A]],
  ),
  same(
    'add_table_index/2',
    'A field has one index',
    [create(), ['add_table_index', 't', 'w'], ['add_table_index', 't', 'w']],
    [['aborted', 'already_exists']],
  ),
  same(
    'add_table_index/2',
    'A table that does not exist has none',
    [['add_table_index', 't', 'w']],
    [['aborted', 'no_exists']],
  ),
  same(
    'del_table_index/2',
    'An index that is deleted is told of no more',
    [create({ index: ['v', 'w'] }), ['del_table_index', 't', 'w'], ['table_info', 't', 'index']],
    [['v']],
  ),
  same(
    'del_table_index/2',
    'It stays deleted after a restart',
    [
      create({ copies: 'disc_copies', index: ['w'] }),
      ['del_table_index', 't', 'w'],
      ['restart'],
      ['table_info', 't', 'index'],
    ],
    [[]],
  ),
  same(
    'del_table_index/2',
    'An index that does not exist cannot be deleted',
    [create(), ['del_table_index', 't', 'w']],
    [['aborted', 'no_exists']],
  ),
  same(
    'change_table_copy_type/3',
    'A ram copy becomes one on disc, with the rows that it has',
    [
      create(),
      ...written(A),
      ['change_table_copy_type', 't', 'disc_copies'],
      ['table_info', 't', 'storage_type'],
      ...written(B),
      ['restart'],
      ['dirty_all_keys', 't'],
    ],
    ['disc_copies', ['a', 'b']],
  ),
  same(
    'change_table_copy_type/3',
    'A disc copy becomes one in memory alone: it keeps its rows until the restart',
    [
      create({ copies: 'disc_copies' }),
      ...written(A),
      ['change_table_copy_type', 't', 'ram_copies'],
      ['dirty_read', 't', 'a'],
      ['restart'],
      ['table_info', 't', 'storage_type'],
      ['table_info', 't', 'size'],
    ],
    [[A], 'ram_copies', 0],
  ),
  same(
    'table_info/2',
    'size is the number of rows, in a bag as well',
    [BAG, ...written(A, ['a', 2, 'x'], B), ['table_info', 't', 'size']],
    [3],
  ),
  same('table_info/2', 'memory grows with the rows', [create(), ['memory_grows', 't', A]], [true]),
  same(
    'table_info/2',
    'A table that does not exist has no type',
    [['table_info', 't', 'type']],
    [['aborted', 'no_exists']],
  ),
  same(
    'system_info/1',
    'tables are the names of all tables',
    [create(), ['create_table', 'u', {}], ['system_info_tables']],
    [['t', 'u']],
  ),
  same(
    'wait_for_tables/2',
    'Tables that are loaded are not waited for',
    [create(), ['wait_for_tables', ['t'], 1000]],
    [],
  ),
  same(
    'wait_for_tables/2',
    'After the time it tells which tables are not there',
    [create(), ['wait_for_tables', ['t', 'u'], 20]],
    [['timeout', ['u']]],
  ),
  same(
    'force_load_table/1',
    'A table that is loaded can be forced',
    [create(), ...written(A), ['force_load_table', 't'], ['dirty_read', 't', 'a']],
    [[A]],
  ),
  same(
    'force_load_table/1',
    'A table that does not exist cannot',
    [['force_load_table', 't']],
    [['aborted', 'no_exists']],
  ),
  same(
    'set_master_nodes/1',
    'Nodes are taken, and with an empty list none',
    [create({ copies: 'disc_copies' }), ...written(A), ['set_master_nodes'], ['restart'], ['dirty_read', 't', 'a']],
    [[A]],
  ),
]

const DIRTY: readonly Statement[] = [
  same(
    'dirty_read/2',
    'The rows of a key; an empty list when there are none',
    [create(), ...written(A), ['dirty_read', 't', 'a'], ['dirty_read', 't', 'z']],
    [[A], []],
  ),
  same(
    'dirty_read/2',
    'A table that does not exist cannot be read',
    [['dirty_read', 't', 'a']],
    [['aborted', 'no_exists']],
  ),
  same('dirty_write/2', 'Writes a row at once', [create(), ['dirty_write', 't', A], ['dirty_read', 't', 'a']], [[A]]),
  same(
    'dirty_write/2',
    'A table that does not exist cannot be written',
    [['dirty_write', 't', A]],
    [['aborted', 'no_exists']],
  ),
  same(
    'dirty_delete/2',
    'Removes all rows of a key',
    [BAG, ...written(A, ['a', 2, 'x'], B), ['dirty_delete', 't', 'a'], ['dirty_all_keys', 't']],
    [['b']],
  ),
  same('dirty_delete/2', 'A key that has no row is no error', [create(), ['dirty_delete', 't', 'a']], []),
  same(
    'dirty_delete_object/2',
    'Removes one row of a bag',
    [BAG, ...written(A, ['a', 2, 'x']), ['dirty_delete_object', 't', A], ['dirty_read', 't', 'a']],
    [[['a', 2, 'x']]],
  ),
  same(
    'dirty_delete_object/2',
    'A row that is not there in all its fields is left alone, in a set as well',
    [
      create(),
      ...written(A),
      ['dirty_delete_object', 't', ['a', 2, 'x']],
      ['dirty_read', 't', 'a'],
      ['dirty_delete_object', 't', A],
      ['dirty_read', 't', 'a'],
    ],
    [[A], []],
  ),
  same(
    'dirty_match_object/2',
    'Rows that equal the pattern where it says something',
    [
      create(),
      ...written(A, B, C),
      ['dirty_match_object', 't', [null, null, 'x']],
      ['dirty_match_object', 't', ['a', null, 'y']],
      ['dirty_match_object', 't', [null, null, null]],
    ],
    [[A, C], [], [A, B, C]],
  ),
  same(
    'dirty_index_match_object/3',
    'The same by an index',
    [INDEXED, ...written(A, B, C), ['dirty_index_match_object', 't', [null, 3, 'x'], 'w']],
    [[C]],
  ),
  same(
    'dirty_select/2',
    'Rows for which a condition holds',
    [create(), ...written(A, B, C), ['dirty_select', 't', 1]],
    [[B, C]],
  ),
  same(
    'dirty_index_read/3',
    'Rows by a field that has an index, as they are now',
    [
      INDEXED,
      ...written(A, B, C, ['a', 1, 'y']),
      byField('w', 'x'),
      byField('w', 'y'),
      ['dirty_delete', 't', 'c'],
      byField('w', 'x'),
    ],
    [[C], [['a', 1, 'y'], B], []],
  ),
  same(
    'dirty_index_read/3',
    'A field without an index cannot be asked',
    [create(), byField('w', 'x')],
    [['aborted', 'badarg']],
  ),
  same(
    'dirty_index_read/3',
    'Nor can one whose index was deleted',
    [INDEXED, ['del_table_index', 't', 'w'], byField('w', 'x')],
    [['aborted', 'badarg']],
  ),
  same(
    'dirty_all_keys/1',
    'Each key once',
    [BAG, ...written(A, ['a', 2, 'x'], B), ['dirty_all_keys', 't']],
    [['a', 'b']],
  ),
  same(
    'dirty_first/1',
    'The smallest key of an ordered_set, or none',
    [ORDERED, ['dirty_first', 't'], ...written(B, A), ['dirty_first', 't']],
    [null, 'a'],
  ),
  same(
    'dirty_last/1',
    'The greatest key of an ordered_set, or none',
    [ORDERED, ['dirty_last', 't'], ...written(B, A), ['dirty_last', 't']],
    [null, 'b'],
  ),
  same(
    'dirty_next/2',
    'The next key of an ordered_set, also of a key that is not there, or none',
    [ORDERED, ...written(A, C), ['dirty_next', 't', 'a'], ['dirty_next', 't', 'b'], ['dirty_next', 't', 'c']],
    ['c', 'c', null],
  ),
  same(
    'dirty_prev/2',
    'The key before, also of a key that is not there, or none',
    [ORDERED, ...written(A, C), ['dirty_prev', 't', 'c'], ['dirty_prev', 't', 'b'], ['dirty_prev', 't', 'a']],
    ['a', 'a', null],
  ),
  differs(
    'dirty_first/1, dirty_next/2',
    'A set can be gone through key by key as well, in no particular order',
    [create(), ...written(B), ['dirty_first', 't']],
    ['b'],
    [['aborted', 'badarg']],
    '`select` with `limit` and `after` goes through any table in parts, `keys` through all of it; a step from key to key would look through a shard of the map each time',
  ),
  differs(
    'create_table/2',
    'Texts, as binaries, are ordered by their bytes, which is by code points',
    [ORDERED, ...written(['\u{1f600}', 1, ''], ['\uff5e', 2, '']), ['dirty_first', 't']],
    ['\uff5e'],
    ['\u{1f600}'],
    'keys are compared as JavaScript compares text, by UTF-16 code units; the two orders differ only where characters beyond U+FFFF meet those from U+E000 on',
  ),
  same(
    'async_dirty/1',
    'Dirty operations ask for no lock: they go on while a transaction holds one',
    [create(), ...written(A), ['held_dirty', [['wread', 't', 'a']], ['dirty_read', 't', 'a']]],
    [[['atomic', [[A]]], [A]]],
  ),
]

const TRANSACTIONS: readonly Statement[] = [
  same(
    'transaction/1',
    'All that it writes is there when it is over',
    [
      create(),
      ['create_table', 'u', { type: 'bag' }],
      atomic(['write', 't', A], ['write', 'u', B], ['write', 'u', ['b', 3, 'z']]),
      ['dirty_read', 't', 'a'],
      ['dirty_read', 'u', 'b'],
    ],
    [['atomic', ['ok', 'ok', 'ok']], [A], [B, ['b', 3, 'z']]],
  ),
  same(
    'transaction/1',
    'It gives what its function gave',
    [create(), ...written(A), atomic(['read', 't', 'a'])],
    [['atomic', [[A]]]],
  ),
  same(
    'transaction/1',
    'A function that fails changes nothing',
    [create(), ...written(A), atomic(['write', 't', B], ['delete', 't', 'a'], ['crash']), ['dirty_all_keys', 't']],
    [['aborted', 'error'], ['a']],
  ),
  same(
    'transaction/1',
    'Nobody sees what it writes before it is over',
    [create(), ['held_dirty', [['write', 't', A]], ['dirty_read', 't', 'a']], ['dirty_read', 't', 'a']],
    [[['atomic', ['ok']], []], [A]],
  ),
  same(
    'transaction/1',
    'Transactions at the same time come out as if one had run after the other',
    [
      create(),
      ...written(['a', 0, ''], ['b', 0, '']),
      [
        'together',
        10,
        [
          [
            ['add', 't', 'a', 1],
            ['add', 't', 'b', 1],
          ],
          [
            ['add', 't', 'b', 10],
            ['add', 't', 'a', 10],
          ],
        ],
      ],
      ['dirty_read', 't', 'a'],
      ['dirty_read', 't', 'b'],
    ],
    [Array(20).fill('ok'), [['a', 110, '']], [['b', 110, '']]],
  ),
  same(
    'transaction/1',
    'Disc copies have its writes after a restart',
    [
      create({ copies: 'disc_copies' }),
      atomic(['write', 't', A], ['write', 't', B], ['delete', 't', 'a']),
      ['restart'],
      ['dirty_all_keys', 't'],
    ],
    [['atomic', ['ok', 'ok', 'ok']], ['b']],
  ),
  differs(
    'transaction/1',
    'Rows of local_content tables can be part of it',
    [create({ local_content: true }), atomic(['write', 't', A])],
    [['atomic', ['ok']]],
    [['aborted', 'no_transaction']],
    'only this node has them: `batch` writes several at once, and between two of its turns nobody comes in between',
  ),
  same(
    'transaction/2',
    'Without retries it ends when an older transaction holds what it wants to write',
    [
      create(),
      ...written(A),
      [
        'held',
        [['wread', 't', 'a']],
        [
          ['write', 't', B],
          ['write', 't', ['a', 2, 'x']],
        ],
      ],
      ['dirty_all_keys', 't'],
    ],
    [
      [
        ['atomic', [[A]]],
        ['aborted', 'too_many_retries'],
      ],
      ['a'],
    ],
  ),
  same(
    'transaction/2',
    'Two may read the same',
    [create(), ...written(A), ['held', [['read', 't', 'a']], [['read', 't', 'a']]]],
    [
      [
        ['atomic', [[A]]],
        ['atomic', [[A]]],
      ],
    ],
  ),
  same(
    'transaction/2',
    'Two may write different rows of a table',
    [create(), ['held', [['write', 't', A]], [['write', 't', B]]], ['dirty_all_keys', 't']],
    [
      [
        ['atomic', ['ok']],
        ['atomic', ['ok']],
      ],
      ['a', 'b'],
    ],
  ),
  same(
    'transaction/2',
    'Rows that do not exist are locked as well',
    [create(), ['held', [['wread', 't', 'a']], [['read', 't', 'a']]]],
    [
      [
        ['atomic', [[]]],
        ['aborted', 'too_many_retries'],
      ],
    ],
  ),
  same(
    'transaction/1, nested',
    'An inner one that aborts loses its own writes and no others',
    [
      create(),
      atomic(
        ['write', 't', A],
        [
          'transaction',
          [
            ['write', 't', B],
            ['write', 't', ['a', 2, 'y']],
            ['abort', 'inner'],
          ],
        ],
        ['read', 't', 'a'],
        ['write', 't', C],
      ),
      ['dirty_all_keys', 't'],
    ],
    [
      ['atomic', ['ok', ['aborted', 'inner'], [A], 'ok']],
      ['a', 'c'],
    ],
  ),
  same(
    'transaction/1, nested',
    'What an inner one wrote goes when the outer one aborts',
    [create(), atomic(['transaction', [['write', 't', A]]], ['abort', 'outer']), ['dirty_all_keys', 't']],
    [['aborted', 'outer'], []],
  ),
  same(
    'transaction/1, nested',
    'An inner one sees what the outer one has written, and the outer one what the inner wrote',
    [
      create(),
      atomic(
        ['write', 't', A],
        [
          'transaction',
          [
            ['read', 't', 'a'],
            ['write', 't', B],
          ],
        ],
        ['read', 't', 'b'],
      ),
    ],
    [['atomic', ['ok', ['atomic', [[A], 'ok']], [B]]]],
  ),
  same(
    'transaction/1, nested',
    'An inner one that fails is aborted, and the outer one goes on',
    [create(), atomic(['transaction', [['write', 't', A], ['crash']]], ['write', 't', B]), ['dirty_all_keys', 't']],
    [['atomic', [['aborted', 'error'], 'ok']], ['b']],
  ),
  same(
    'sync_transaction/1',
    'A transaction that is complete when it is on disc and everywhere',
    [
      create({ copies: 'disc_copies' }),
      [
        'sync_transaction',
        [
          ['write', 't', A],
          ['read', 't', 'a'],
        ],
      ],
      ['dirty_read', 't', 'a'],
    ],
    [['atomic', ['ok', [A]]], [A]],
  ),
  same(
    'abort/1',
    'Ends the transaction with a reason; nothing has changed',
    [create(), atomic(['write', 't', A], ['abort', 'enough']), ['dirty_all_keys', 't']],
    [['aborted', 'enough'], []],
  ),
  same(
    'read/3',
    'Reads what the transaction has written and removed itself',
    [
      create(),
      ...written(A, B),
      atomic(['write', 't', ['a', 5, 'z']], ['delete', 't', 'b'], ['read', 't', 'a'], ['read', 't', 'b']),
    ],
    [['atomic', ['ok', 'ok', [['a', 5, 'z']], []]]],
  ),
  same(
    'read/3',
    'In a bag, with the rows that were there',
    [
      BAG,
      ...written(A),
      atomic(
        ['write', 't', ['a', 2, 'x']],
        ['read', 't', 'a'],
        ['delete_object', 't', A],
        ['read', 't', 'a'],
        ['delete', 't', 'a'],
        ['read', 't', 'a'],
      ),
    ],
    [['atomic', ['ok', [A, ['a', 2, 'x']], 'ok', [['a', 2, 'x']], 'ok', []]]],
  ),
  same(
    'read/3',
    'A table that does not exist ends the transaction',
    [atomic(['read', 't', 'a'])],
    [['aborted', 'no_exists']],
  ),
  same(
    'write/3',
    'A table that does not exist ends the transaction',
    [atomic(['write', 't', A])],
    [['aborted', 'no_exists']],
  ),
  same(
    'delete/3',
    'Removes all rows of a key, and what is written afterwards stays',
    [
      BAG,
      ...written(A, ['a', 2, 'x']),
      atomic(['delete', 't', 'a'], ['write', 't', ['a', 3, 'z']]),
      ['dirty_read', 't', 'a'],
    ],
    [['atomic', ['ok', 'ok']], [['a', 3, 'z']]],
  ),
  same(
    'delete_object/3',
    'Removes one row of a bag, or the same row of a set',
    [
      create(),
      ['create_table', 'u', { type: 'bag' }],
      ...written(A, B),
      ['dirty_write', 'u', A],
      ['dirty_write', 'u', ['a', 2, 'x']],
      atomic(
        ['delete_object', 't', A],
        ['delete_object', 't', ['b', 9, 'y']],
        ['delete_object', 'u', A],
        ['read', 't', 'a'],
        ['read', 't', 'b'],
        ['read', 'u', 'a'],
      ),
      ['dirty_all_keys', 't'],
      ['dirty_read', 'u', 'a'],
    ],
    [['atomic', ['ok', 'ok', 'ok', [], [B], [['a', 2, 'x']]]], ['b'], [['a', 2, 'x']]],
  ),
  same(
    'match_object/3',
    'Rows that equal the pattern, with what the transaction has written',
    [
      create(),
      ...written(A, B, C),
      atomic(
        ['write', 't', ['d', 4, 'x']],
        ['delete', 't', 'a'],
        ['write', 't', ['c', 3, 'z']],
        ['match_object', 't', [null, null, 'x']],
        ['match_object', 't', ['b', null, 'y']],
      ),
    ],
    [['atomic', ['ok', 'ok', 'ok', [['d', 4, 'x']], [B]]]],
  ),
  same(
    'select/2',
    'Rows for which a condition holds, with what the transaction has written',
    [create(), ...written(A, B, C), atomic(['write', 't', ['a', 9, 'x']], ['delete', 't', 'b'], ['select', 't', 1])],
    [['atomic', ['ok', 'ok', [['a', 9, 'x'], C]]]],
  ),
  same(
    'index_read/3',
    'Rows by a field that has an index, with what the transaction has written',
    [
      INDEXED,
      ...written(A, B, C),
      atomic(
        ['write', 't', ['d', 4, 'x']],
        ['write', 't', ['c', 3, 'y']],
        ['index_read', 't', 'x', 'w'],
        ['delete', 't', 'a'],
        ['index_read', 't', 'x', 'w'],
        ['index_read', 't', 'y', 'w'],
      ),
    ],
    [['atomic', ['ok', 'ok', [A, ['d', 4, 'x']], 'ok', [['d', 4, 'x']], [B, ['c', 3, 'y']]]]],
  ),
  same(
    'all_keys/1',
    'All keys, each once, with what the transaction has written',
    [BAG, ...written(A, ['a', 2, 'x'], B), atomic(['write', 't', C], ['delete', 't', 'b'], ['all_keys', 't'])],
    [['atomic', ['ok', 'ok', ['a', 'c']]]],
  ),
  same(
    'foldl/3',
    'Goes through all rows, with what the transaction has written',
    [ORDERED, ...written(A, C), atomic(['write', 't', B], ['delete', 't', 'a'], ['foldl', 't'])],
    [['atomic', ['ok', 'ok', ['b', 'c']]]],
  ),
  same(
    'first/1',
    'The smallest key, with what the transaction has written and removed',
    [
      ORDERED,
      ...written(B, C),
      atomic(
        ['first', 't'],
        ['write', 't', A],
        ['first', 't'],
        ['delete', 't', 'a'],
        ['delete', 't', 'b'],
        ['first', 't'],
      ),
    ],
    [['atomic', ['b', 'ok', 'a', 'ok', 'ok', 'c']]],
  ),
  same(
    'last/1',
    'The greatest key, with what the transaction has written and removed',
    [
      ORDERED,
      ...written(A, B),
      atomic(
        ['last', 't'],
        ['write', 't', C],
        ['last', 't'],
        ['delete', 't', 'c'],
        ['delete', 't', 'b'],
        ['last', 't'],
      ),
    ],
    [['atomic', ['b', 'ok', 'c', 'ok', 'ok', 'a']]],
  ),
  same(
    'next/2',
    'The next key, with what the transaction has written and removed',
    [
      ORDERED,
      ...written(A, C),
      atomic(
        ['next', 't', 'a'],
        ['write', 't', B],
        ['next', 't', 'a'],
        ['delete', 't', 'b'],
        ['delete', 't', 'c'],
        ['next', 't', 'a'],
      ),
    ],
    [['atomic', ['c', 'ok', 'b', 'ok', 'ok', null]]],
  ),
  same(
    'prev/2',
    'The key before, with what the transaction has written and removed',
    [
      ORDERED,
      ...written(A, C),
      atomic(
        ['prev', 't', 'c'],
        ['write', 't', B],
        ['prev', 't', 'c'],
        ['delete', 't', 'b'],
        ['delete', 't', 'a'],
        ['prev', 't', 'c'],
      ),
    ],
    [['atomic', ['a', 'ok', 'b', 'ok', 'ok', null]]],
  ),
  same(
    'write_lock_table/1',
    'It waits for none of its own locks',
    [create(), atomic(['read_lock_table', 't'], ['write', 't', A], ['write_lock_table', 't'], ['read', 't', 'a'])],
    [['atomic', ['ok', 'ok', 'ok', [A]]]],
  ),
  same(
    'read_lock_table/1',
    'Others may read, and may not write, any row',
    [
      create(),
      ...written(A),
      ['held', [['read_lock_table', 't']], [['read', 't', 'a']]],
      ['held', [['read_lock_table', 't']], [['write', 't', B]]],
    ],
    [
      [
        ['atomic', ['ok']],
        ['atomic', [[A]]],
      ],
      [
        ['atomic', ['ok']],
        ['aborted', 'too_many_retries'],
      ],
    ],
  ),
  same(
    'write_lock_table/1',
    'Others may neither read nor write any row',
    [create(), ['held', [['write_lock_table', 't']], [['read', 't', 'a']]]],
    [
      [
        ['atomic', ['ok']],
        ['aborted', 'too_many_retries'],
      ],
    ],
  ),
  same(
    'select/2',
    'Locks the whole table',
    [create(), ['held', [['select', 't', 0]], [['write', 't', A]]]],
    [
      [
        ['atomic', [[]]],
        ['aborted', 'too_many_retries'],
      ],
    ],
  ),
]

const EVENTS_AND_FILES: readonly Statement[] = [
  same(
    'subscribe/1',
    'Detailed events of a table tell what was written and what it replaced',
    [create(), ['subscribe', 't'], ...written(A, ['a', 2, 'y']), ['events']],
    [
      [
        ['write', A, []],
        ['write', ['a', 2, 'y'], [A]],
      ],
    ],
  ),
  same(
    'subscribe/1',
    'They tell each row that was removed',
    [
      create(),
      ['subscribe', 't'],
      ...written(A, B),
      ['dirty_delete', 't', 'a'],
      ['dirty_delete_object', 't', B],
      ['events'],
    ],
    [
      [
        ['write', A, []],
        ['write', B, []],
        ['delete', A],
        ['delete', B],
      ],
    ],
  ),
  same(
    'subscribe/1',
    'A transaction is told when it is over; of a key of a set what it has come to',
    [
      create(),
      ['subscribe', 't'],
      [
        'held_dirty',
        [
          ['write', 't', A],
          ['write', 't', ['a', 3, 'z']],
        ],
        ['events'],
      ],
      ['events'],
      atomic(['delete', 't', 'a'], ['write', 't', B], ['abort', 'no']),
      ['events'],
    ],
    [[['atomic', ['ok', 'ok']], []], [['write', ['a', 3, 'z'], []]], ['aborted', 'no'], []],
  ),
  differs(
    'subscribe/1',
    'In a bag, what was there is all rows of the key',
    [BAG, ...written(A), ['subscribe', 't'], ...written(['a', 2, 'x']), ['events']],
    [[['write', ['a', 2, 'x'], [A]]]],
    [[['write', ['a', 2, 'x'], []]]],
    '`old` is the row that was replaced; a row more in a bag replaces none',
  ),
  differs(
    'subscribe/1',
    'The removal of a row is told even when it was not there',
    [create(), ['subscribe', 't'], ['dirty_delete_object', 't', A], ['events']],
    [[['delete', A]]],
    [[]],
    'events are of changes',
  ),
  differs(
    'subscribe/1',
    'That a table was cleared is told as a change of the schema',
    [create(), ...written(A), ['subscribe', 't'], ['clear_table', 't'], ['events']],
    [[]],
    [[['delete', A]]],
    'who follows a table learns of each row that goes',
  ),
  same(
    'unsubscribe/1',
    'No events come afterwards',
    [create(), ['subscribe', 't'], ...written(A), ['events'], ['unsubscribe', 't'], ...written(B), ['events']],
    [[['write', A, []]], []],
  ),
  same(
    'backup/1, restore/2',
    'By default a restored table has the rows of the backup and no others',
    [
      create({ copies: 'disc_copies' }),
      ...written(A, B),
      ['backup', 'f', ['t']],
      ...written(['a', 9, 'z'], C),
      ['dirty_delete', 't', 'b'],
      ['restore', 'f', 'clear_tables'],
      ['dirty_select', 't', 0],
    ],
    [[A, B]],
  ),
  differs(
    'backup/1',
    'Of ram copies it has the rows that were dumped to disc last',
    [
      create(),
      ...written(A),
      ['backup', 'f', ['t']],
      ['clear_table', 't'],
      ['restore', 'f', 'clear_tables'],
      ['dirty_read', 't', 'a'],
    ],
    [[]],
    [[A]],
    'all tables are saved as of one instant',
  ),
  same(
    'restore/2',
    'keep_tables leaves rows whose keys are not in the backup',
    [
      create({ copies: 'disc_copies' }),
      ...written(A, B),
      ['backup', 'f', ['t']],
      ...written(['a', 9, 'z'], C),
      ['restore', 'f', 'keep_tables'],
      ['dirty_select', 't', 0],
    ],
    [[A, B, C]],
  ),
  same(
    'restore/2',
    'skip_tables leaves tables alone',
    [
      create(),
      ...written(A),
      ['backup', 'f', ['t']],
      ['dirty_delete', 't', 'a'],
      ['restore', 'f', 'skip_tables'],
      ['table_info', 't', 'size'],
    ],
    [0],
  ),
  same(
    'restore/2',
    'A bag comes back with all its rows',
    [
      create({ copies: 'disc_copies', type: 'bag' }),
      ...written(A, ['a', 2, 'x']),
      ['backup', 'f', ['t']],
      ['dirty_delete_object', 't', A],
      ['restore', 'f', 'clear_tables'],
      ['dirty_read', 't', 'a'],
    ],
    [[A, ['a', 2, 'x']]],
  ),
  same(
    'dump_to_textfile/1, load_textfile/1',
    'Tables as text come back as they were',
    [
      ORDERED,
      ['create_table', 'u', { type: 'bag' }],
      ...written(A, B, ['c', -3, 'é"\n']),
      ['dirty_write', 'u', A],
      ['dirty_write', 'u', ['a', 2, 'x']],
      ['dump_to_textfile', 'f'],
      ['clear_table', 't'],
      ['clear_table', 'u'],
      ['load_textfile', 'f'],
      ['dirty_match_object', 't', [null, null, null]],
      ['dirty_read', 'u', 'a'],
    ],
    [
      [A, B, ['c', -3, 'é"\n']],
      [A, ['a', 2, 'x']],
    ],
  ),
]

const NONE: readonly Statement[] = [
  none(
    'activity/4',
    'Runs a function whose operations are dirty, or a transaction, by what it is told',
    '`Table` has the dirty operations and `Transaction` those of a transaction: the compiler tells them apart',
  ),
  none(
    'change_table_access_mode/2',
    'A table can be made read-only',
    'not there: the code that owns a table writes it',
  ),
  none('change_table_load_order/2', 'Tables load in an order', 'all tables of a disc are read before any is served'),
  none(
    'change_table_majority/2',
    'Writes of a table need a majority',
    '`majority` is of a transaction, since only transactions ask anybody before they write',
  ),
  none(
    'activate_checkpoint/1, backup_checkpoint/2, deactivate_checkpoint/1',
    'The state of some tables can be kept while they change',
    '`backup` takes its own, of any tables',
  ),
  none(
    'install_fallback/1, uninstall_fallback/0',
    'The next start begins with a backup',
    '`restore` writes it into tables that run, and the cluster goes on',
  ),
  none(
    'traverse_backup/4',
    'A backup is read and rewritten row by row',
    '`traverseBackup`, `rewriteBackup`: [backup.test.ts](../test/mnesia/backup/backup.test.ts)',
  ),
  none(
    'create_schema/1, delete_schema/1',
    'A database is made on disc before the first start',
    'a node makes its own at its first start',
  ),
  none(
    'dump_log/0, dump_tables/1',
    'The log is brought into the tables',
    'the store does so by itself, see [mnesia-disc.md](mnesia-disc.md)',
  ),
  none(
    'dirty_update_counter/3',
    'Adds to a number without a transaction',
    'two nodes that did it at the same time would lose one of the two; a transaction, or a table with `merge`, does not',
  ),
  none('dirty_slot/2', 'Goes through a table slot by slot', '`select` with `limit` and `after`'),
  none(
    'select/4, select/1',
    'Matches come in parts',
    'the same of `Table`; in a transaction the table is locked anyhow',
  ),
  none('foldr/3', 'Goes through all rows from the last to the first', '`fold` and an array'),
  none(
    'lock/2, sticky locks, s_write/1',
    'A node may keep a lock for later',
    'a lock has its home by hash, and costs a message to it',
  ),
  none(
    'transform_table/3',
    'All rows of a table are changed to another record',
    'rows have named fields, and fields that are not known are kept: members of two releases run side by side',
  ),
  none(
    'disc_only_copies, mnesia_frag',
    'Tables that do not fit into memory',
    'a table is in memory; [performance.md](performance.md) says what a row costs',
  ),
  none(
    'snmp_open_table/2, table/2, read_table_property/2, user_properties',
    'SNMP, query list comprehensions, properties of tables',
    'not there',
  ),
  none('subscribe/1, {table, Tab, simple}', 'Events of a table without what was there before', 'events always have it'),
]

export const STATEMENTS: readonly Statement[] = [...TABLES, ...DIRTY, ...TRANSACTIONS, ...EVENTS_AND_FILES, ...NONE]
