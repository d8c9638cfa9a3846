/**
 * Sequences of steps that may each be synchronous or a promise.
 *
 * A generator yields what may be a promise by `yield* settled(value)`; `runSteps` goes on at once as long as none is, and by
 * way of the promise when one is. So starting a tree whose children start synchronously needs no promise at all, and the same
 * code serves children that do.
 */

/** A sequence of steps with a result. */
export type Steps<T> = Generator<PromiseLike<unknown>, T, unknown>

/** The value itself, or that of the promise. */
export function* settled<T>(value: T | PromiseLike<T>): Steps<T> {
  return isPromiseLike(value) ? ((yield value) as T) : value
}

/** Runs a sequence; returns a promise only when one of its steps was one. What it throws is thrown, or rejects. */
export function runSteps<T>(steps: Steps<T>): T | Promise<T> {
  const first = steps.next()
  return first.done ? first.value : finish(steps, first.value)
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

async function finish<T>(steps: Steps<T>, pending: PromiseLike<unknown>): Promise<T> {
  let waiting = pending
  for (;;) {
    let step: IteratorResult<PromiseLike<unknown>, T>
    try {
      step = steps.next(await waiting)
    } catch (thrown) {
      step = steps.throw(thrown)
    }
    if (step.done) return step.value
    waiting = step.value
  }
}
