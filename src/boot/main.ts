/** The program behind bin/node: starts a node in the real world, and leaves with its exit code. */
import { boot } from './boot.ts'
import { realWorld } from './world.ts'

process.exitCode = await boot(realWorld())
process.exit()
