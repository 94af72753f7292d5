/* A backend that finishes late: what it is given waits in a queue for a thread of its own, which takes its time over
 * each execution (the option `delay`, in microseconds). The work itself is another plugin's: LATE_INNER is its source,
 * or LATE_LIBRARY its file. Two devices, each with its thread. When one is closed it says what became of its events.
 * LATE_MEMORIES says that it has three memories, one of which is soon full, and which buffers it was asked for.
 * LATE_EAGER and LATE_SILENT have a fault: a signal that is not waited for, a notice that never comes. */
#define _GNU_SOURCE
#ifdef LATE_INNER
#define kiln_backend_plugin inner_plugin
#include LATE_INNER
#undef kiln_backend_plugin
#else
#include <kiln/kiln_backend.h>
#include <stdlib.h>
#include <string.h>
#define TEXT(literal) ((kiln_string){literal, sizeof(literal) - 1})
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static const kiln_backend *inner;
static kiln_run_api innerRun; /* what it has, as far as this file knows it */

struct event { /* guarded by its device's mutex */
  int done;
  int32_t code;
  kiln_error error;
  kiln_notice notice;
  void *context;
  struct device *device;
};

enum what { EXECUTE, WRITE, READ, COPY, AFTER, END };
struct item {
  enum what what;
  struct item *next;
  struct event *event; /* null: nobody asks */
  struct buffer *from, *to;
  uint64_t from_offset, to_offset, bytes;
  void *memory, *owned;
  const kiln_signal *signal;
  struct executable *executable;
  kiln_execution execution; /* with arrays of its own, in owned */
};

struct device {
  kiln_device *inner;
  kiln_host host; /* the program's, with no threads but this one's */
  const kiln_host *program;
  uint32_t number;
  int64_t delay; /* microseconds */
  pthread_t thread;
  pthread_mutex_t mutex, use; /* of the queue, and of the inner backend */
  pthread_cond_t change;
  struct item *first, *last;
  int busy;
  int64_t breaks;     /* the number of the execution that fails; 0: none */
  unsigned under_way; /* executions that are not over */
  unsigned executions, meanwhile, blocked, waits, signals;
  unsigned uses[5], full; /* buffers for each kiln_use, and those that found no room */
};
struct buffer {
  struct device *device;
  kiln_buffer *inner;
  uint64_t size;
};
struct executable {
  struct device *device;
  kiln_executable *inner;
  const kiln_program *program;
};

static int32_t late_fail(kiln_error *error, int32_t code, const char *message) {
  memcpy(error->message, message, strlen(message) + 1);
  return error->code = code;
}

/* ---- The thread ---- */
static void serially(void *self, int64_t count, kiln_task task, void *context) {
  (void)self;
  task(context, 0, count, 0);
}

static int32_t dawdle(int64_t microseconds, const volatile int32_t *cancel) {
  const struct timespec moment = {0, 200000};
  for (; microseconds > 0; microseconds -= 200) {
    if (cancel && *cancel)
      return KILN_ERROR_CANCELLED;
    nanosleep(&moment, NULL);
  }
  return KILN_SUCCESS;
}

static int32_t perform(struct device *device, struct item *item, kiln_error *error) {
  int32_t code = KILN_SUCCESS;
  if (item->what == AFTER)
    return item->signal->wait(item->signal->self), code;
  if (item->what == EXECUTE && (code = dawdle(device->delay, item->execution.cancel)))
    return late_fail(error, code, "it was told to stop");
  if (item->what == EXECUTE && device->breaks == 0)
    return late_fail(error, KILN_ERROR_INTERNAL, "it broke, and nobody was there");
  pthread_mutex_lock(&device->use);
  if (item->what == EXECUTE)
    code = innerRun.execute(item->executable->inner, &item->execution, error);
  if (item->what == WRITE)
    code = innerRun.write(item->to->inner, item->to_offset, item->memory, item->bytes, error);
  if (item->what == READ)
    code = innerRun.read(item->from->inner, item->from_offset, item->memory, item->bytes, error);
  if (item->what == COPY)
    code = innerRun.copy(item->from->inner, item->from_offset, item->to->inner, item->to_offset, item->bytes, error);
  pthread_mutex_unlock(&device->use);
  return code;
}

