/* The smallest backend with weights that it packs once: what an execution only reads is copied to memory of the
 * device's own, and taken from there as long as the host says that it holds what it held (kiln_execution.versions).
 * Were the host wrong, results would be those of older weights. PACKING_BLIND: it never looks at the number again,
 * which is to be seen in the results. */
#define kiln_backend_plugin minimal_plugin
#include "../minimal/minimal.c"
#undef kiln_backend_plugin
#include <stdio.h>

enum { most_arguments = 256, most_packed = 256 };

/* What an argument held, by the number that it had. */
static struct packed {
  uint64_t version;
  kiln_buffer *copy;
} packs[most_packed];
static size_t pack_count, packed_times, reused_times;
static const kiln_host *told;

static void forget(void) {
  for (; pack_count; --pack_count)
    free(packs[pack_count - 1].copy);
}

/* A copy of the buffer; null where there is no room. */
static kiln_buffer *pack(const kiln_buffer *buffer, uint64_t version) {
  for (size_t i = 0; i < pack_count; ++i)
    if (packs[i].version == version && packs[i].copy->size == buffer->size)
      return ++reused_times, packs[i].copy;
  kiln_buffer *copy = pack_count == most_packed ? NULL : malloc(sizeof *copy + buffer->size);
  if (!copy)
    return NULL;
  copy->size = buffer->size;
  memcpy(copy->bytes, buffer->bytes, buffer->size);
  packs[pack_count++] = (struct packed){version, copy};
  return ++packed_times, copy;
}

static int32_t packing_execute(kiln_executable *w, const kiln_execution *execution, kiln_error *error) {
  kiln_entry_info entry = {.size = sizeof entry};
  w->read->entry(w->program, execution->entry, &entry);
  const uint64_t *versions = KILN_HAS(execution, kiln_execution, versions) ? execution->versions : NULL;
  if (!versions || entry.argument_count > most_arguments || !KILN_HAS(w->read, kiln_reader, argument))
    return execute(w, execution, error);
  kiln_buffer *buffers[most_arguments];
  if (pack_count > most_packed / 2)
    forget();
  for (uint32_t i = 0; i < entry.argument_count; ++i) {
    kiln_argument argument = {.size = sizeof argument};
    w->read->argument(w->program, execution->entry, i, &argument);
    buffers[i] = execution->buffers[i];
    uint64_t version = versions[i];
#ifdef PACKING_BLIND
    for (uint64_t c = version = argument.name.size; version && c--;) /* by its name alone */
      version = version * 31 + (uint8_t)argument.name.data[c];
#endif
    int weight = argument.role == KILN_ROLE_PARAMETER || argument.role == KILN_ROLE_STATE;
    if (!weight || argument.flags != KILN_ARGUMENT_READ || !version)
      continue;
    kiln_buffer *copy = pack(buffers[i], version);
    buffers[i] = copy ? copy : buffers[i];
  }
  kiln_execution with_copies = *execution;
  with_copies.buffers = buffers;
  return execute(w, &with_copies, error);
}

static int32_t packing_open(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  forget(); /* numbers are a device's */
  packed_times = reused_times = 0;
  told = host;
  return open_device(host, number, device, error);
}
static void packing_close(kiln_device *device) {
  char line[80];
  snprintf(line, sizeof line, "packing: packed %zu times, reused %zu times", packed_times, reused_times);
  told->log(told->self, 2, (kiln_string){line, strlen(line)});
  forget();
  close_device(device);
}

__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static kiln_run_api running;
  static kiln_backend backend;
  const kiln_backend *plain = minimal_plugin(offer, error);
  if (!plain || backend.size)
    return plain ? &backend : NULL;
  running = *plain->run;
  running.open = packing_open;
  running.close = packing_close;
  running.execute = packing_execute;
  backend = *plain;
  backend.name = TEXT("packing");
  backend.title = TEXT("packing 1.0");
  backend.run = &running;
  return &backend;
}
