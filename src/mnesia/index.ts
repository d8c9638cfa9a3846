/**
 * `agner/mnesia`: replicated tables. Schema and members, ram and disc copies, owned, shared and local tables, backups.
 *
 * For users; code of this project imports the files by name.
 */
export type { Alarms } from './alarms.ts'
export { type BackupOptions, backup } from './backup/backup.ts'
export type { BackupInfo, BackupTable } from './backup/backup-file.ts'
export { backupInfo, rewriteBackup, traverseBackup } from './backup/backup-reader.ts'
export { type RestoreOptions, type RestoreResult, restore } from './backup/restore.ts'
export { dumpToText, loadText } from './backup/text.ts'
export { backupTo } from './backup-to.ts'
export {
  type Copies,
  type CopyKind,
  type Replication,
  type RowBytes,
  type RowCodec,
  type TableDefinition,
  type TableType,
  table,
} from './definition.ts'
export { BackupError, NoCopyError, RowBytesError, StoreError, TableError } from './errors.ts'
export { type SystemEventMessage, subscribeSystem, subscribeTable, type TableEventMessage } from './events.ts'
export type { SystemInfo, TableInfo } from './info.ts'
export type { ClusterStatus, JoinResult, LeaveResult, RemoveResult, TableRows } from './membership.ts'
export { type Mnesia, type MnesiaOptions, type StartMnesiaResult, startMnesia } from './mnesia.ts'
export type { Damage } from './store/damage.ts'
export { MemoryStore } from './store/memory-store.ts'
export { type OpenedStore, type OpenStoreOptions, openStore } from './store/open-store.ts'
export type { Store } from './store/store.ts'
export type { SystemEvent } from './system-events.ts'
export type { Table, TableEvent, TableOperation, TableReader, Tables, WriteOptions, WriteOutcome } from './table.ts'
export type { LockMode } from './transaction/lock-table.ts'
export type { AbortReason, Transaction, TransactionResult } from './transaction/transaction.ts'
export type { TransactionOptions } from './transaction/transactions.ts'