static void finish(struct event *event, int32_t code) {
  struct device *device = event->device;
  pthread_mutex_lock(&device->mutex);
  event->code = code;
  if (event->notice)
    event->notice(event->context, code);
  event->done = 1;
  pthread_cond_broadcast(&device->change);
  pthread_mutex_unlock(&device->mutex);
}

static void *work(void *self) {
  struct device *device = self;
  for (int end = 0; !end;) {
    pthread_mutex_lock(&device->mutex);
    device->busy = 0;
    pthread_cond_broadcast(&device->change);
    while (!device->first)
      pthread_cond_wait(&device->change, &device->mutex);
    struct item *item = device->first;
    device->first = item->next;
    device->busy = 1;
    pthread_mutex_unlock(&device->mutex);
    kiln_error lost = {.size = sizeof lost};
    device->breaks -= item->what == EXECUTE;
    int32_t code = item->what == END ? KILN_SUCCESS : perform(device, item, item->event ? &item->event->error : &lost);
    end = item->what == END;
    pthread_mutex_lock(&device->mutex);
    device->under_way -= item->what == EXECUTE;
    pthread_mutex_unlock(&device->mutex);
    if (item->event)
      finish(item->event, code);
    free(item->owned);
    free(item);
  }
  return NULL;
}

static void give(struct device *device, struct item item, struct event *event) {
  struct item *made = malloc(sizeof *made);
  *made = item;
  made->event = event;
  made->next = NULL;
  pthread_mutex_lock(&device->mutex);
  if (item.what == EXECUTE) {
    ++device->executions;
    device->meanwhile += device->under_way++ > 0;
  }
  *(device->first ? &device->last->next : &device->first) = made;
  device->last = made;
  pthread_cond_broadcast(&device->change);
  pthread_mutex_unlock(&device->mutex);
}

static void drain(struct device *device) {
  pthread_mutex_lock(&device->mutex);
  while (device->first || device->busy)
    pthread_cond_wait(&device->change, &device->mutex);
  pthread_mutex_unlock(&device->mutex);
}

/* ---- Events ---- */
static struct event *new_event(struct device *device) {
  struct event *event = calloc(1, sizeof *event);
  event->error.size = sizeof event->error;
  event->error.kernel = event->error.op = KILN_NONE;
  event->device = device;
  return event;
}

static int32_t late_wait(kiln_event *handle, kiln_error *error) {
  struct event *event = (struct event *)handle;
  struct device *device = event->device;
  pthread_mutex_lock(&device->mutex);
  ++device->waits;
  device->blocked += !event->done;
  while (!event->done)
    pthread_cond_wait(&device->change, &device->mutex);
  pthread_mutex_unlock(&device->mutex);
  int32_t code = event->code;
  if (code)
    memcpy((char *)error + sizeof error->size, (char *)&event->error + sizeof error->size,
           sizeof *error - sizeof error->size);
  if (code)
    error->code = code;
  free(event);
  return code;
}

static int32_t late_notify(kiln_event *handle, kiln_notice notice, void *context, kiln_error *error) {
  struct event *event = (struct event *)handle;
  (void)error;
  pthread_mutex_lock(&event->device->mutex);
#ifndef LATE_SILENT
  if (event->done)
    notice(context, event->code);
  event->notice = notice;
#endif
  event->context = context;
  pthread_mutex_unlock(&event->device->mutex);
  return KILN_SUCCESS;
}

/* Given to the queue: with an event for the caller, or waited for. */
static int32_t queue(struct device *device, struct item item, kiln_event **event, kiln_error *error) {
  struct event *made = new_event(device);
  give(device, item, made);
  if (!event)
    return late_wait((kiln_event *)made, error);
  *event = (kiln_event *)made;
  return KILN_SUCCESS;
}

static int32_t late_after(kiln_device *handle, const kiln_signal *signal, kiln_error *error) {
  struct device *device = (struct device *)handle;
  (void)error;
  ++device->signals;
#ifndef LATE_EAGER
  give(device, (struct item){.what = AFTER, .signal = signal}, NULL);
#endif
  return KILN_SUCCESS;
}

/* ---- Devices and buffers ---- */
static int32_t late_count(const kiln_host *host, uint32_t *count, kiln_string *why, kiln_error *error) {
  *count = 2;
  return KILN_SUCCESS;
}

