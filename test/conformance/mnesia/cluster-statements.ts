/** As statements.ts, of what needs several nodes: `a`, `b` and `c` have a database in common, which begins without tables. */
import type { ClusterOperation, ClusterProgram, NodeName, Row, Step, TableOptions } from './program.ts'
import { differsFrom, sameAs, type Told } from './statements.ts'

/** A statement that has a program. */
export type ClusterStatement = Told<ClusterProgram>

const A: Row = ['a', 1, 'x']
const B: Row = ['b', 2, 'y']
const ON_ALL: TableOptions = { nodes: ['a', 'b', 'c'] }
const ON_DISC: TableOptions = { ...ON_ALL, copies: 'disc_copies' }
const ON_A: TableOptions = { nodes: ['a'] }
/** Of two transactions the older one waits and the younger one ends: numbers grow with the transactions of a node. */
const A_IS_OLDER: ClusterOperation = [
  'together',
  40,
  [
    ['b', [['read', 't', 'a']]],
    ['c', [['read', 't', 'a']]],
  ],
]

function create(options: TableOptions): ClusterOperation {
  return ['a', 'create_table', 't', options]
}

function loaded(node: NodeName): ClusterOperation {
  return [node, 'wait_for_tables', ['t'], 5000]
}

function atomic(node: NodeName, ...steps: readonly Step[]): ClusterOperation {
  return [node, 'transaction', steps]
}

const keys = (node: NodeName): ClusterOperation => [node, 'dirty_all_keys', 't']
const all = (...nodes: readonly NodeName[]): ClusterOperation[] => nodes.map(keys)
const stop = (...nodes: readonly NodeName[]): ClusterOperation[] => nodes.map((node) => ['stop', node])
const start = (node: NodeName): ClusterOperation => ['start', node]
const write = (node: NodeName, row: Row): ClusterOperation => [node, 'dirty_write', 't', row]

const same = sameAs<ClusterProgram>
const differs = differsFrom<ClusterProgram>

