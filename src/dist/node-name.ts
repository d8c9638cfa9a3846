/**
 * Node names: `NAME@HOST`, what `--name` and `--sname` may be, and which nodes may talk.
 *
 * A long name's HOST is an IP address or has a dot; a short name's has none [OTP net_kernel, longnames, shortnames]. Nodes
 * of the two kinds do not talk, as each could not resolve what the other is called. OTP also starts a node whose host
 * does not resolve: it can dial out and nobody can dial in, so here such a name is refused. A long name whose host has no
 * dot but does resolve is taken with a warning, and talks to nodes with short names.
 *
 * epmd knows a node by NAME alone, so n1@127.0.0.1 and n1@127.0.0.2 cannot both run on one machine.
 */
import { isLoopback, parseAddress } from './ip.ts'

/** Characters that a whole node name may have: Erlang keeps it as an atom. */
const MAX_NODE_NAME_LENGTH = 255

/** The two parts of a node name. */
export interface NodeName {
  /** Before the `@`: what epmd knows. */
  readonly short: string
  readonly host: string
}

/** Answers the addresses of a host; rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** Whether a name may be a node's, and what to tell the user. */
export type NameCheck =
  | { readonly ok: true; readonly name: string; readonly warning: string | undefined }
  | { readonly ok: false; readonly problem: string }

/** The parts of a well-formed node name, else undefined. Takes what a peer says as well: it costs nothing but the check. */
export function parseNodeName(name: string): NodeName | undefined {
  if (name.length > MAX_NODE_NAME_LENGTH) return undefined
  const match = /^([0-9A-Za-z_-]+)@([\x21-\x3f\x41-\x7e]+)$/.exec(name)
  return match === null ? undefined : { short: match[1]!, host: match[2]! }
}

/** Checks the name of `--name`; `resolve` is asked only for hosts that are no address. */
export async function checkNodeName(name: string, resolve: Resolve): Promise<NameCheck> {
  if (!name.includes('@')) {
    return refuse(
      `the node name ${name} has no host: write --name ${name}@127.0.0.1, or another address or host name with a dot`,
    )
  }
  const problem = formProblem(name)
  if (problem !== undefined) return refuse(problem)
  const { host } = parseNodeName(name)!
  if (parseAddress(host) !== undefined) return { ok: true, name, warning: undefined }
  if (!(await resolves(host, resolve))) return refuse(unresolved(name))
  if (host.includes('.')) return { ok: true, name, warning: undefined }
  return {
    ok: true,
    name,
    warning: `the host of ${name} should be an IP address or have a dot, so that every node resolves it`,
  }
}

/** Checks the name of `--sname`, NAME or NAME@HOST; without a host it gets the first part of `hostname`, the machine's. */
export async function checkShortNodeName(given: string, hostname: string, resolve: Resolve): Promise<NameCheck> {
  const name = given.includes('@') ? given : `${given}@${hostname.split('.', 1)[0]}`
  const problem = formProblem(name)
  if (problem !== undefined) return refuse(problem)
  const { host } = parseNodeName(name)!
  if (isLongHost(host)) {
    return refuse(`the host of the short node name ${name} must not have a dot or be an address: write --name ${name}`)
  }
  return (await resolves(host, resolve)) ? { ok: true, name, warning: undefined } : refuse(unresolved(name))
}

/** Whether two nodes may talk: both have long names, or both have hosts without a dot. False for what is no node name. */
export function canTalk(own: string, peer: string): boolean {
  const [mine, theirs] = [parseNodeName(own), parseNodeName(peer)]
  return mine !== undefined && theirs !== undefined && isLongHost(mine.host) === isLongHost(theirs.host)
}

/** What a node says when epmd already has its name, and leaves. */
export function nameInUse(name: string): string {
  return `the name ${name} seems to be in use by another node`
}

/** The address that a node listens on unless it is told: its own when that is a loopback address, else all (`::`). */
export function listenHostOf(name: string): string {
  const host = parseNodeName(name)?.host ?? ''
  if (host === 'localhost') return '127.0.0.1'
  return isLoopback(host) ? host : '::'
}

function formProblem(name: string): string | undefined {
  if (name.length > MAX_NODE_NAME_LENGTH) {
    return `the node name ${name.slice(0, 20)}... is longer than ${MAX_NODE_NAME_LENGTH} characters`
  }
  const at = name.indexOf('@')
  const [short, host] = [name.slice(0, at), name.slice(at + 1)]
  if (!/^[0-9A-Za-z_-]+$/.test(short)) {
    return `the node name ${name} must be NAME@HOST, where NAME has only letters, digits, _ and -`
  }
  if (parseAddress(host) === undefined && !/^[0-9A-Za-z_.-]+$/.test(host)) {
    return `the node name ${name} must be NAME@HOST, where HOST is an IP address or a host name`
  }
  return undefined
}

function isLongHost(host: string): boolean {
  return host.includes('.') || host.includes(':')
}

async function resolves(host: string, resolve: Resolve): Promise<boolean> {
  try {
    return (await resolve(host)).length > 0
  } catch {
    return false
  }
}

function unresolved(name: string): string {
  return `the host of the node name ${name} does not resolve: no other node could reach this one`
}

function refuse(problem: string): NameCheck {
  return { ok: false, problem }
}
