/** The commands that every node has, in the order in which `help` shows them. */
import { CommandTable } from './command-table.ts'
import { acl, alarms } from './commands/access.ts'
import { bridges } from './commands/bridges.ts'
import { broker } from './commands/broker.ts'
import { clients } from './commands/clients.ts'
import { cluster } from './commands/cluster.ts'
import { data } from './commands/data.ts'
import { listeners } from './commands/listeners.ts'
import { mnesia } from './commands/mnesia.ts'
import { plugins } from './commands/plugins.ts'
import { ping, restart, stop } from './commands/program.ts'
import { retained } from './commands/retained.ts'
import { routes, topics } from './commands/routes.ts'
import { sessions } from './commands/sessions.ts'
import { status } from './commands/status.ts'
import { subscriptions } from './commands/subscriptions.ts'
import { trace } from './commands/trace.ts'
import { users } from './commands/users.ts'
import { vm } from './commands/vm.ts'

const COMMANDS = [
  ...[status, ping, stop, restart],
  ...[broker, cluster, users, clients, sessions, routes, topics, subscriptions, retained, data, plugins, bridges],
  ...[vm, mnesia, trace, acl, alarms, listeners],
]

/** A new table with all commands; modules of other layers add theirs. */
export function commandTable(): CommandTable {
  const table = new CommandTable()
  for (const command of COMMANDS) table.register(command)
  return table
}
