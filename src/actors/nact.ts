/**
 * The only file that imports nact: an actor system, actors in it, and references, with the traps of nact 7 fenced in.
 *
 * nact gives every node its actor system, its lifecycle and its wake-ups: the scheduler is one nact actor. nact is not on
 * the path of a message, since a nact message costs an immediate, a promise and a context each (see scheduler.ts).
 * The fences: every actor has a name of its own (anonymous names collide), no handler throws into nact (a throw after a
 * stop would become an unhandled rejection), and sending to a reference that is gone is silent, as in Erlang.
 */
import { dispatch, type Ref, spawnStateless, start, stop } from 'nact'

/** A reference to a nact actor: a path, so a later actor of the same name answers to it as well. */
export type NactReference = Ref<unknown>

export interface NactSystem {
  readonly reference: NactReference
  /** Starts an actor that hands every message to `receive`; what `receive` throws goes to the system's `onError`. */
  spawn(name: string, receive: (message: unknown) => void): NactReference
}

/** Starts an actor system; its name has to be unique in the OS process. */
export function startNactSystem(name: string, onError: (error: unknown) => void): NactSystem {
  const reference = start(name)
  return {
    reference,
    spawn: (actorName, receive) =>
      spawnStateless(
        reference,
        (message: unknown) => {
          try {
            receive(message)
          } catch (error) {
            onError(error)
          }
        },
        actorName,
      ),
  }
}

/** Sends a message to a nact actor; nothing happens when it has stopped. */
export function dispatchToNact(to: NactReference, message: unknown): void {
  dispatch(to, message)
}

/** Stops an actor and its children, or a whole system by its own reference. */
export function stopNact(reference: NactReference): void {
  stop(reference)
}