const COPIES: readonly ClusterStatement[] = [
  same(
    'dirty_write/2, dirty_delete/2',
    'What one node writes or removes is so on all that have a copy',
    [create(ON_ALL), write('a', A), keys('b'), ['c', 'dirty_delete', 't', 'a'], ...all('a', 'b')],
    [['a'], [], []],
  ),
  same(
    'dirty_write/2, write/3',
    'A node without a copy writes to those that have one',
    [create(ON_A), write('c', A), atomic('c', ['write', 't', B]), keys('a')],
    [
      ['atomic', ['ok']],
      ['a', 'b'],
    ],
  ),
  differs(
    'dirty_read/2, read/3',
    'A node without a copy reads from one that has it',
    [create(ON_A), write('a', A), ['c', 'dirty_read', 't', 'a'], atomic('c', ['read', 't', 'a'])],
    [[A], ['atomic', [[A]]]],
    [
      ['aborted', 'no_copy'],
      ['aborted', 'no_copy'],
    ],
    'reads are direct and take no message; the error names the nodes that have a copy',
  ),
  differs(
    'create_table/2',
    'Without a list of nodes there is a copy where the table was created',
    [create({}), ['c', 'table_info', 't', 'ram_copies']],
    [['a']],
    [['a', 'b', 'c']],
    'every member has a copy unless told otherwise, so that a member can be lost',
  ),
  same(
    'table_info/2',
    'It is known everywhere who has a copy, and who of them runs',
    [
      create(ON_DISC),
      ...stop('b'),
      ['a', 'table_info', 't', 'disc_copies'],
      ['a', 'table_info', 't', 'where_to_write'],
      ['c', 'table_info', 't', 'where_to_read'],
      start('b'),
      loaded('b'),
      ['c', 'table_info', 't', 'where_to_write'],
    ],
    [['a', 'b', 'c'], ['a', 'c'], 'c', ['a', 'b', 'c']],
  ),
  same(
    'system_info/1',
    'Members, and those that run',
    [...stop('b'), ['a', 'system_info', 'db_nodes'], ['a', 'system_info', 'running_db_nodes'], start('b')],
    [
      ['a', 'b', 'c'],
      ['a', 'c'],
    ],
  ),
  same(
    'add_table_copy/3',
    'Another node gets a copy, with the rows, from anywhere',
    [
      create(ON_A),
      write('a', A),
      ['c', 'add_table_copy', 't', 'b', 'disc_copies'],
      keys('b'),
      ['a', 'table_info', 't', 'ram_copies'],
      ['a', 'table_info', 't', 'disc_copies'],
      ['b', 'table_info', 't', 'where_to_read'],
    ],
    [['a'], ['a'], ['b'], 'b'],
  ),
  same(
    'add_table_copy/3',
    'A table that does not exist has no copies; a copy of another type is not added to one that is there',
    [create(ON_A), ['a', 'add_table_copy', 'u', 'b', 'ram_copies'], ['b', 'add_table_copy', 't', 'a', 'disc_copies']],
    [
      ['aborted', 'no_exists'],
      ['aborted', 'already_exists'],
    ],
  ),
  differs(
    'add_table_copy/3',
    'Nor is one of the same type',
    [create(ON_A), ['b', 'add_table_copy', 't', 'a', 'ram_copies']],
    [['aborted', 'already_exists']],
    [],
    'what is asked for is so',
  ),
  same(
    'del_table_copy/2',
    'A copy goes, the others stay',
    [
      create(ON_ALL),
      write('a', A),
      ['a', 'del_table_copy', 't', 'b'],
      ['b', 'table_info', 't', 'ram_copies'],
      ['b', 'table_info', 't', 'where_to_write'],
      ...all('a', 'c'),
    ],
    [['a', 'c'], ['a', 'c'], ['a'], ['a']],
  ),
  same(
    'del_table_copy/2',
    'The table ends with its last copy',
    [create(ON_A), write('a', A), ['b', 'del_table_copy', 't', 'a'], ['a', 'table_info', 't', 'type'], write('c', A)],
    [
      ['aborted', 'no_exists'],
      ['aborted', 'no_exists'],
    ],
  ),
  differs(
    'del_table_copy/2, change_table_copy_type/3',
    'A copy that is not there can be neither deleted nor changed',
    [create(ON_A), ['a', 'del_table_copy', 't', 'b'], ['a', 'change_table_copy_type', 't', 'disc_copies', 'b']],
    [
      ['aborted', 'badarg'],
      ['aborted', 'badarg'],
    ],
    [['aborted', 'no_exists']],
    'of a delete, what is asked for is so; of a change, the reason says what is missing',
  ),
  same(
    'move_table_copy/3',
    'A copy moves with its rows and its type',
    [
      create({ ...ON_A, copies: 'disc_copies' }),
      write('a', A),
      ['c', 'move_table_copy', 't', 'a', 'b'],
      keys('b'),
      ['a', 'table_info', 't', 'disc_copies'],
    ],
    [['a'], ['b']],
  ),
  same(
    'change_table_copy_type/3',
    'The copy of another node is brought to disc, where it outlives all nodes',
    [
      create(ON_ALL),
      write('a', A),
      ['a', 'change_table_copy_type', 't', 'disc_copies', 'b'],
      ['c', 'table_info', 't', 'disc_copies'],
      ['c', 'table_info', 't', 'ram_copies'],
      ...stop('a', 'c', 'b'),
      start('b'),
      loaded('b'),
      start('a'),
      loaded('a'),
      start('c'),
      loaded('c'),
      ...all('b', 'a'),
    ],
    [['b'], ['a', 'c'], ['a'], ['a']],
  ),
]

const TABLES: readonly ClusterStatement[] = [
  same(
    'create_table/2, delete_table/1',
    'A table that one node creates is there for all, and gone when another one deletes it',
    [create(ON_DISC), write('c', A), keys('b'), ['b', 'delete_table', 't'], ['c', 'dirty_read', 't', 'a']],
    [['a'], ['aborted', 'no_exists']],
  ),
  same(
    'create_table/2',
    'A member that was down meanwhile learns of it',
    [
      ...stop('b'),
      create({ nodes: ['a', 'c'], copies: 'disc_copies' }),
      write('a', A),
      start('b'),
      ['b', 'table_info', 't', 'where_to_write'],
      write('b', B),
      keys('c'),
    ],
    [
      ['a', 'c'],
      ['a', 'b'],
    ],
  ),
  differs(
    'create_table/2',
    'A table cannot have a copy on a node that is down',
    [...stop('b'), create(ON_DISC), start('b')],
    [['aborted', 'not_active']],
    [],
    'the schema is rows that merge, so a member that is down learns of it when it starts',
  ),
  differs(
    'delete_table/1, del_table_copy/2, add_table_index/2',
    'Nothing is changed in a table while a node that has it on disc is down',
    [
      create(ON_DISC),
      ...stop('b'),
      ['a', 'add_table_index', 't', 'w'],
      ['a', 'del_table_copy', 't', 'b'],
      ['a', 'delete_table', 't'],
      start('b'),
      loaded('b'),
      ['b', 'system_info_tables'],
    ],
    [['aborted', 'not_active'], ['aborted', 'not_active'], ['aborted', 'not_active'], ['t']],
    [['timeout', ['t']], []],
    'the schema is rows that merge, so a member that is down learns of it when it starts',
  ),
  same(
    'clear_table/1',
    'All rows go on all nodes, also on one that is down',
    [
      create(ON_DISC),
      write('a', A),
      ...stop('c'),
      ['b', 'clear_table', 't'],
      ...all('a', 'b'),
      start('c'),
      loaded('c'),
      keys('c'),
    ],
    [[], [], []],
  ),
  same(
    'add_table_index/2, del_table_index/2',
    'An index comes and goes on all nodes',
    [
      create(ON_ALL),
      write('a', A),
      ['b', 'add_table_index', 't', 'w'],
      ['c', 'dirty_index_read', 't', 'x', 'w'],
      ['a', 'del_table_index', 't', 'w'],
      ['c', 'table_info', 't', 'index'],
    ],
    [[A], []],
  ),
  same(
    'create_table/2, local_content',
    'Each node has rows of its own',
    [create({ ...ON_ALL, local_content: true }), write('a', A), write('b', B), ...all('a', 'b', 'c')],
    [['a'], ['b'], []],
  ),
]