static int32_t late_info(const kiln_host *host, uint32_t number, kiln_device_info *info, kiln_error *error) {
  int32_t code = innerRun.device_info(host, 0, info, error);
#ifndef LATE_HOST_MEMORY
  info->flags &= ~KILN_BACKEND_HOST_MEMORY;
#endif
  info->flags |= KILN_BACKEND_CANCELS;
  info->name = number ? TEXT("another thread") : TEXT("a thread");
#ifdef LATE_MEMORIES
  static const kiln_memory near = {
      sizeof near, 1u << KILN_USE_ARENA | 1u << KILN_USE_KEPT, {"near", 4}, 64u << 20, 32u << 20};
  static const kiln_memory seen = {sizeof seen, 1u << KILN_USE_INPUT, {"seen by the host", 16}, 0, 0};
  static const kiln_memory far = {sizeof far, 1u << KILN_USE_ANY, {"far", 3}, 1u << 30, 0};
  static const kiln_memory *const memories[] = {&near, &seen, &far};
  info->memories = memories;
  info->memory_count = 3;
#endif
  return code;
}

static int32_t late_open(const kiln_host *host, uint32_t number, kiln_device **handle, kiln_error *error) {
  if (number > 1)
    return late_fail(error, KILN_ERROR_INVALID, "there are two devices, 0 and 1");
  struct device *device = calloc(1, sizeof *device);
  device->program = host;
  device->host = *host;
  device->host.worker_count = 1;
  device->host.parallel_for = serially;
  device->number = number;
  device->delay = 300;
  for (size_t i = 0; i < host->setting_count; ++i)
    *(host->settings[i].name.data[0] == 'd' ? &device->delay : &device->breaks) =
        strtoll(host->settings[i].value.data, NULL, 10);
  int32_t code = innerRun.open(&device->host, 0, &device->inner, error);
  if (code)
    return free(device), code;
  pthread_mutex_init(&device->mutex, NULL);
  pthread_mutex_init(&device->use, NULL);
  pthread_cond_init(&device->change, NULL);
  pthread_create(&device->thread, NULL, work, device);
  *handle = (kiln_device *)device;
  return KILN_SUCCESS;
}

static void late_close(kiln_device *handle) {
  struct device *device = (struct device *)handle;
  give(device, (struct item){.what = END}, NULL);
  pthread_join(device->thread, NULL);
  innerRun.close(device->inner);
  char line[160];
  snprintf(line, sizeof line,
           "late %u: %u executions, %u given while it was at work; %u waits, %u of them blocked; %u signals",
           device->number, device->executions, device->meanwhile, device->waits, device->blocked, device->signals);
  device->program->log(device->program->self, 2, (kiln_string){line, strlen(line)});
#ifdef LATE_MEMORIES
  snprintf(line, sizeof line, "late: buffers for any %u, arena %u, kept %u (%u no room), input %u, result %u",
           device->uses[0], device->uses[1], device->uses[2], device->full, device->uses[3], device->uses[4]);
  device->program->log(device->program->self, 2, (kiln_string){line, strlen(line)});
#endif
  free(device);
}

static int32_t made_buffer(struct device *device, kiln_buffer *made, uint64_t bytes, kiln_buffer **handle) {
  struct buffer *buffer = malloc(sizeof *buffer);
  *buffer = (struct buffer){device, made, bytes};
  *handle = (kiln_buffer *)buffer;
  return KILN_SUCCESS;
}
static int32_t late_allocate(kiln_device *handle, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  struct device *device = (struct device *)handle;
  kiln_buffer *made = NULL;
  pthread_mutex_lock(&device->use);
  int32_t code = innerRun.allocate(device->inner, bytes, &made, error);
  pthread_mutex_unlock(&device->use);
  return code ? code : made_buffer(device, made, bytes, buffer);
}
#ifdef LATE_HOST_MEMORY
static int32_t late_import(kiln_device *handle, void *memory, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  struct device *device = (struct device *)handle;
  kiln_buffer *made = NULL;
  pthread_mutex_lock(&device->use);
  int32_t code = innerRun.import(device->inner, memory, bytes, &made, error);
  pthread_mutex_unlock(&device->use);
  return code ? code : made_buffer(device, made, bytes, buffer);
}
#endif
#ifdef LATE_MEMORIES
/* Of parameters and states every third finds no room. */
static int32_t late_allocate_for(kiln_device *handle, uint64_t bytes, uint32_t use, kiln_buffer **buffer,
                                 kiln_error *error) {
  struct device *device = (struct device *)handle;
  if (use > KILN_USE_RESULT)
    use = KILN_USE_ANY;
  if (++device->uses[use] % 3 == 0 && use == KILN_USE_KEPT) {
    ++device->full;
    return late_fail(error, KILN_ERROR_OUT_OF_MEMORY, "the near memory is full");
  }
  return late_allocate(handle, bytes, buffer, error);
}
#endif
static void late_release(kiln_buffer *handle) {
  struct buffer *buffer = (struct buffer *)handle;
  drain(buffer->device);
  innerRun.release(buffer->inner);
  free(buffer);
}

