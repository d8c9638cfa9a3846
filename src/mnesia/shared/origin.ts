/**
 * Origins: incarnations of nodes, by which operations are numbered and stamps ordered.
 *
 * Every (node, epoch) that a replication has heard of is one object, so that stamps of millions of rows refer to it and comparing two
 * of them is comparing pointers. Its number is local to a node: it stands for it on this node's disc.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { hashOf } from '../rows/key-hash.ts'

export class Origin {
  readonly node: string
  readonly epoch: number
  /** Of this node alone. */
  readonly number: number
  /** The same on every node. */
  readonly hash: number

  constructor(node: string, epoch: number, number: number) {
    this.node = node
    this.epoch = epoch
    this.number = number
    this.hash = hashOf(`${node}/${epoch}`)
  }

  toString(): string {
    return `${this.node}/${this.epoch}`
  }
}

/** Any order will do as long as it is the same everywhere. */
export function compareOrigins(a: Origin, b: Origin): number {
  return a === b ? 0 : byCodeUnits(a.node, b.node) || a.epoch - b.epoch
}

/** Positive when the first of two stamps is the later one. */
export function compareStamps(aClock: number, aOrigin: Origin, bClock: number, bOrigin: Origin): number {
  return aClock !== bClock ? aClock - bClock : compareOrigins(aOrigin, bOrigin)
}

export class Origins {
  readonly #byName = new Map<string, Map<number, Origin>>()
  readonly #byNumber: Origin[] = []

  /** The one object of an origin. */
  of(node: string, epoch: number): Origin {
    let epochs = this.#byName.get(node)
    if (epochs === undefined) {
      epochs = new Map()
      this.#byName.set(node, epochs)
    }
    let origin = epochs.get(epoch)
    if (origin === undefined) {
      origin = new Origin(node, epoch, this.#byNumber.length)
      this.#byNumber.push(origin)
      epochs.set(epoch, origin)
    }
    return origin
  }

  /** All of them, by number. */
  get all(): readonly Origin[] {
    return this.#byNumber
  }
}
