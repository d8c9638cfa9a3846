/**
 * How the processes that stand for a node speak of connections and answer other nodes: over the connection that there is, or not at all.
 *
 * The connection may end between a question and its answer, or before it is told that it is up. To say it then would connect the nodes
 * again, and undo a disconnect. Nobody waits for it either: whoever calls monitors, and was told `noconnection`. OTP's net_kernel
 * answers so, its pg and most of what its global says are sent so. Servers of users answer as OTP's gen_server does, which
 * connects: a call that was passed on is answered by a node that the caller may have no connection to.
 */
import { type From, reply } from '../actors/gen.ts'
import { type CallResult, noreply } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import type { SendOptions } from '../actors/signal.ts'

/** [OTP erlang:send/3, noconnect] */
export const NOCONNECT: SendOptions = { noconnect: true }

/** Answers a call, unless its node is not connected any more [OTP net_kernel:async_reply/2]. */
export function asyncReply<R, S>(self: ProcessContext, from: From, value: R, state: S): CallResult<R, S> {
  reply(self, from, value, NOCONNECT)
  return noreply(state)
}
