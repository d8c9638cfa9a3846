/**
 * What a command returns: the promise of its value, with the methods of a list, so that `i().filter(...)` can be typed as if the
 * rows were there already.
 */
type Callback = (value: unknown, index: number) => unknown

export class Pending extends Promise<unknown> {
  static from(promise: Promise<unknown>): Pending {
    return new Pending((resolve) => resolve(promise))
  }

  filter(keep: Callback): Pending {
    return this.#list((list) => list.filter(keep))
  }

  map(change: Callback): Pending {
    return this.#list((list) => list.map(change))
  }

  flatMap(change: Callback): Pending {
    return this.#list((list) => list.flatMap(change))
  }

  slice(from?: number, to?: number): Pending {
    return this.#list((list) => list.slice(from, to))
  }

  sort(compare?: (a: unknown, b: unknown) => number): Pending {
    return this.#list((list) => [...list].sort(compare))
  }

  find(is: Callback): Pending {
    return this.#list((list) => list.find(is))
  }

  some(is: Callback): Pending {
    return this.#list((list) => list.some(is))
  }

  every(is: Callback): Pending {
    return this.#list((list) => list.every(is))
  }

  at(index: number): Pending {
    return this.#list((list) => list.at(index))
  }

  reduce(step: (sum: unknown, value: unknown, index: number) => unknown, initial?: unknown): Pending {
    return this.#list((list) => list.reduce(step, initial))
  }

  #list(use: (list: readonly unknown[]) => unknown): Pending {
    return Pending.from(
      this.then((value) => {
        if (!Array.isArray(value)) throw new TypeError('the value is no list')
        return use(value)
      }),
    )
  }
}