const TRANSACTIONS: readonly ClusterStatement[] = [
  same(
    'transaction/1',
    'A transaction sees what those of other nodes have written',
    [
      create(ON_ALL),
      atomic('a', ['write', 't', A]),
      atomic('b', ['add', 't', 'a', 5]),
      atomic('c', ['read', 't', 'a']),
    ],
    [
      ['atomic', ['ok']],
      ['atomic', ['ok']],
      ['atomic', [[['a', 6, '']]]],
    ],
  ),
  same(
    'transaction/1',
    'Transactions of several nodes at the same time come out as if one had run after the other',
    [
      create(ON_ALL),
      [
        'together',
        10,
        [
          ['a', [['add', 't', 'n', 1]]],
          ['b', [['add', 't', 'n', 1]]],
          ['c', [['add', 't', 'n', 1]]],
        ],
      ],
      ['a', 'dirty_read', 't', 'n'],
      ['c', 'dirty_read', 't', 'n'],
    ],
    [['ok', 'ok', 'ok'], [['n', 30, '']], [['n', 30, '']]],
  ),
  same(
    'transaction/2',
    'Rows are locked for the transactions of all nodes: two may read the same, and write different rows',
    [
      create(ON_ALL),
      A_IS_OLDER,
      ['a', 'held_at', [['read', 't', 'a']], 'b', [['read', 't', 'a']]],
      ['a', 'held_at', [['write', 't', A]], 'c', [['write', 't', B]]],
    ],
    [
      ['ok', 'ok'],
      [
        ['atomic', [[]]],
        ['atomic', [[]]],
      ],
      [
        ['atomic', ['ok']],
        ['atomic', ['ok']],
      ],
    ],
  ),
  same(
    'transaction/2',
    'And not write the same',
    [create(ON_ALL), A_IS_OLDER, ['a', 'held_at', [['write', 't', A]], 'b', [['write', 't', ['a', 2, 'y']]]]],
    [
      ['ok', 'ok'],
      [
        ['atomic', ['ok']],
        ['aborted', 'too_many_retries'],
      ],
    ],
  ),
  same(
    'transaction/1',
    'It goes on while a member is down, which gets what was written, in memory and on disc',
    [
      create(ON_DISC),
      ['a', 'create_table', 'u', ON_ALL],
      write('a', A),
      ...stop('b'),
      atomic('c', ['write', 't', B], ['write', 'u', B], ['delete', 't', 'a']),
      start('b'),
      ['b', 'wait_for_tables', ['t', 'u'], 5000],
      keys('b'),
      ['b', 'dirty_all_keys', 'u'],
    ],
    [['atomic', ['ok', 'ok', 'ok']], ['b'], ['b']],
  ),
]

const EVENTS: readonly ClusterStatement[] = [
  same(
    'subscribe/1, {table, Tab, detailed}',
    'What other nodes write is told as well, with what it replaced',
    [
      create(ON_ALL),
      ['b', 'subscribe', 't'],
      write('a', A),
      write('c', ['a', 2, 'z']),
      ['a', 'dirty_delete', 't', 'a'],
      atomic('a', ['write', 't', B]),
      ['b', 'events'],
    ],
    [
      ['atomic', ['ok']],
      [
        ['write', A, []],
        ['write', ['a', 2, 'z'], [A]],
        ['delete', ['a', 2, 'z']],
        ['write', B, []],
      ],
    ],
  ),
  differs(
    'subscribe/1, {table, Tab, detailed}',
    'A node without a copy cannot follow a table',
    [create(ON_A), ['b', 'subscribe', 't']],
    [['aborted', '{not_active_local,t}']],
    [],
    'it hears nothing until it has a copy, and all from then on',
  ),
  same(
    'subscribe/1, system',
    'That a member stops and starts is told',
    [['a', 'subscribe_system'], ...stop('b'), ['a', 'system_events', 1], start('b'), ['a', 'system_events', 1]],
    [[['mnesia_down', 'b']], [['mnesia_up', 'b']]],
  ),
]

