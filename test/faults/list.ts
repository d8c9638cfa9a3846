/** All deliberate faults. docs/simulation.md says what catches each. */
import type { Fault } from './fault.ts'
import { DIRECTORY_FAULTS } from './lists/directory.ts'
import { FORWARDING_FAULTS } from './lists/forwarding.ts'
import { GROUP_FAULTS } from './lists/groups.ts'
import { MOVE_FAULTS } from './lists/moves.ts'
import { ROUTING_FAULTS } from './lists/routing.ts'
import { SESSION_FAULTS } from './lists/sessions.ts'
import { STORAGE_FAULTS } from './lists/storage.ts'

export const FAULTS: readonly Fault[] = [
  ...ROUTING_FAULTS,
  ...GROUP_FAULTS,
  ...SESSION_FAULTS,
  ...STORAGE_FAULTS,
  ...FORWARDING_FAULTS,
  ...DIRECTORY_FAULTS,
  ...MOVE_FAULTS,
]
