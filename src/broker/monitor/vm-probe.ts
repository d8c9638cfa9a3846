/** The JavaScript engine as sysmon watches it: the heap, and the length of garbage collections. Not for simulated nodes. */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { VmProbe } from './sysmon.ts'

/** The probe of the engine that runs this. */
export function realVm(): VmProbe {
  return {
    heapUsedBytes: () => getHeapStatistics().used_heap_size,
    onGc: (callback) => {
      const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) callback(duration)
      })
      observer.observe({ entryTypes: ['gc'] })
      return () => observer.disconnect()
    },
  }
}
