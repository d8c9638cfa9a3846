/** Commands about tables: which there are, and their rows, a page at a time. */
import { withView } from '../print/view.ts'
import type { TableQuery, TableRow } from '../rows.ts'
import { ObserverError } from '../target.ts'
import { count, options, tableRef, word } from './arguments.ts'
import type { CommandContext, CommandGroup } from './command.ts'
import { page } from './processes.ts'

export const tableCommands: CommandGroup = {
  title: 'Tables',
  commands: [
    {
      name: 'tables',
      params: '()',
      help: 'ets tables and replicated tables, with their sizes',
      run: async (context) => page(await (await context.source()).tables(), 'tables'),
    },
    {
      name: 'tableInfo',
      params: '(table)',
      help: 'what is known of one',
      run: async (context, table): Promise<TableRow> => {
        const found = await (await context.source()).table(tableRef(table))
        if (found === undefined) throw missing(context, table)
        return found
      },
    },
    {
      name: 'tv',
      params: '(table, { limit, match, after }?)',
      help: 'its rows; match: text in the key, or { property: value }',
      run: async (context, table, choice) => {
        const { limit, match, after } = options(choice, ['limit', 'match', 'after'])
        const query: TableQuery = {
          limit: count(limit, 'limit', 50),
          ...(match === undefined ? {} : { match: match as NonNullable<TableQuery['match']> }),
          ...(after === undefined ? {} : { after: word(after, 'after') }),
        }
        const found = await (await context.source()).rows(tableRef(table), query)
        if (found === undefined) throw missing(context, table)
        const { rows, total, next, scanned } = found
        const looked = match === undefined ? '' : `, ${scanned} looked at`
        const more = next === undefined ? '' : `; { after: '${next}' } goes on`
        const list = Object.defineProperty([...rows], 'next', { value: next })
        return withView(list, { note: `${rows.length} of ${total} rows${looked}${more}` })
      },
    },
  ],
}

function missing({ target }: CommandContext, table: unknown): ObserverError {
  return new ObserverError(`${target.node} has no table ${String(table)} that others may read`, 'badarg')
}
