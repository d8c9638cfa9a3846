/**
 * How the parts of a node that replicate talk to their counterparts on other members.
 *
 * One process on each node, registered as `mnesia`, holds a link to each connected member: a node of the same cluster, that both
 * sides list as a member, whose greeting has been exchanged over the current connection. Messages between two nodes arrive
 * in the order in which they were sent, and none arrives before `up` or after `down` of that link. A part registers under a name and gets what its counterpart of the same name sends.
 */

/** A connected member. */
export interface ConnectedMember {
  readonly node: string
  /** Of its incarnation: grows with every start of that node, for ever. */
  readonly epoch: number
  /** Version of the protocol that both sides speak. */
  readonly protocol: number
}

/** A part's counterpart on a connected member. A new object for each connection and part. */
export interface Peer extends ConnectedMember {
  /** Plain data, bytes included. Never waits and never fails; lost when the link goes down. */
  send(message: { readonly tag: string }): void
}

/** A part that talks to its counterparts. None of these may throw. */
export interface LinkHandler {
  up(peer: Peer): void
  /** `message` comes from another node, so nothing about it is certain but its tag. */
  receive(peer: Peer, message: { readonly tag: string }): void
  down(peer: Peer): void
  /** The list of members is another one. */
  membersChanged?(): void
}

/** Who this node is, and who the members are. */
export interface Links {
  readonly node: string
  readonly epoch: number
  /** All members, this node and those that are down included, sorted. */
  members(): readonly string[]
  /** Connected members, without this node. */
  connected(): readonly ConnectedMember[]
  /** Registers a part; a link that is up already is told at once. */
  handle(part: string, handler: LinkHandler): void
  /** Calls `flush` once at the end of the scheduler's turn: for what is sent once a turn. */
  atTurnEnd(flushable: { flush(): void }): void
  /** ms, virtual in a simulation. */
  now(): number
  setTimer(ms: number, callback: () => void): () => void
}
