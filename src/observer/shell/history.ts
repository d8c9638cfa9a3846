/**
 * The lines of former sessions, in a file for each observed node: `~/.agner.history/n1@127.0.0.1`.
 *
 * The file is the user's own, mode 0600. A line that holds a cookie or a password is not written, nor kept for the arrow keys.
 */
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { REPLServer } from 'node:repl'

/** Folder in the home directory. */
const HISTORY_FOLDER = '.agner.history'

const SECRET = /cookie|passw(?:or)?d|secret/i

/** Whether a line may be kept. */
export function isKept(line: string): boolean {
  return !SECRET.test(line)
}

/** The file of a node, made ready to be used by its owner only; undefined when there can be none. */
export async function historyFile(home: string, node: string): Promise<string | undefined> {
  const folder = join(home, HISTORY_FOLDER)
  const file = join(folder, node)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(file, 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    return file
  } catch {
    return undefined
  }
}

/**
 * Gives a prompt its history; keys that are pressed meanwhile wait. Without a file the history lasts as long as the session.
 */
export async function useHistory(repl: REPLServer, file: string | undefined): Promise<void> {
  repl.on('history', (lines: string[]) => {
    const kept = lines.filter(isKept)
    if (kept.length < lines.length) lines.splice(0, lines.length, ...kept)
  })
  if (file !== undefined) await new Promise<void>((resolve) => repl.setupHistory(file, () => resolve()))
}
