/* The smallest backend with options of either side and artifacts of versions: what it takes, and what it tells of its
 * runs, is the user's to say. TUNED_VERSION and TUNED_OLDEST: the artifacts that this build of it reads; 0: it does not
 * say. */
#define kiln_backend_plugin minimal_plugin
#include "../minimal/minimal.c"
#undef kiln_backend_plugin
#include <stdio.h>

#ifndef TUNED_VERSION
#define TUNED_VERSION 0
#define TUNED_OLDEST 0
#endif

/* What an artifact of this backend begins with; the smallest one's follows. */
struct head {
  char mark[8];
  int64_t tile;
};

static struct traced {
  const kiln_host *host;
  int trace;
  int64_t tile, executions; /* tile: 0 where the run side was told none */
  char note[64];
} traced;

/* The value of an option, or what holds without one. */
static kiln_string setting(const kiln_setting *settings, size_t count, const char *name, const char *otherwise) {
  for (size_t i = 0; i < count; ++i)
    if (settings[i].name.size == strlen(name) && !memcmp(settings[i].name.data, name, settings[i].name.size))
      return settings[i].value;
  return (kiln_string){otherwise, strlen(otherwise)};
}

static int64_t number(kiln_string text) {
  int64_t value = 0;
  for (size_t i = 0; i < text.size; ++i)
    value = value * 10 + (text.data[i] - '0');
  return value;
}

static kiln_string of_target(const kiln_target *target, const char *name, const char *otherwise) {
  return KILN_HAS(target, kiln_target, setting_count)
             ? setting(target->settings, target->setting_count, name, otherwise)
             : (kiln_string){otherwise, strlen(otherwise)};
}

static int32_t tuned_claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                           const kiln_answer *answer, kiln_error *error) {
  struct code code;
  const char *why = understand(host->reader, kernel, &code);
  kiln_string take = of_target(target, "take", "all");
  if (!why && !IS(take, "all") && IS(take, "products") != code.product)
    why = "it was set to take another op";
  char form[32];
  snprintf(form, sizeof form, "tiles of %d", (int)number(of_target(target, "tile", "16")));
  kiln_terms terms = {.size = sizeof terms, .form = {form, strlen(form)}};
  why ? answer->refuse(answer->self, KILN_NONE, (kiln_string){why, strlen(why)})
      : answer->take(answer->self, NULL, 0, &terms);
  return KILN_SUCCESS;
}

/* Puts the head before the smallest one's artifact. */
struct heading {
  const kiln_sink *sink;
  struct head head;
};
static void add_head(void *self, int32_t kind, kiln_string name, const void *data, size_t bytes) {
  struct heading *heading = self;
  char *both = malloc(sizeof heading->head + bytes);
  if (!both)
    return;
  memcpy(both, &heading->head, sizeof heading->head);
  memcpy(both + sizeof heading->head, data, bytes);
  heading->sink->add(heading->sink->self, kind, TEXT("tuned"), both, sizeof heading->head + bytes);
  free(both);
}
static int32_t tuned_compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                             const kiln_sink *sink, kiln_error *error) {
  struct heading heading = {sink, {"tuned", number(of_target(target, "tile", "16"))}};
  kiln_sink own = {sizeof own, &heading, add_head};
  return compile(host, program, target, &own, error);
}

static void say(const char *what, int64_t executions) {
  char line[200];
  snprintf(line, sizeof line, "tuned %s: tile %d, note '%s', %d executions", what, (int)traced.tile, traced.note,
           (int)executions);
  if (traced.trace)
    traced.host->log(traced.host->self, 2, (kiln_string){line, strlen(line)});
}
static int32_t tuned_open(const kiln_host *host, uint32_t number_of, kiln_device **device, kiln_error *error) {
  traced = (struct traced){.host = host};
  if (KILN_HAS(host, kiln_host, setting_count)) {
    kiln_string note = setting(host->settings, host->setting_count, "note", "");
    traced.trace = IS(setting(host->settings, host->setting_count, "trace", "false"), "true");
    traced.tile = number(setting(host->settings, host->setting_count, "tile", "0"));
    snprintf(traced.note, sizeof traced.note, "%.*s", (int)note.size, note.size ? note.data : "");
  }
  say("opened", 0);
  return open_device(host, number_of, device, error);
}
static void tuned_close(kiln_device *device) {
  say("closed", traced.executions);
  close_device(device);
}
static int32_t tuned_load(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
                          kiln_executable **executable, kiln_error *error) {
  const struct head *head = artifact;
  if (bytes < sizeof *head || strcmp(head->mark, "tuned") != 0)
    return fail(error, KILN_ERROR_INVALID, "this is no artifact of the tuned backend");
  char line[64];
  snprintf(line, sizeof line, "tuned loads code for tiles of %d", (int)head->tile);
  if (traced.trace)
    traced.host->log(traced.host->self, 2, (kiln_string){line, strlen(line)});
  return load(device, program, head + 1, bytes - sizeof *head, executable, error);
}
static int32_t tuned_execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  ++traced.executions;
  return execute(executable, execution, error);
}

__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static const kiln_string choices[] = {{"all", 3}, {"sums", 4}, {"products", 8}};
  static const kiln_option take = {.size = sizeof take,
                                   .sides = KILN_OPTION_COMPILE,
                                   .name = {"take", 4},
                                   .value = {"all", 3},
                                   .help = {"which ops it takes", 18},
                                   .choices = choices,
                                   .choice_count = 3,
                                   .type = KILN_OPTION_CHOICE};
  static const kiln_option tile = {.size = sizeof tile,
                                   .sides = KILN_OPTION_COMPILE | KILN_OPTION_RUN,
                                   .name = {"tile", 4},
                                   .value = {"16", 2},
                                   .help = {"columns that are done together", 30},
                                   .least = 1,
                                   .most = 64,
                                   .type = KILN_OPTION_INTEGER};
  static const kiln_option trace = {.size = sizeof trace,
                                    .sides = KILN_OPTION_RUN,
                                    .name = {"trace", 5},
                                    .value = {"false", 5},
                                    .help = {"tell what is done", 17},
                                    .type = KILN_OPTION_FLAG};
  static const kiln_option note = {.size = sizeof note,
                                   .sides = KILN_OPTION_RUN,
                                   .name = {"note", 4},
                                   .help = {"a word that the trace holds", 27},
                                   .type = KILN_OPTION_TEXT};
  static const kiln_option *const options[] = {&take, &tile, &trace, &note};
  static kiln_compile_api compiling;
  static kiln_run_api running;
  static kiln_backend backend;
  const kiln_backend *plain = minimal_plugin(offer, error);
  if (!plain || backend.size)
    return plain ? &backend : NULL;
  compiling = *plain->compile;
  compiling.claim = tuned_claim;
  compiling.compile = tuned_compile;
  running = *plain->run;
  running.open = tuned_open;
  running.close = tuned_close;
  running.load = tuned_load;
  running.execute = tuned_execute;
  backend = *plain;
  backend.name = TEXT("tuned");
  backend.title = TUNED_VERSION ? TEXT("tuned, of artifact version") : TEXT("tuned 1.0");
  backend.compile = &compiling;
  backend.run = &running;
  backend.options = options;
  backend.option_count = sizeof options / sizeof *options;
  backend.artifact_version = TUNED_VERSION;
  backend.artifact_oldest = TUNED_OLDEST;
  return &backend;
}
