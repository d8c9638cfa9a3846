/**
 * The side of bin/ctl that runs on a node: one exported function, `agner_ctl:run/1`.
 *
 * It takes the words of a command as a list of binaries and answers `{Ok, Lines, Json}`: whether it was a success, the lines for
 * people, and the same as JSON text. An Erlang node can call it as well:
 *
 *     rpc:call('n1@127.0.0.1', agner_ctl, run, [[<<"cluster">>, <<"status">>]]).
 */
import { badarg, type Exports } from '../dist/exports.ts'
import { text, tuple } from '../dist/term.ts'
import type { CtlContext } from './command.ts'
import type { CommandTable } from './command-table.ts'

/** Name of the module that other nodes call. */
export const CTL_MODULE = 'agner_ctl'

/** Lets other nodes that have the cookie run the commands of a table. */
export function exportCommands(exports: Exports, table: CommandTable, context: CtlContext): void {
  exports.register(CTL_MODULE, {
    'run/1': async (_call, words) => {
      if (!Array.isArray(words)) throw badarg()
      const texts = words.map(text)
      if (!texts.every((word) => word !== undefined)) throw badarg()
      const { ok, lines, data } = await table.run(context, texts)
      return tuple(ok, lines, JSON.stringify(data))
    },
  })
}
