/*
 * A load generator for MQTT brokers: options, and the choice of what to run.
 *
 * It exists because a generator in Node costs more per message than the brokers
 * it is to measure. See gen/gen.h for how it is built; `loadgen --help` for use.
 * Exit code 0: measured and every delivery right; 3: measured, but something was
 * lost, doubled, out of order or damaged; 1: could not be run; 2: bad usage.
 */
#include "gen/gen.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct options opt = {
  .mode = "traffic", .host = "127.0.0.1", .port = 1883, .version = 4, .publishers = 1, .subscribers = 100, .window = 32, .payload = 64,
  .warmup = 0.5, .seconds = 2, .connections = 5000, .at_once = 100, .filters = 100000, .clients = 100, .samples = 1000, .settle = 2, .patience = 3,
};

static const char usage_text[] =
  "loadgen [MODE] [OPTIONS]     loads an MQTT broker, checks every delivery, reports what it cost\n"
  "\n"
  "MODE traffic (default): publishers to subscribers\n"
  "  --publishers N    1        --subscribers N   100\n"
  "  --pairs           publisher i sends to subscriber i only; else every publisher to every subscriber\n"
  "  --wildcard        subscribers use a + for the last level\n"
  "  --qos Q           0        --payload BYTES   64 (at least 32)\n"
  "  --window N        32       messages in flight per publisher: sent, but not yet at all subscribers (and, QoS > 0, acknowledged)\n"
  "  --rate R          0        messages a second over all publishers, instead of a window\n"
  "  --warmup S        0.5      --seconds S       2, the measured time\n"
  "MODE connect: connection rate, idle memory without and with one subscription\n"
  "  --connections N   5000     --at-once N       100 handshakes under way\n"
  "MODE subscribe: one exact filter a SUBSCRIBE, then as many UNSUBSCRIBEs\n"
  "  --filters N       100000   --clients N       100    --samples N 1000   --window N 32 unacknowledged per client\n"
  "All modes\n"
  "  --host A 127.0.0.1  --port P 1883  --mqtt 4|5 (3.1.1 or 5.0)  --settle S 2 (quiet before memory is read)\n"
  "  --patience S 3     without a delivery after the last PUBLISH, then what is missing is lost\n"
  "  --pid N[,N]       the broker's processes, to measure their CPU and memory\n"
  "  --mark            sends the first of them SIGUSR2 when the measured time begins and when it ends (for a profiler in it)\n"
  "  --json            one line of JSON instead of a list\n";

static double number(const char *name, const char *text, double low, double high) {
  char *end;
  double value = strtod(text, &end);
  if (*end || end == text || value < low || value > high) {
    fprintf(stderr, "loadgen: --%s takes a number from %g to %g, not '%s'\n", name, low, high, text);
    exit(2);
  }
  return value;
}

int main(int argc, char **argv) {
  static const struct option long_options[] = {
    {"host", 1, 0, 0}, {"port", 1, 0, 0}, {"mqtt", 1, 0, 0}, {"publishers", 1, 0, 0}, {"subscribers", 1, 0, 0}, {"pairs", 0, 0, 0},
    {"wildcard", 0, 0, 0}, {"qos", 1, 0, 0}, {"window", 1, 0, 0}, {"payload", 1, 0, 0}, {"rate", 1, 0, 0}, {"warmup", 1, 0, 0},
    {"seconds", 1, 0, 0}, {"connections", 1, 0, 0}, {"at-once", 1, 0, 0}, {"filters", 1, 0, 0}, {"clients", 1, 0, 0},
    {"samples", 1, 0, 0}, {"settle", 1, 0, 0}, {"patience", 1, 0, 0}, {"pid", 1, 0, 0}, {"json", 0, 0, 0}, {"mark", 0, 0, 0}, {"help", 0, 0, 0}, {0},
  };
  for (int index, c; (c = getopt_long(argc, argv, "", long_options, &index)) != -1;) {
    if (c == '?') return 2;
    const char *name = long_options[index].name;
#define TAKE(option, field, low, high) else if (!strcmp(name, option)) opt.field = (__typeof__(opt.field))number(name, optarg, low, high)
    if (!strcmp(name, "help")) return fputs(usage_text, stdout), 0;
    else if (!strcmp(name, "host")) opt.host = optarg;
    else if (!strcmp(name, "pid")) opt.pids = optarg;
    else if (!strcmp(name, "pairs")) opt.pairs = true;
    else if (!strcmp(name, "wildcard")) opt.wildcard = true;
    else if (!strcmp(name, "json")) opt.json = true;
    else if (!strcmp(name, "mark")) opt.mark = true;
    TAKE("port", port, 1, 65535);
    TAKE("mqtt", version, 4, 5);
    TAKE("publishers", publishers, 1, 10000);
    TAKE("subscribers", subscribers, 1, 60000);
    TAKE("qos", qos, 0, 2);
    TAKE("window", window, 1, 4096);
    TAKE("payload", payload, 32, 200000000);
    TAKE("rate", rate, 0, 1e9);
    TAKE("warmup", warmup, 0, 3600);
    TAKE("seconds", seconds, 0.01, 3600);
    TAKE("connections", connections, 1, 60000);
    TAKE("at-once", at_once, 1, 10000);
    TAKE("filters", filters, 1, 1e8);
    TAKE("clients", clients, 1, 9999);
    TAKE("samples", samples, 1, 1e6);
    TAKE("settle", settle, 0, 600);
    TAKE("patience", patience, 0.01, 600);
  }
  if (optind < argc) opt.mode = argv[optind++];
  if (optind < argc) {
    fprintf(stderr, "loadgen: '%s' is not understood; see --help\n", argv[optind]);
    return 2;
  }
  if (opt.pairs) opt.subscribers = opt.publishers;
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  prctl(PR_SET_TIMERSLACK, 1000); /* the default of 50 us is a quarter of the interval at 5,000 messages a second */
  net_init(&opt);
  if (!strcmp(opt.mode, "traffic")) return run_traffic();
  if (!strcmp(opt.mode, "connect")) return run_connect();
  if (!strcmp(opt.mode, "subscribe")) return run_subscribe();
  fprintf(stderr, "loadgen: the mode is traffic, connect or subscribe, not '%s'\n", opt.mode);
  return 2;
}