static int32_t inside(const struct buffer *buffer, uint64_t at, uint64_t bytes, kiln_error *error) {
  return at <= buffer->size && bytes <= buffer->size - at
             ? KILN_SUCCESS
             : late_fail(error, KILN_ERROR_INVALID, "this reaches beyond the end of a buffer");
}

/* The bytes are taken at once: nobody waits for them. */
static int32_t late_write(kiln_buffer *handle, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  struct buffer *to = (struct buffer *)handle;
  if (inside(to, offset, bytes, error))
    return error->code;
  void *copied = malloc(bytes + 1);
  memcpy(copied, from, bytes);
  give(to->device,
       (struct item){.what = WRITE, .to = to, .to_offset = offset, .memory = copied, .owned = copied, .bytes = bytes},
       NULL);
  return KILN_SUCCESS;
}
static int32_t late_write_async(kiln_buffer *handle, uint64_t offset, const void *from, uint64_t bytes,
                                kiln_event **event, kiln_error *error) {
  struct buffer *to = (struct buffer *)handle;
  if (inside(to, offset, bytes, error))
    return error->code;
  struct item item = {.what = WRITE, .to = to, .to_offset = offset, .memory = (void *)from, .bytes = bytes};
  return queue(to->device, item, event, error);
}
static int32_t late_read_async(kiln_buffer *handle, uint64_t offset, void *to, uint64_t bytes, kiln_event **event,
                               kiln_error *error) {
  struct buffer *from = (struct buffer *)handle;
  if (inside(from, offset, bytes, error))
    return error->code;
  struct item item = {.what = READ, .from = from, .from_offset = offset, .memory = to, .bytes = bytes};
  return queue(from->device, item, event, error);
}
static int32_t late_read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  return late_read_async(from, offset, to, bytes, NULL, error);
}
static int32_t late_copy_async(kiln_buffer *a, uint64_t at, kiln_buffer *b, uint64_t offset, uint64_t bytes,
                               kiln_event **event, kiln_error *error) {
  struct buffer *from = (struct buffer *)a, *to = (struct buffer *)b;
  if (inside(from, at, bytes, error) || inside(to, offset, bytes, error))
    return error->code;
  return queue(from->device, (struct item){COPY, NULL, NULL, from, to, at, offset, bytes}, event, error);
}
static int32_t late_copy(kiln_buffer *a, uint64_t at, kiln_buffer *b, uint64_t offset, uint64_t bytes,
                         kiln_error *error) {
  return late_copy_async(a, at, b, offset, bytes, NULL, error);
}

/* ---- Programs ---- */
static int32_t late_load(kiln_device *handle, const kiln_program *program, const void *artifact, uint64_t bytes,
                         kiln_executable **executable, kiln_error *error) {
  struct device *device = (struct device *)handle;
  struct executable *made = malloc(sizeof *made);
  *made = (struct executable){device, NULL, program};
  pthread_mutex_lock(&device->use);
  int32_t code = innerRun.load(device->inner, program, artifact, bytes, &made->inner, error);
  pthread_mutex_unlock(&device->use);
  if (code)
    return free(made), code;
  *executable = (kiln_executable *)made;
  return KILN_SUCCESS;
}
static void late_unload(kiln_executable *handle) {
  struct executable *executable = (struct executable *)handle;
  drain(executable->device);
  innerRun.unload(executable->inner);
  free(executable);
}

