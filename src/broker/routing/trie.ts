/**
 * The wildcard index of a node: which of the known filters match a topic name.
 *
 * The shape is emqttd's: a node per distinct prefix of a filter, an edge (node, word) → child, an edge count in each node;
 * only filters with a wildcard are kept, and an empty trie has no node at all, not even a root. The representation is not:
 * an object per node costs over 500 bytes per filter and a path string per node costs time, so nodes and words are small
 * integers, edges lie in one open hash table of integers, and each distinct word is stored once. Matching then allocates
 * the list of results and nothing else.
 *
 * One owner inserts and deletes (the router, from events of the route table); anyone matches. All of it is synchronous.
 */
import { isShielded, words } from './topic.ts'

const ROOT = 0
const NONE = -1
/** Ids of the two wildcards; other words get ids from 2 on. */
const PLUS_ID = 0
const HASH_ID = 1
const FIRST_WORD_ID = 2
/** An edge is three integers in the table: parent, word, child. */
const STRIDE = 3
const MIN_EDGE_SLOTS = 16

export class Trie {
  /** Filter that ends at a node, by node id; undefined for an inner or a free node. */
  #filters: (string | undefined)[] = []
  /** Number of edges that leave a node, by node id. */
  #edgeCounts: number[] = []
  #freeNodes: number[] = []
  #words = new Map<string, number>()
  /** Number of edges that bear a word, by word id; it is forgotten with the last of them. */
  #wordEdges: number[] = [0, 0]
  #freeWords: number[] = []
  /** Slots of (parent, word, child), parent NONE when the slot is empty; their number is a power of two. */
  #edges: Int32Array = emptyEdges(MIN_EDGE_SLOTS)
  #edgeCount = 0
  #size = 0
  /** Scratch of `match`, kept between calls; always empty outside of it. */
  #level: number[] = []
  #nextLevel: number[] = []

  /** Number of filters. */
  get size(): number {
    return this.#size
  }

  /** Number of nodes: distinct prefixes of the filters, the root included; 0 when there is no filter. */
  get nodeCount(): number {
    return this.#edgeCounts.length - this.#freeNodes.length
  }

  /** Number of edges; always one less than the nodes, or 0. */
  get edgeCount(): number {
    return this.#edgeCount
  }

  /** Number of distinct words that are kept, wildcards not counted. */
  get wordCount(): number {
    return this.#words.size
  }

