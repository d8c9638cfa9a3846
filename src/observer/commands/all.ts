/** The commands that every observer has. Groups of other modules are added to the table: see `CommandTable.add`. */
import { clusterCommands } from './cluster.ts'
import { CommandTable } from './command.ts'
import { otpCommands } from './otp.ts'
import { processCommands } from './processes.ts'
import { sendCommands } from './send.ts'
import { systemCommands } from './system.ts'
import { tableCommands } from './tables.ts'

/** A new table of commands. */
export function observerCommands(): CommandTable {
  return new CommandTable()
    .add(clusterCommands)
    .add(processCommands)
    .add(otpCommands)
    .add(sendCommands)
    .add(tableCommands)
    .add(systemCommands)
}
