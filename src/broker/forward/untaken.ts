/**
 * What has come from other nodes and has not been taken over yet. What comes once more while it is here goes to nobody, and is taken over when
 * it is: until then the disc may have nothing of it.
 */
import { Receipt } from '../routing/receipt.ts'

export class Untaken {
  readonly #receipts = new Set<Receipt>()

  /** Something has come. */
  add(receipt: Receipt | undefined): void {
    if (receipt === undefined || receipt.isDone) return
    this.#receipts.add(receipt)
    receipt.whenDone(() => this.#receipts.delete(receipt))
  }

  /** Has a receipt, or a new one, wait for all that is here. */
  joinedTo(receipt: Receipt | undefined): Receipt | undefined {
    if (this.#receipts.size === 0) return receipt
    const all = receipt ?? new Receipt()
    for (const each of this.#receipts) all.join(each)
    return all
  }
}