  /** Adds a valid filter that has a wildcard. Returns false when it was there. */
  insert(filter: string): boolean {
    if (this.#size === 0) this.#newNode()
    let node = ROOT
    for (const word of words(filter)) {
      const known = this.#wordId(word)
      const child = known === NONE ? NONE : this.#child(node, known)
      node = child === NONE ? this.#addEdge(node, word) : child
    }
    if (this.#filters[node] !== undefined) return false
    this.#filters[node] = filter
    this.#size++
    return true
  }

  /** Removes a filter with every node that only it needed. Returns false when it was not there. */
  delete(filter: string): boolean {
    if (this.#size === 0) return false
    const path = words(filter)
    const nodes = [ROOT]
    for (const word of path) {
      const id = this.#wordId(word)
      const child = id === NONE ? NONE : this.#child(nodes[nodes.length - 1]!, id)
      if (child === NONE) return false
      nodes.push(child)
    }
    const last = nodes[path.length]!
    if (this.#filters[last] === undefined) return false
    this.#filters[last] = undefined
    this.#size--
    for (let i = path.length; i > 0; i--) {
      const node = nodes[i]!
      if (this.#edgeCounts[node] !== 0 || this.#filters[node] !== undefined) break
      this.#removeEdge(nodes[i - 1]!, path[i - 1]!)
      this.#freeNodes.push(node)
    }
    if (this.#size === 0) this.#reset()
    return true
  }

  /** Tells whether a filter is in the trie. */
  has(filter: string): boolean {
    const node = this.#find(filter)
    return node !== NONE && this.#filters[node] !== undefined
  }

  /** Number of edges that leave the node of a prefix, of the root when undefined; undefined when there is no such node. */
  edgesOf(prefix: string | undefined): number | undefined {
    if (this.#size === 0) return undefined
    const node = prefix === undefined ? ROOT : this.#find(prefix)
    return node === NONE ? undefined : this.#edgeCounts[node]
  }

  /**
   * The filters that match a topic name, each once, in no particular order. Takes time in the number of trie nodes that
   * agree with the name, at most all of them. Appends to `found` and returns it.
   */
  match(name: string, found: string[] = []): string[] {
    if (this.#size === 0) return found
    const nameWords = words(name)
    const depth = nameWords.length
    let level = this.#level
    let next = this.#nextLevel
    level.push(ROOT)
    // Level by level rather than recursively: a name may have more levels than the stack has room.
    for (let i = 0; i < depth && level.length > 0; i++) {
      const wordId = this.#wordId(nameWords[i]!)
      const wildcards = i > 0 || !isShielded(name)
      for (let j = 0; j < level.length; j++) {
        const node = level[j]!
        if (wildcards) {
          const rest = this.#child(node, HASH_ID)
          if (rest !== NONE) found.push(this.#filters[rest]!)
          const any = this.#child(node, PLUS_ID)
          if (any !== NONE) next.push(any)
        }
        // In a name, '+' and '#' would be literal; they cannot occur there, and must not follow a wildcard's edge.
        if (wordId >= FIRST_WORD_ID) {
          const child = this.#child(node, wordId)
          if (child !== NONE) next.push(child)
        }
      }
      level.length = 0
      const done = level
      level = next
      next = done
    }
    for (let j = 0; j < level.length; j++) {
      const node = level[j]!
      const filter = this.#filters[node]
      if (filter !== undefined) found.push(filter)
      const rest = this.#child(node, HASH_ID)
      if (rest !== NONE) found.push(this.#filters[rest]!)
    }
    level.length = 0
    return found
  }

  #find(prefix: string): number {
    if (this.#size === 0) return NONE
    let node = ROOT
    for (const word of words(prefix)) {
      const id = this.#wordId(word)
      node = id === NONE ? NONE : this.#child(node, id)
      if (node === NONE) return NONE
    }
    return node
  }

  #wordId(word: string): number {
    if (word === '+') return PLUS_ID
    if (word === '#') return HASH_ID
    return this.#words.get(word) ?? NONE
  }

  #newNode(): number {
    const free = this.#freeNodes.pop()
    if (free !== undefined) {
      this.#edgeCounts[free] = 0
      return free
    }
    this.#filters.push(undefined)
    return this.#edgeCounts.push(0) - 1
  }

  #addEdge(parent: number, word: string): number {
    const child = this.#newNode()
    const slots = this.#edges.length / STRIDE
    if ((this.#edgeCount + 1) * 4 > slots * 3) this.#resize(slots * 2)
    place(this.#edges, parent, this.#takeWord(word), child)
    this.#edgeCount++
    this.#edgeCounts[parent] = this.#edgeCounts[parent]! + 1
    return child
  }

  #removeEdge(parent: number, word: string): void {
    const id = this.#wordId(word)
    removeSlot(this.#edges, findSlot(this.#edges, parent, id))
    this.#releaseWord(word, id)
    this.#edgeCount--
    this.#edgeCounts[parent] = this.#edgeCounts[parent]! - 1
    const slots = this.#edges.length / STRIDE
    if (slots > MIN_EDGE_SLOTS && this.#edgeCount * 8 < slots) this.#resize(slots / 2)
  }

  #child(parent: number, wordId: number): number {
    const slot = findSlot(this.#edges, parent, wordId)
    return slot === NONE ? NONE : this.#edges[slot + 2]!
  }

  #takeWord(word: string): number {
    const known = this.#wordId(word)
    if (known === NONE) {
      const id = this.#freeWords.pop() ?? this.#wordEdges.push(0) - 1
      this.#words.set(word, id)
      this.#wordEdges[id] = 1
      return id
    }
    if (known >= FIRST_WORD_ID) this.#wordEdges[known] = this.#wordEdges[known]! + 1
    return known
  }

  #releaseWord(word: string, id: number): void {
    if (id < FIRST_WORD_ID) return
    const edges = this.#wordEdges[id]! - 1
    this.#wordEdges[id] = edges
    if (edges > 0) return
    this.#words.delete(word)
    this.#freeWords.push(id)
  }

  #resize(slots: number): void {
    const from = this.#edges
    const to = emptyEdges(slots)
    for (let i = 0; i < from.length; i += STRIDE) {
      if (from[i] !== NONE) place(to, from[i]!, from[i + 1]!, from[i + 2]!)
    }
    this.#edges = to
  }

  /** Gives everything back, so that a trie that was large once does not stay so. */
  #reset(): void {
    this.#filters = []
    this.#edgeCounts = []
    this.#freeNodes = []
    this.#words = new Map()
    this.#freeWords = []
    this.#wordEdges = [0, 0]
    this.#edges = emptyEdges(MIN_EDGE_SLOTS)
    this.#edgeCount = 0
  }
}

function emptyEdges(slots: number): Int32Array {
  return new Int32Array(slots * STRIDE).fill(NONE)
}

/** Mixes both integers into all bits (the finalizer of MurmurHash3): node and word ids are small and dense. */
function hash(parent: number, wordId: number): number {
  let h = Math.imul(parent, 0x9e3779b1) ^ Math.imul(wordId, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function findSlot(edges: Int32Array, parent: number, wordId: number): number {
  const mask = edges.length / STRIDE - 1
  let slot = hash(parent, wordId) & mask
  for (;;) {
    const at = slot * STRIDE
    const found = edges[at]
    if (found === NONE) return NONE
    if (found === parent && edges[at + 1] === wordId) return at
    slot = (slot + 1) & mask
  }
}

function place(edges: Int32Array, parent: number, wordId: number, child: number): void {
  const mask = edges.length / STRIDE - 1
  let slot = hash(parent, wordId) & mask
  while (edges[slot * STRIDE] !== NONE) slot = (slot + 1) & mask
  const at = slot * STRIDE
  edges[at] = parent
  edges[at + 1] = wordId
  edges[at + 2] = child
}

/** Empties a slot and moves later entries of its probe chain back, so that no tombstone is ever needed. */
function removeSlot(edges: Int32Array, at: number): void {
  const mask = edges.length / STRIDE - 1
  let hole = at / STRIDE
  let slot = hole
  for (;;) {
    slot = (slot + 1) & mask
    const from = slot * STRIDE
    if (edges[from] === NONE) break
    const home = hash(edges[from]!, edges[from + 1]!) & mask
    // An entry may fill the hole when its home does not lie between the hole and where it is now.
    if (((slot - home) & mask) >= ((slot - hole) & mask)) {
      edges.copyWithin(hole * STRIDE, from, from + STRIDE)
      hole = slot
    }
  }
  edges[hole * STRIDE] = NONE
}
