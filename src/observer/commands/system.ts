/** Commands about the node as a whole, and help. */
import { atom, isTuple } from '../../dist/term.ts'
import { bytes, duration } from '../print/units.ts'
import { withView } from '../print/view.ts'
import { badArgument, word } from './arguments.ts'
import type { CommandGroup } from './command.ts'
import { helpText } from './help.ts'

export const systemCommands: CommandGroup = {
  title: 'System',
  commands: [
    {
      name: 'memory',
      params: '()',
      help: 'bytes of memory by what they are used for',
      run: async ({ source }) => {
        const used = await (await source()).memory()
        const size = (count: number): string => bytes(count)
        const rows = Object.entries(used).map(([kind, count]) => ({ kind, bytes: count, size: size(count) }))
        return rows
      },
    },
    {
      name: 'uptime',
      params: '()',
      help: 'how long the node has been running',
      run: async ({ target }) => {
        const clock = await target.rpc('erlang', 'statistics', [atom('wall_clock')])
        return duration(isTuple(clock, 2) ? Number(clock.elements[0]) : 0)
      },
    },
    {
      name: 'load',
      params: '()',
      help: 'how busy it is: part of the time, run queue, delays',
      run: async ({ source }) => (await source()).load(),
    },
    {
      name: 'help',
      params: '(command?)',
      help: 'this list, or one line',
      run: ({ session }, name) => {
        if (name === undefined) return withView({ text: helpText(session.commands, session.notes) }, { as: 'text' })
        const command = session.commands.find(typeof name === 'function' ? name.name : word(name, 'a command'))
        if (command === undefined) throw badArgument(`there is no command ${String(name)}: help() lists them`)
        return withView({ text: `${command.name}${command.params}  ${command.help}` }, { as: 'text' })
      },
    },
  ],
}
