/** What the mesh processes of our nodes say to each other; see mesh.ts. */
import { type Atom, atom, type Tuple, tuple } from './term.ts'

/** Registered name of the process. */
export const MESH = 'agner_mesh'

export const PEERS: Atom = atom('peers')
export const BYE: Atom = atom('bye')

/** `{peers, Node, [Peer]}`: the sender is one of ours, and so are these. */
export function peersMessage(node: string, peers: readonly string[]): Tuple {
  return tuple(PEERS, atom(node), peers.map(atom))
}

/** `{bye, Node}`: the sender ends the connection on purpose. */
export function byeMessage(node: string): Tuple {
  return tuple(BYE, atom(node))
}
