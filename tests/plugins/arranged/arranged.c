/* The smallest backend, whose products are quicker where the second matrix lies by its columns: it asks the host for
 * that (kiln_terms.layouts), and takes the product of a transposed operand that it is then offered. Closed, it says how
 * many executions had such operands and how often one of them was another than before. */
#define kiln_backend_plugin minimal_plugin
#include "arranged_minimal.c" /* minimal.c, whose launch reads such an operand where code.product is BY_COLUMNS */
#undef kiln_backend_plugin
#include <stdio.h>

enum { BY_COLUMNS = 2, most_entries = 64, most_arguments = 64 };

static uint64_t last[most_entries][most_arguments]; /* the versions of each entry's weights */
static size_t executions, changes;
static const kiln_host *told;

/* As minimal.c, or with a transpose of the second operand in front. */
static const char *understand_arranged(const kiln_reader *read, const kiln_kernel *kernel, struct code *code) {
  kiln_kernel_info info = {.size = sizeof info};
  kiln_op first = {.size = sizeof first}, second = {.size = sizeof second};
  kiln_type a = {.size = sizeof a}, b = {.size = sizeof b}, result = {.size = sizeof result};
  kiln_attr order = {.size = sizeof order}, batch = {.size = sizeof batch}, left = batch, right = batch;
  read->kernel(kernel, &info);
  read->op(kernel, 0, &first);
  if (info.op_count != 2 || !IS(first.name, "transpose"))
    return understand(read, kernel, code);
  read->op(kernel, 1, &second);
  if (!IS(second.name, "dot_general") || info.input_count != 2 || info.output_count != 1 ||
      first.operands[0] != info.inputs[1] || second.operands[0] != info.inputs[0] ||
      second.operands[1] != first.results[0] || second.results[0] != info.outputs[0])
    return "this backend takes a transpose in front of a product's second operand alone";
  read->value(kernel, info.inputs[0], &a);
  read->value(kernel, info.inputs[1], &b);
  read->value(kernel, info.outputs[0], &result);
  if (a.dtype != KILN_F32 || b.dtype != KILN_F32 || result.dtype != KILN_F32 || a.rank != 2 || b.rank != 2 ||
      !read->find_attr(kernel, 0, TEXT("permutation"), &order) || order.ints[0] != 1 ||
      !read->find_attr(kernel, 1, TEXT("lhs_batch"), &batch) || batch.count ||
      !read->find_attr(kernel, 1, TEXT("lhs_contract"), &left) || left.count != 1 || left.ints[0] != 1 ||
      !read->find_attr(kernel, 1, TEXT("rhs_contract"), &right) || right.count != 1 || right.ints[0] != 0)
    return "this backend multiplies plain matrices";
  *code = (struct code){BY_COLUMNS, result.dims[0], result.dims[1], a.dims[1]};
  return NULL;
}

static int32_t claim_arranged(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                              const kiln_answer *answer, kiln_error *error) {
  static const uint32_t by_columns[] = {1, 0};
  static const kiln_layout second = {sizeof second, 1, 2, 0, by_columns};
  static const kiln_layout *const layouts[] = {&second};
  struct code code;
  kiln_terms terms = {.size = sizeof terms};
  const char *why = understand_arranged(host->reader, kernel, &code);
  if (!why && code.product == 1)
    terms.layouts = layouts, terms.layout_count = 1;
  if (!why && code.product == BY_COLUMNS)
    terms.form = TEXT("by columns");
  why ? answer->refuse(answer->self, KILN_NONE, (kiln_string){why, strlen(why)})
      : answer->take(answer->self, NULL, 0, &terms);
  return KILN_SUCCESS;
}

static int32_t compile_arranged(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                                const kiln_sink *sink, kiln_error *error) {
  kiln_program_info info = {.size = sizeof info};
  host->reader->program(program, &info);
  struct code *codes = calloc(info.kernel_count + 1, sizeof *codes);
  if (!codes)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory to compile in");
  for (uint32_t i = 0; i < info.kernel_count; ++i)
    understand_arranged(host->reader, host->reader->program_kernel(program, i), &codes[i]);
  sink->add(sink->self, KILN_BLOB_BYTES, TEXT("arranged"), codes, info.kernel_count * sizeof *codes);
  free(codes);
  return KILN_SUCCESS;
}

static int32_t execute_arranged(kiln_executable *w, const kiln_execution *execution, kiln_error *error) {
  kiln_entry_info entry = {.size = sizeof entry};
  w->read->entry(w->program, execution->entry, &entry);
  int known = execution->versions && execution->entry < most_entries && entry.argument_count <= most_arguments;
  for (uint32_t i = 0; known && i < entry.argument_count; ++i) {
    kiln_argument argument = {.size = sizeof argument};
    w->read->argument(w->program, execution->entry, i, &argument);
    if (argument.role != KILN_ROLE_PARAMETER || argument.flags != KILN_ARGUMENT_READ)
      continue;
    changes += last[execution->entry][i] != execution->versions[i];
    last[execution->entry][i] = execution->versions[i];
  }
  ++executions;
  return execute(w, execution, error);
}

static int32_t open_arranged(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  told = host;
  executions = changes = 0;
  memset(last, 0, sizeof last);
  return open_device(host, number, device, error);
}
static void close_arranged(kiln_device *device) {
  char line[100];
  snprintf(line, sizeof line, "arranged: %zu executions, %zu other weights", executions, changes);
  told->log(told->self, 2, (kiln_string){line, strlen(line)});
  close_device(device);
}

__attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                               kiln_error *error) {
  static kiln_compile_api compiling;
  static kiln_run_api running;
  static kiln_backend backend;
  const kiln_backend *plain = minimal_plugin(offer, error);
  if (!plain)
    return NULL;
  compiling = *plain->compile;
  compiling.claim = claim_arranged;
  compiling.compile = compile_arranged;
  running = *plain->run;
  running.open = open_arranged;
  running.close = close_arranged;
  running.execute = execute_arranged;
  backend = *plain;
  backend.name = TEXT("arranged");
  backend.title = TEXT("arranged 1.0");
  backend.compile = &compiling;
  backend.run = &running;
  return &backend;
}
