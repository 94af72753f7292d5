/* A backend of whole composites: softmax over the last axis, and a user's own op swiglu with its gradient, of f32, on
 * the host's threads. docs/grow-a-backend.md tells of it. */
#include <kiln/kiln_backend.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define TEXT(literal) ((kiln_string){literal, sizeof(literal) - 1})
#define MOST_DIMS 4
#define START_SECONDS 2e-6    /* to wake the threads */
#define BYTES_PER_SECOND 10e9 /* what a core reads and writes */
static int32_t fail(kiln_error *error, int32_t code, const char *message) {
  memcpy(error->message, message, strlen(message) + 1); /* all of ours are short */
  return error->code = code;
}
/* ---- The compile side ---- */
enum { SOFTMAX, SWIGLU, SWIGLU_GRAD, OPS };
static const kiln_string names[OPS] = {{"softmax", 7}, {"swiglu", 6}, {"swiglu_grad", 11}};
struct code { /* of one kernel */
  uint32_t op, rank;
  kiln_extent dims[MOST_DIMS]; /* of the first input */
  double beta;                 /* swiglu's */
};
/* Null, or why the kernel is not for us. */
static const char *understand(const kiln_reader *read, const kiln_kernel *kernel, struct code *code) {
  kiln_kernel_info info = {.size = sizeof info};
  kiln_op op = {.size = sizeof op};
  kiln_type type = {.size = sizeof type};
  kiln_attr attr = {.size = sizeof attr};
  read->kernel(kernel, &info);
  read->op(kernel, 0, &op);
  for (code->op = 0; code->op < OPS; ++code->op)
    if (op.name.size == names[code->op].size && !memcmp(op.name.data, names[code->op].data, op.name.size))
      break;
  if (info.op_count != 1 || code->op == OPS || info.output_count != 1)
    return "this backend takes softmax, swiglu and swiglu_grad, one at a time";
  read->value(kernel, info.inputs[0], &type);
  if (type.dtype != KILN_F32 || type.rank == 0 || type.rank > MOST_DIMS)
    return "this backend computes with f32 of one to four axes";
  code->rank = type.rank;
  memcpy(code->dims, type.dims, type.rank * sizeof *type.dims);
  if (code->op == SOFTMAX && (!read->find_attr(kernel, 0, TEXT("axis"), &attr) || attr.integer + 1 != type.rank))
    return "this backend has a softmax of the last axis";
  code->beta = code->op != SOFTMAX && read->find_attr(kernel, 0, TEXT("beta"), &attr) ? attr.number : 1;
  return NULL;
}
static int32_t capabilities(const kiln_host *host, const kiln_target *to, kiln_capabilities *out, kiln_error *error) {
  out->flags = KILN_BACKEND_DETERMINISTIC | KILN_BACKEND_HOST_MEMORY;
  if (out->size >= sizeof *out)
    out->composites = names, out->composite_count = OPS;
  return KILN_SUCCESS;
}
static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                     const kiln_answer *answer, kiln_error *error) {
  struct code code;
  kiln_terms terms = {.size = sizeof terms, .form = TEXT("rows")};
  const char *why = understand(host->reader, kernel, &code);
  if (why)
    return answer->refuse(answer->self, KILN_NONE, (kiln_string){why, strlen(why)}), KILN_SUCCESS;
  double bytes = sizeof(float);
  for (uint32_t d = 0; d < code.rank; ++d)
    bytes *= (double)code.dims[d].value; /* where it is dynamic: its bound */
  terms.seconds = START_SECONDS + 2 * bytes / BYTES_PER_SECOND;
  return answer->take(answer->self, NULL, 0, &terms), KILN_SUCCESS;
}
static int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                       const kiln_sink *sink, kiln_error *error) {
  kiln_program_info info = {.size = sizeof info};
  host->reader->program(program, &info);
  struct code *codes = calloc(info.kernel_count + 1, sizeof *codes);
  if (!codes)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory to compile in");
  for (uint32_t i = 0; i < info.kernel_count; ++i)
    understand(host->reader, host->reader->program_kernel(program, i), &codes[i]);
  sink->add(sink->self, KILN_BLOB_BYTES, TEXT("whole"), codes, info.kernel_count * sizeof *codes);
  free(codes);
  return KILN_SUCCESS;
}
/* ---- The run side: one device, which is this process ---- */
struct kiln_buffer {
  uint64_t size;
  uint8_t *bytes; /* the host's, or behind this */
};
struct kiln_executable {
  const kiln_host *host; /* the device's: its threads */
  const kiln_reader *read;
  const kiln_program *program;
  const struct code *codes; /* the artifact */
  const uint8_t *constants;
  const kiln_execution *run;             /* the one that is under way */
  int64_t iteration[KILN_MAX_LOOPS + 1]; /* of the loops around, the outermost first */
  int depth;
};
static int32_t devices(const kiln_host *host, uint32_t *count, kiln_string *why, kiln_error *error) {
  return *count = 1, KILN_SUCCESS;
}
static int32_t device_info(const kiln_host *host, uint32_t number, kiln_device_info *info, kiln_error *error) {
  info->flags = KILN_BACKEND_HOST_MEMORY;
  return info->usable = 1, info->name = TEXT("this process"), KILN_SUCCESS;
}
static int32_t open_device(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  *device = number ? NULL : (kiln_device *)host; /* all that a device needs to know here */
  return number ? fail(error, KILN_ERROR_INVALID, "there is one device, number 0") : KILN_SUCCESS;
}
static void close_device(kiln_device *device) {}
static int32_t import(kiln_device *device, void *memory, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  uint64_t own = memory ? 0 : bytes + 64;
  kiln_buffer *made = own < SIZE_MAX / 2 ? malloc(sizeof *made + own) : NULL;
  if (!made)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory for a buffer");
  uint8_t *behind = (uint8_t *)(made + 1); /* from there to what places are aligned to */
  *made = (kiln_buffer){bytes, memory ? memory : behind + 63 - ((uintptr_t)behind + 63) % 64};
  return *buffer = made, KILN_SUCCESS;
}
static int32_t allocate(kiln_device *device, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  return import(device, NULL, bytes, buffer, error);
}
static int32_t map(kiln_buffer *buffer, void **memory, kiln_error *error) {
  return *memory = buffer->bytes, KILN_SUCCESS;
}
static void unmap(kiln_buffer *buffer) {}
static void release(kiln_buffer *buffer) { free(buffer); }
static int32_t check(const kiln_buffer *buffer, uint64_t at, uint64_t bytes, kiln_error *error) {
  int inside = at <= buffer->size && bytes <= buffer->size - at;
  return inside ? KILN_SUCCESS : fail(error, KILN_ERROR_INVALID, "this reaches beyond the end of a buffer");
}
static int32_t write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  return check(to, offset, bytes, error) ? error->code : (memmove(to->bytes + offset, from, bytes), KILN_SUCCESS);
}
static int32_t read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  return check(from, offset, bytes, error) ? error->code : (memcpy(to, from->bytes + offset, bytes), KILN_SUCCESS);
}
static int32_t copy(kiln_buffer *a, uint64_t at, kiln_buffer *b, uint64_t to, uint64_t bytes, kiln_error *error) {
  return check(a, at, bytes, error) ? error->code : write(b, to, a->bytes + at, bytes, error);
}
static int32_t load(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
                    kiln_executable **executable, kiln_error *error) {
  kiln_executable *made = malloc(sizeof *made);
  if (!made)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory for a program");
  *made = (kiln_executable){.host = (const kiln_host *)device,
                            .read = ((const kiln_host *)device)->reader,
                            .program = program,
                            .codes = artifact};
  kiln_program_info info = {.size = sizeof info};
  made->read->program(program, &info);
  if (bytes != info.kernel_count * sizeof(struct code))
    return free(made), fail(error, KILN_ERROR_INVALID, "this artifact is not of this program: build it again");
  return made->constants = info.constants, *executable = made, KILN_SUCCESS;
}
static void unload(kiln_executable *executable) { free(executable); }
static int64_t value(kiln_extent extent, const int64_t *table) {
  return extent.slot < 0 ? extent.value : table[extent.slot];
}
static uint8_t *place(const kiln_executable *w, const kiln_place *p) {
  uint8_t *at = p->space == KILN_SPACE_ARENA      ? w->run->arena->bytes
                : p->space == KILN_SPACE_ARGUMENT ? w->run->buffers[p->argument]->bytes
                                                  : (uint8_t *)w->constants;
  for (int level = 0; level < w->depth; ++level)
    at += value(p->stride[level], w->run->extents) * w->iteration[level];
  return at + p->offset;
}
static int64_t extent(const kiln_executable *w, const kiln_node_info *node, kiln_extent of) {
  return of.slot < 0 ? of.value : value(node->extents[of.slot], w->run->extents);
}
struct work { /* of one launch */
  const struct code *code;
  const float *x, *second;
  float *out;
  int64_t width;
};
static void softmax(const struct work *w, int64_t row) {
  const float *x = w->x + row * w->width;
  float *out = w->out + row * w->width, most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < w->width; ++i)
    most = x[i] > most ? x[i] : most;
  for (int64_t i = 0; i < w->width; ++i)
    sum += out[i] = expf(x[i] - most);
  for (int64_t i = 0; i < w->width; ++i)
    out[i] /= sum;
}
/* A row of x is [a, b]: a * sigmoid(beta * a) * b, or, where dy is given, the gradient of x. */
static void swiglu(const struct work *w, int64_t row, const float *dy) {
  int64_t n = w->width / 2;
  const float *x = w->x + row * w->width;
  const float beta = (float)w->code->beta;
  float *out = w->out + row * (dy ? w->width : n);
  for (int64_t i = 0; i < n; ++i) {
    float a = x[i], b = x[i + n], s = 1 / (1 + expf(-beta * a));
    if (!dy) {
      out[i] = a * s * b;
    } else {
      out[i] = dy[row * n + i] * b * (s + beta * a * s * (1 - s));
      out[i + n] = dy[row * n + i] * a * s;
    }
  }
}
static void rows(void *context, int64_t begin, int64_t end, uint32_t worker) {
  const struct work *w = context;
  for (int64_t row = begin; row < end; ++row)
    w->code->op == SOFTMAX ? softmax(w, row) : swiglu(w, row, w->code->op == SWIGLU ? NULL : w->second);
}
static void launch(const kiln_executable *w, const kiln_node_info *node) {
  const struct code *code = &w->codes[node->kernel];
  struct work work = {code, (const float *)place(w, &node->places[0]), (const float *)place(w, &node->places[1]),
                      (float *)place(w, &node->places[node->place_count - 1]),
                      extent(w, node, code->dims[code->rank - 1])};
  int64_t count = 1;
  for (uint32_t d = 0; d + 1 < code->rank; ++d)
    count *= extent(w, node, code->dims[d]);
  w->host->parallel_for(w->host->self, count, rows, &work);
}
static void run(kiln_executable *w, const kiln_node *node) {
  kiln_node_info info = {.size = sizeof info};
  w->read->node(node, &info);
  if (info.kind == KILN_NODE_LAUNCH)
    launch(w, &info);
  if (info.kind == KILN_NODE_COPY)
    memmove(place(w, &info.places[1]), place(w, &info.places[0]), value(info.count, w->run->extents));
  if (info.kind == KILN_NODE_IF)
    run(w, w->read->child(node, *place(w, info.condition) ? 0 : 1));
  if (info.kind == KILN_NODE_WHILE)
    for (run(w, w->read->child(node, 0)); *place(w, info.condition); run(w, w->read->child(node, 0)))
      run(w, w->read->child(node, 1));
  int loop = info.kind == KILN_NODE_REPEAT;
  int64_t count = loop ? value(info.count, w->run->extents) : info.kind == KILN_NODE_SEQUENCE;
  for (int64_t i = 0; i < count; ++i, w->depth -= loop) {
    w->iteration[w->depth] = info.reverse ? count - 1 - i : i;
    if (loop && info.index_slot >= 0)
      w->run->extents[info.index_slot] = w->iteration[w->depth];
    w->depth += loop;
    for (uint32_t c = 0; c < info.child_count; ++c)
      run(w, w->read->child(node, c));
  }
}
static int32_t execute(kiln_executable *w, const kiln_execution *execution, kiln_error *error) {
  kiln_entry_info entry = {.size = sizeof entry};
  w->read->entry(w->program, execution->entry, &entry);
  if (!entry.root)
    return fail(error, KILN_ERROR_INVALID, "the program has no such entry");
  w->run = execution;
  run(w, entry.root);
  if (execution->event)
    *execution->event = NULL; /* all is done */
  return KILN_SUCCESS;
}
static int32_t wait(kiln_event *event, kiln_error *error) { return KILN_SUCCESS; }
/* ---- The plugin ---- */
__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static const kiln_compile_api compiling = {sizeof compiling, capabilities, claim, compile};
  static const kiln_run_api running = {sizeof running, devices, device_info, open_device, close_device, allocate,
                                       import,         release, map,         unmap,       write,        read,
                                       copy,           load,    unload,      execute,     wait};
  static const kiln_backend backend = {sizeof backend, 1, {"whole", 5}, {"whole 1.0", 9}, &compiling, &running};
  int known = offer->oldest <= 1 && offer->newest >= 1;
  return known ? &backend : (fail(error, KILN_ERROR_VERSION, "this backend speaks version 1 of the interface"), NULL);
}
