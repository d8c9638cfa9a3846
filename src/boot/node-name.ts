/**
 * Node names: what `--name` may be.
 *
 * A long name is NAME@HOST where HOST is an IP address or has a dot [OTP net_kernel, longnames]. OTP also starts a node
 * whose host cannot be resolved; it can dial out and nobody can dial in, so here such a name is refused. A host without
 * a dot that does resolve is taken with a warning, as nodes elsewhere may not resolve it.
 */
import { parseAddress } from '../broker/ip.ts'

/** Answers the addresses of a host; rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** Whether a name may be a node's, and what to tell the user. */
export type NameCheck =
  | { readonly ok: true; readonly warning: string | undefined }
  | { readonly ok: false; readonly problem: string }

/** Checks a node name; `resolve` is asked only for hosts that are no address. */
export async function checkNodeName(name: string, resolve: Resolve): Promise<NameCheck> {
  const at = name.indexOf('@')
  if (at < 0) {
    const problem = `the node name ${name} has no host: write --name ${name}@127.0.0.1, or another address or host name with a dot`
    return { ok: false, problem }
  }
  const [short, host] = [name.slice(0, at), name.slice(at + 1)]
  if (!/^[0-9A-Za-z_-]+$/.test(short)) {
    return {
      ok: false,
      problem: `the node name ${name} must be NAME@HOST, where NAME has only letters, digits, _ and -`,
    }
  }
  if (parseAddress(host) !== undefined) return { ok: true, warning: undefined }
  if (!/^[0-9A-Za-z_.-]+$/.test(host)) {
    return { ok: false, problem: `the node name ${name} must be NAME@HOST, where HOST is an IP address or a host name` }
  }
  try {
    await resolve(host)
  } catch {
    return {
      ok: false,
      problem: `the host of the node name ${name} does not resolve: no other node could reach this one`,
    }
  }
  if (host.includes('.')) return { ok: true, warning: undefined }
  return {
    ok: true,
    warning: `the host of ${name} should be an IP address or have a dot, so that every node resolves it`,
  }
}