/* All that is only the call's is copied: it is looked at when the call is long over. */
static int32_t late_execute(kiln_executable *handle, const kiln_execution *execution, kiln_error *error) {
  struct executable *executable = (struct executable *)handle;
  struct device *device = executable->device;
  kiln_entry_info entry = {.size = sizeof entry};
  kiln_program_info program = {.size = sizeof program};
  device->host.reader->program(executable->program, &program);
  if (execution->entry >= program.entry_count)
    return late_fail(error, KILN_ERROR_INVALID, "the program has no such entry");
  device->host.reader->entry(executable->program, execution->entry, &entry);
  size_t extents = entry.extent_count + entry.loop_slot_count, arguments = entry.argument_count;
  struct item item = {.what = EXECUTE, .executable = executable, .execution = *execution};
  uint8_t *owned = item.owned = malloc(extents * sizeof(int64_t) + arguments * sizeof(kiln_buffer *) + 1);
  int64_t *table = (int64_t *)owned;
  kiln_buffer **buffers = (kiln_buffer **)(owned + extents * sizeof *table);
  memcpy(table, execution->extents, extents * sizeof *table);
  for (size_t i = 0; i < arguments; ++i)
    buffers[i] = ((struct buffer *)execution->buffers[i])->inner;
  item.execution.size = sizeof item.execution;
  item.execution.buffers = buffers;
  item.execution.extents = table;
  item.execution.arena = execution->arena ? ((struct buffer *)execution->arena)->inner : NULL;
  item.execution.event = NULL;
  item.execution.versions = NULL;
  item.execution.cancel = KILN_HAS(execution, kiln_execution, cancel) ? execution->cancel : NULL;
  return queue(device, item, execution->event, error);
}

/* ---- The plugin ---- */
#ifndef LATE_HOST_MEMORY
static int32_t late_capabilities(const kiln_host *host, const kiln_target *target, kiln_capabilities *out,
                                 kiln_error *error) {
  int32_t code = inner->compile->capabilities(host, target, out, error);
  out->flags &= ~KILN_BACKEND_HOST_MEMORY;
  return code;
}
#endif

__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static kiln_compile_api compiling;
  static const kiln_run_api running = {.size = sizeof running,
                                       .device_count = late_count,
                                       .device_info = late_info,
                                       .open = late_open,
                                       .close = late_close,
                                       .allocate = late_allocate,
#ifdef LATE_HOST_MEMORY
                                       .import = late_import,
#endif
                                       .release = late_release,
                                       .write = late_write,
                                       .read = late_read,
                                       .copy = late_copy,
                                       .load = late_load,
                                       .unload = late_unload,
                                       .execute = late_execute,
                                       .wait = late_wait,
                                       .write_async = late_write_async,
                                       .read_async = late_read_async,
                                       .copy_async = late_copy_async,
                                       .notify = late_notify,
#ifdef LATE_MEMORIES
                                       .allocate_for = late_allocate_for,
#endif
                                       .after = late_after};
  static const kiln_option delay = {sizeof delay,
                                    KILN_OPTION_RUN,
                                    {"delay", 5},
                                    {"300", 3},
                                    {"microseconds that an execution takes longer", 43},
                                    0,
                                    1000000000,
                                    NULL,
                                    0,
                                    KILN_OPTION_INTEGER,
                                    0};
  static const kiln_option breaks = {sizeof breaks,
                                     KILN_OPTION_RUN,
                                     {"breaks", 6},
                                     {"0", 1},
                                     {"the number of the execution that fails", 38},
                                     0,
                                     1000000000,
                                     NULL,
                                     0,
                                     KILN_OPTION_INTEGER,
                                     0};
  static const kiln_option *const options[] = {&delay, &breaks};
  static kiln_backend backend;
#ifdef LATE_INNER
  inner = inner_plugin(offer, error);
#else
  void *library = dlopen(LATE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  kiln_backend_fn function = library ? (kiln_backend_fn)dlsym(library, KILN_BACKEND_SYMBOL) : NULL;
  if (!function)
    return late_fail(error, KILN_ERROR_INTERNAL, "the plugin within is not there"), NULL;
  inner = function(offer, error);
#endif
  if (!inner)
    return NULL;
  memcpy(&innerRun, inner->run, inner->run->size < sizeof innerRun ? inner->run->size : sizeof innerRun);
  compiling = *inner->compile;
#ifndef LATE_HOST_MEMORY
  compiling.capabilities = late_capabilities;
#endif
  backend = (kiln_backend){.size = sizeof backend,
                           .version = inner->version,
                           .name = {LATE_NAME, sizeof LATE_NAME - 1},
                           .title = {LATE_NAME " 1.0", sizeof LATE_NAME + 3},
                           .compile = &compiling,
                           .run = &running,
                           .options = options,
                           .option_count = 2};
  return &backend;
}