const LOADING: readonly ClusterStatement[] = [
  same(
    'wait_for_tables/2',
    'Of nodes that have stopped the last one serves alone, with what it had',
    [create(ON_DISC), ...stop('c', 'a'), write('b', B), ...stop('b'), start('b'), loaded('b'), keys('b')],
    [['b']],
  ),
  differs(
    'wait_for_tables/2',
    'Another one waits for it, and has its rows when it is there',
    [
      create(ON_DISC),
      ...stop('c', 'a'),
      write('b', B),
      ...stop('b'),
      start('a'),
      ['a', 'wait_for_tables', ['t'], 100],
      start('b'),
      loaded('a'),
      keys('a'),
    ],
    [['timeout', ['t']], ['b']],
    [['b']],
    'the start waits 10 s; then the table is served, and `tableInfo` and an alarm say whose rows may be newer',
  ),
  differs(
    'dirty_read/2, dirty_write/2',
    'Before a table is loaded it is neither read nor written',
    [create(ON_DISC), write('a', A), ...stop('c', 'a', 'b'), start('a'), keys('a'), write('a', B)],
    [
      ['aborted', 'no_exists'],
      ['aborted', 'no_exists'],
    ],
    [['a']],
    'what is there can be read as soon as the disc has been, and what is written merges',
  ),
  differs(
    'force_load_table/1',
    'A node goes on with its own rows; what others wrote after it had stopped is lost when they start',
    [
      create(ON_DISC),
      write('a', A),
      ...stop('c', 'a'),
      write('b', B),
      ...stop('b'),
      start('a'),
      ['a', 'force_load_table', 't'],
      keys('a'),
      start('b'),
      loaded('b'),
      ...all('a', 'b'),
    ],
    [['a'], ['a'], ['a']],
    [['a'], ['a', 'b'], ['a', 'b']],
    'it merges: of each row the later one stays',
  ),
]

const APART: readonly ClusterOperation[] = [
  create(ON_DISC),
  ['cut', 'c'],
  write('c', ['k', 1, 'of c']),
  write('a', ['l', 1, 'of a']),
]

const PARTITIONS: readonly ClusterStatement[] = [
  differs(
    'subscribe/1, system',
    'Both sides hear that the other is down, and when it is back that the database is inconsistent; they stay apart',
    [
      create(ON_DISC),
      ['a', 'subscribe_system'],
      ['b', 'subscribe_system'],
      ['cut', 'c'],
      ['a', 'system_events', 1],
      ['mend', 'c'],
      ['a', 'system_events', 1],
      ['b', 'system_events', 2],
      ['a', 'system_info', 'running_db_nodes'],
    ],
    [
      [['mnesia_down', 'c']],
      [['inconsistent_database', 'running_partitioned_network', 'c']],
      [
        ['mnesia_down', 'c'],
        ['inconsistent_database', 'running_partitioned_network', 'c'],
      ],
      ['a', 'b'],
    ],
    [
      [['mnesia_down', 'c']],
      [
        ['mnesia_up', 'c'],
        ['inconsistent_database', 'running_partitioned_network', 'c'],
      ],
      [
        ['mnesia_down', 'c'],
        ['mnesia_up', 'c'],
        ['inconsistent_database', 'running_partitioned_network', 'c'],
      ],
      ['a', 'b', 'c'],
    ],
    'by `partitionPolicy: autoheal` they are linked and merge; by `manual` they stay apart until `heal`',
  ),
  differs(
    'start/0',
    'After a partition each side has its own rows, until one of them starts again and loses what it wrote',
    [...APART, ['mend', 'c'], ...all('a', 'c'), ...stop('c'), start('c'), loaded('c'), keys('c')],
    [['l'], ['k'], ['l']],
    [
      ['k', 'l'],
      ['k', 'l'],
      ['k', 'l'],
    ],
    'both sides merge: the losing side had acknowledged what it wrote',
  ),
  same(
    'set_master_nodes/1',
    'A node starts with the rows of its masters, and its own go',
    [
      ...APART,
      ['c', 'set_master_nodes', ['a']],
      ...stop('c'),
      ['mend', 'c'],
      start('c'),
      loaded('c'),
      ...all('c', 'a', 'b'),
      ['c', 'system_info', 'running_db_nodes'],
    ],
    [['l'], ['l'], ['l'], ['a', 'b', 'c']],
  ),
]

export const CLUSTER_STATEMENTS: readonly ClusterStatement[] = [
  ...COPIES,
  ...TABLES,
  ...TRANSACTIONS,
  ...EVENTS,
  ...LOADING,
  ...PARTITIONS,
]
