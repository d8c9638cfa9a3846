/** A deliberate fault: the code of the broker, with a few texts in it replaced by others. */

/** A text of a file of src/broker, which occurs there once, and what takes its place. */
export type Change = readonly [file: string, text: string, instead: string]

export interface Fault {
  /** What is wrong then, in words. */
  readonly what: string
  /** What is known to fail then: a schedule of a cluster, by its seed, or a test, as `file: title`. A test asks that it is known of each. */
  readonly caughtBy?: number | string
  readonly changes: readonly Change[]
}

/** How often a text occurs in another. */
function occurrences(source: string, text: string): number {
  return source.split(text).length - 1
}

/** Sentences about what of a fault cannot be put in; `read` returns the source of a file. */
export function problemsOf({ what, changes }: Fault, read: (file: string) => string): string[] {
  return changes.flatMap(([file, text, instead]) => {
    const count = occurrences(read(file), text)
    if (count !== 1) return [`${what}: ${JSON.stringify(text)} occurs ${count} times in ${file}`]
    return text === instead ? [`${what}: nothing changes in ${file}`] : []
  })
}
