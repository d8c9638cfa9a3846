/*
 * Clocks, CPU accounting, latency histograms and the report.
 *
 * The broker's CPU is read from /proc. The per-thread run time in schedstat has
 * nanoseconds, the user + system of stat only 10 ms ticks, which is too coarse
 * for a broker that is idle most of the window; both count the same time, and
 * the ticks are reported beside it as a check and used where the kernel keeps
 * no schedstat.
 */
#include "gen.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool read_text(const char *path, char *text, size_t bytes) {
  FILE *file = fopen(path, "r");
  if (!file) return false;
  size_t n = fread(text, 1, bytes - 1, file);
  fclose(file);
  text[n] = 0;
  return n > 0;
}

static uint64_t threads_run_us(long pid) {
  char path[128], text[128];
  snprintf(path, sizeof path, "/proc/%ld/task", pid);
  DIR *tasks = opendir(path);
  if (!tasks) return 0;
  uint64_t sum_ns = 0;
  for (struct dirent *entry; (entry = readdir(tasks));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%ld/task/%.20s/schedstat", pid, entry->d_name);
    unsigned long long run;
    if (read_text(path, text, sizeof text) && sscanf(text, "%llu", &run) == 1) sum_ns += run;
  }
  closedir(tasks);
  return sum_ns / 1000;
}

struct usage usage_now(void) {
  struct usage usage = {.at_ns = now_ns()};
  struct rusage self;
  getrusage(RUSAGE_SELF, &self);
  usage.self_us = (uint64_t)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) * 1000000u + (uint64_t)(self.ru_utime.tv_usec + self.ru_stime.tv_usec);
  for (const char *p = opt.pids; p && *p;) {
    char *end;
    long pid = strtol(p, &end, 10);
    if (end == p) fail("--pid takes numbers separated by commas, not '%s'", opt.pids);
    p = *end ? end + 1 : end;
    char path[64], text[1024];
    unsigned long long user, system, pages;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!read_text(path, text, sizeof text)) fail("the broker's process %ld is gone", pid);
    const char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2) fail("cannot read %s", path);
    uint64_t ticks_us = (user + system) * 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    usage.broker_ticks_us += ticks_us;
    uint64_t run_us = threads_run_us(pid);
    usage.broker_us += run_us ? run_us : ticks_us;
    /* Counts read(2), write(2) and their vectored forms, not send(2) and recv(2): enough for Node, whose sockets use the former. */
    snprintf(path, sizeof path, "/proc/%ld/io", pid);
    unsigned long long reads, writes;
    const char *calls = read_text(path, text, sizeof text) ? strstr(text, "syscr:") : NULL;
    if (calls && sscanf(calls, "syscr: %llu syscw: %llu", &reads, &writes) == 2) {
      usage.broker_reads += reads;
      usage.broker_writes += writes;
    }
    snprintf(path, sizeof path, "/proc/%ld/statm", pid);
    if (read_text(path, text, sizeof text) && sscanf(text, "%*u %llu", &pages) == 1) usage.rss_bytes += pages * (uint64_t)sysconf(_SC_PAGESIZE);
  }
  return usage;
}

struct usage usage_at_edge(void) {
  if (opt.mark && opt.pids && kill((pid_t)strtol(opt.pids, NULL, 10), SIGUSR2)) fail("--mark: the broker's process cannot be signalled");
  return usage_now();
}

/* 64 buckets per power of two: an error of at most 1.6 % in what a quantile reads. */
void histogram_add(struct histogram *h, uint64_t v) {
  int shift = v < 128 ? 0 : 57 - __builtin_clzll(v);
  uint64_t i = (uint64_t)shift * 64 + (v >> shift);
  if (i >= sizeof h->bucket / sizeof *h->bucket) i = sizeof h->bucket / sizeof *h->bucket - 1;
  h->bucket[i]++;
  h->count++;
  if (v > h->max) h->max = v;
}

double histogram_ms(const struct histogram *h, double quantile) {
  uint64_t rank = (uint64_t)(quantile * (double)h->count), seen = 0;
  for (uint64_t i = 0; i < sizeof h->bucket / sizeof *h->bucket; i++) {
    seen += h->bucket[i];
    if (seen > rank) {
      uint64_t shift = i < 128 ? 0 : i / 64 - 1;
      return (double)((i - shift * 64) << shift) / 1e6;
    }
  }
  return (double)h->max / 1e6;
}

static bool first_field;

void report_open(void) {
  first_field = true;
  if (opt.json) printf("{");
}

static void report_name(const char *name) {
  if (opt.json) printf("%s\"%s\":", first_field ? "" : ",", name);
  else printf("%-28s ", name);
  first_field = false;
}

void report_number(const char *name, double value) {
  report_name(name);
  printf(value == (double)(int64_t)value ? "%.0f" : "%.6g", value);
  if (!opt.json) printf("\n");
}

void report_text(const char *name, const char *value) {
  report_name(name);
  printf(opt.json ? "\"%s\"" : "%s\n", value);
}

void report_close(void) {
  printf(opt.json ? "}\n" : "");
  fflush(stdout);
}

static void report_prefixed(const char *prefix, const char *name, double value) {
  char full[80];
  snprintf(full, sizeof full, "%s%c%s", prefix, *prefix ? name[0] - 'a' + 'A' : name[0], name + 1);
  report_number(full, value);
}

void report_usage(const char *prefix, struct usage from, struct usage to, double operations) {
  double us = (double)(to.at_ns - from.at_ns) / 1e3;
  if (operations <= 0) operations = 1e-9; /* nothing was delivered: the rate reads 0 and the cost is absurd, not infinite */
  report_prefixed(prefix, "operationsPerSecond", operations / us * 1e6);
  report_prefixed(prefix, "generatorShare", (double)(to.self_us - from.self_us) / us);
  if (!opt.pids) return;
  report_prefixed(prefix, "brokerShare", (double)(to.broker_us - from.broker_us) / us);
  report_prefixed(prefix, "brokerUsPerOperation", (double)(to.broker_us - from.broker_us) / operations);
  report_prefixed(prefix, "brokerReadsPerOperation", (double)(to.broker_reads - from.broker_reads) / operations);
  report_prefixed(prefix, "brokerWritesPerOperation", (double)(to.broker_writes - from.broker_writes) / operations);
  report_prefixed(prefix, "brokerTicksUsPerOperation", (double)(to.broker_ticks_us - from.broker_ticks_us) / operations);
}

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fprintf(stderr, "loadgen: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

void wait_quietly(double seconds) {
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), now;
  while ((now = now_ns()) < end) net_turn((int64_t)(end - now));
}

bool wait_for(const uint64_t *counter, uint64_t goal, double patience) {
  uint64_t last = *counter, since = now_ns();
  while (*counter < goal) {
    net_turn(50000000);
    if (*counter != last) {
      last = *counter;
      since = now_ns();
    } else if ((double)(now_ns() - since) > patience * 1e9) return false;
  }
  return true;
}
