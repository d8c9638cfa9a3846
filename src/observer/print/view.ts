/**
 * How a value wants to be printed: a mark that travels with it and that nobody else sees.
 *
 * Commands return data; a list of rows prints as a table without any mark. What the rows alone do not say, such as how many
 * there are that are not shown, is a note below it.
 */
const VIEW = Symbol('view')

/** What a value says of its own printing. */
export interface View {
  /** `tree`: nodes with `children`; `text`: a string as it is. */
  readonly as?: 'tree' | 'text'
  /** A line below. */
  readonly note?: string
}

/** The same value, marked. */
export function withView<T extends object>(value: T, view: View): T {
  Object.defineProperty(value, VIEW, { value: view, enumerable: false, configurable: true })
  return value
}

/** The mark of a value, if it has one. */
export function viewOf(value: unknown): View | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, VIEW)) return undefined
  return (value as { readonly [VIEW]: View })[VIEW]
}
