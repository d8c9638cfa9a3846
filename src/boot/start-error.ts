/** Turns what a listener's socket reports when it cannot be opened into one sentence that says what to change. */
import type { Config } from './config-file.ts'

/** The sentence for an error of the start; what is no error of a socket is told as it is. */
export function describeStartError(error: unknown, config: Config): string {
  const { code, address, port, message } = (error instanceof Error ? error : new Error(String(error))) as Error & {
    code?: string
    address?: string
    port?: number
  }
  const reason = code === undefined ? undefined : REASONS[code]
  if (reason === undefined) return `the node cannot start: ${message}`
  const { tcp } = config.listeners
  const where = `${address ?? tcp.host}:${port ?? tcp.port}`
  return `the listener tcp cannot listen on ${where}: ${reason}`
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; end the program that has it, or choose another with --set listeners.tcp.port=PORT',
  EACCES: 'this user may not; choose a port above 1023 with --set listeners.tcp.port=PORT',
  EADDRNOTAVAIL: 'this machine has no such address; choose another with --set listeners.tcp.host=ADDRESS',
  ENOTFOUND: 'the host does not resolve; choose another with --set listeners.tcp.host=ADDRESS',
  EAI_AGAIN: 'the host does not resolve; choose another with --set listeners.tcp.host=ADDRESS',
}
