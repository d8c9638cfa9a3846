/** `agner/testing`: runtimes under virtual time with a seeded scheduler, for tests that replay. */
export { LossyDisc, type LossyDiscOptions, LossyStore } from './lossy-store.ts'
export { Network, type NetworkOptions } from './network.ts'
export { SeededRandom } from './random.ts'
export { type Duration, type Simulation, type SimulationOptions, simulate } from './simulation.ts'
export { NotPlainDataError, structuralCopy } from './structural-copy.ts'
export { Trace } from './trace.ts'
export { VirtualTime } from './virtual-time.ts'
export { Wire, WireEnd, type WireEvents, type WireOptions, type WirePeer, type WireWorld } from './wire.ts'
