/**
 * The group leader of a process: in Erlang the process that does its input and output [OTP erlang:group_leader/2].
 *
 * Processes here write to the log and have none of their own, so it is only kept for who asks: nodes set it for what they start
 * here, and observers show it. It is in the process dictionary, since few processes have one.
 */
import type { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'

const GROUP_LEADER = 'group_leader'

export function setGroupLeader(process: Process, leader: Pid): void {
  process.dictionary ??= new Map()
  process.dictionary.set(GROUP_LEADER, leader)
}

/** That of a process that was given none is `init`. */
export function groupLeaderOf({ dictionary, runtime }: Process): Pid {
  return (dictionary?.get(GROUP_LEADER) as Pid | undefined) ?? runtime.init.pid
}
