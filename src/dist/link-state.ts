/**
 * The links between the processes of this node and those of one peer [erts, Distribution Protocol, "Link Protocol"].
 *
 * A link has two ends that can be linked and unlinked at the same time, so each end keeps an active flag and, from its unlink
 * until that is acknowledged, the id of the unlink. A LINK that comes in between was sent before the peer knew of the
 * unlink and is ignored; a link that is made again meanwhile counts at once. Pure: no I/O.
 */
import type { Pid } from '../actors/pid.ts'
import type { UnlinkId } from './control.ts'

export interface Link {
  /** The process of this node. */
  readonly local: Pid
  /** The process of the peer. */
  readonly remote: Pid
  active: boolean
  /** Of our unlink that is not acknowledged yet. */
  unlinkId: UnlinkId | undefined
}

export class LinkTable {
  readonly #links = new Map<string, Link>()
  #lastUnlinkId = 0

  /** Links that are active or not yet acknowledged as gone. */
  get size(): number {
    return this.#links.size
  }

  /** A process of this node links. Returns whether a LINK is to be sent. */
  link(local: Pid, remote: Pid): boolean {
    const link = this.#get(local, remote)
    if (link?.active) return false
    if (link === undefined) this.#add(local, remote)
    else link.active = true
    return true
  }

  /** A process of this node unlinks. Returns the id of the UNLINK_ID to be sent, undefined when there is no link. */
  unlink(local: Pid, remote: Pid): UnlinkId | undefined {
    const link = this.#get(local, remote)
    if (!link?.active) return undefined
    link.active = false
    link.unlinkId = ++this.#lastUnlinkId
    return link.unlinkId
  }

  /** The local end of a link died. Returns whether the peer is to be told. */
  localExited(local: Pid, remote: Pid): boolean {
    return this.#end(local, remote)
  }

  /** A LINK came in. Returns whether a link is new; to be taken back with `refuse` when the process is not alive. */
  linkReceived(remote: Pid, local: Pid): boolean {
    if (this.#get(local, remote) !== undefined) return false
    this.#add(local, remote)
    return true
  }

  /** Takes back what `linkReceived` added. */
  refuse(remote: Pid, local: Pid): void {
    this.#links.delete(keyOf(local, remote))
  }

  /** An UNLINK_ID came in, which is acknowledged in any case. Returns whether an active link ended. */
  unlinkReceived(remote: Pid, local: Pid): boolean {
    return this.#end(local, remote)
  }

  acknowledged(remote: Pid, local: Pid, id: UnlinkId): void {
    const link = this.#get(local, remote)
    // Another id is that of an earlier unlink: the link was made and unlinked again since.
    if (link === undefined || link.unlinkId !== id) return
    link.unlinkId = undefined
    if (!link.active) this.#links.delete(keyOf(local, remote))
  }

  /** An exit signal came in by a link. Returns whether it counts: only when the link is active here. */
  exitReceived(remote: Pid, local: Pid): boolean {
    return this.#end(local, remote)
  }

  /** Forgets everything and returns the links that were active: the connection is lost. */
  clear(): Link[] {
    const active = [...this.#links.values()].filter((link) => link.active)
    this.#links.clear()
    return active
  }

  #end(local: Pid, remote: Pid): boolean {
    const link = this.#get(local, remote)
    if (!link?.active) return false
    link.active = false
    if (link.unlinkId === undefined) this.#links.delete(keyOf(local, remote))
    return true
  }

  #get(local: Pid, remote: Pid): Link | undefined {
    return this.#links.get(keyOf(local, remote))
  }

  #add(local: Pid, remote: Pid): void {
    this.#links.set(keyOf(local, remote), { local, remote, active: true, unlinkId: undefined })
  }
}

function keyOf(local: Pid, remote: Pid): string {
  // The node of either pid is fixed: this node's incarnation, and the peer.
  return `${local.id}.${local.serial}/${remote.creation}.${remote.id}.${remote.serial}`
}
