/* The smallest backend, with loops: a "scan" of elementwise ops over values of one shape is one kernel, in which each
 * element goes through all steps by itself. What else a loop may hold it refuses. docs/grow-a-backend.md tells of it.
 */
#include <kiln/kiln_backend.h>
#include <math.h>
#define MOST 64 /* values of a region */
enum { ADD, SUB, MUL, NEG, TANH, CONSTANT, SCALE, NAMES };
struct loop {
  kiln_extent count, elements[8];
  uint32_t rank, carries, sequences, operands, results, reverse, steps;
  uint32_t inputs[MOST], outputs[MOST]; /* of the region; the step's number, input 0, is not read */
  struct {
    uint32_t name, operands[2], result;
    float constant;
  } ops[MOST];
};
#include "loops_minimal.c"
static const char *understand_step(const kiln_reader *read, const kiln_kernel *region, const struct loop *loop,
                                   uint32_t number, uint32_t *name, float *constant) {
  static const char *const names[] = {"add", "sub", "mul", "neg", "tanh", "constant"};
  kiln_op op = {.size = sizeof op};
  kiln_type type = {.size = sizeof type};
  kiln_attr attr = {.size = sizeof attr};
  read->op(region, number, &op);
  for (*name = 0; *name < SCALE; ++*name)
    if (op.name.size == strlen(names[*name]) && !memcmp(op.name.data, names[*name], op.name.size))
      break;
  read->value(region, op.results[0], &type);
  int same = type.dtype == KILN_F32 && type.rank == loop->rank;
  for (uint32_t d = 0; same && d < type.rank; ++d)
    same = type.dims[d].slot == loop->elements[d].slot && type.dims[d].value == loop->elements[d].value;
  if (*name == SCALE || !same)
    return "this backend has loops of add, sub, mul, neg and tanh over f32 of one shape";
  if (*name == CONSTANT) {
    if (!read->find_attr(region, number, TEXT("value"), &attr) || attr.string.size != sizeof *constant)
      return "this backend has loops whose constants are the same for all elements";
    memcpy(constant, attr.string.data, sizeof *constant);
  }
  return NULL;
}
/* Null, or why the loop is not for us. The first op of the kernel is a scan. */
static const char *understand_loop(const kiln_reader *read, const kiln_kernel *kernel, struct loop *loop) {
  kiln_kernel_info info = {.size = sizeof info}, step = {.size = sizeof step};
  kiln_op op = {.size = sizeof op};
  kiln_type type = {.size = sizeof type};
  kiln_attr count = {.size = sizeof count}, carries = count, sequences = count, reverse = count;
  read->kernel(kernel, &info);
  read->op(kernel, 0, &op);
  if (info.op_count != 1 || !op.region)
    return "this backend takes a loop by itself";
  read->kernel(op.region, &step);
  if (step.value_count > MOST || step.op_count > MOST || step.input_count > MOST || step.output_count > MOST)
    return "this backend has loops of up to 64 values";
  read->find_attr(kernel, 0, TEXT("count"), &count);
  read->find_attr(kernel, 0, TEXT("carries"), &carries);
  read->find_attr(kernel, 0, TEXT("sequences"), &sequences);
  read->find_attr(kernel, 0, TEXT("reverse"), &reverse);
  read->value(op.region, step.outputs[0], &type);
  if (type.dtype != KILN_F32 || type.rank > 8)
    return "this backend has loops over f32";
  memset(loop, 0, sizeof *loop);
  *loop = (struct loop){.count = count.extents[0],
                        .rank = type.rank,
                        .carries = carries.integer,
                        .sequences = sequences.integer,
                        .operands = op.operand_count,
                        .results = op.result_count,
                        .reverse = reverse.integer,
                        .steps = step.op_count};
  memcpy(loop->elements, type.dims, type.rank * sizeof *type.dims);
  memcpy(loop->inputs, step.inputs, step.input_count * sizeof *step.inputs);
  memcpy(loop->outputs, step.outputs, step.output_count * sizeof *step.outputs);
  for (uint32_t i = 1; i < step.input_count; ++i) {
    read->value(op.region, step.inputs[i], &type);
    int same = type.dtype == KILN_F32 && type.rank == loop->rank;
    for (uint32_t d = 0; same && d < type.rank; ++d)
      same = type.dims[d].slot == loop->elements[d].slot && type.dims[d].value == loop->elements[d].value;
    /* The kernel's inputs in the order of the loop's operands, each once: then places and operands are one. */
    if (!same || op.operand_count != info.input_count || op.operands[i - 1] != info.inputs[i - 1])
      return "this backend has loops whose operands are f32 of one shape";
  }
  for (uint32_t i = 0; i < info.output_count; ++i)
    if (info.output_count != op.result_count || op.results[i] != info.outputs[i])
      return "this backend gives all that a loop gives";
  for (uint32_t i = 0; i < step.op_count; ++i) {
    kiln_op one = {.size = sizeof one};
    const char *why = understand_step(read, op.region, loop, i, &loop->ops[i].name, &loop->ops[i].constant);
    if (why)
      return why;
    read->op(op.region, i, &one);
    for (uint32_t k = 0; k < one.operand_count; ++k) {
      if (one.operands[k] == loop->inputs[0])
        return "this backend has loops that do not read the step's number";
      loop->ops[i].operands[k] = one.operands[k];
    }
    loop->ops[i].result = one.results[0];
  }
  return NULL;
}
static void step(const struct loop *loop, float *v) {
  for (uint32_t i = 0; i < loop->steps; ++i) {
    float a = v[loop->ops[i].operands[0]], b = v[loop->ops[i].operands[1]];
    switch (loop->ops[i].name) {
    case ADD:
      a += b;
      break;
    case SUB:
      a -= b;
      break;
    case MUL:
      a *= b;
      break;
    case NEG:
      a = -a;
      break;
    case TANH:
      a = tanhf(a);
      break;
    default:
      a = loop->ops[i].constant;
    }
    v[loop->ops[i].result] = a;
  }
}
static void launch_loop(const kiln_executable *w, const kiln_node_info *node) {
  const struct loop *loop = &w->codes[node->kernel].loop;
  int64_t n = 1, count = extent(w, node, loop->count);
  float *places[2 * MOST], v[MOST] = {0};
  if (getenv("LOOPS_FORGOTTEN"))
    return; /* a fault, for the tests */
  for (uint32_t d = 0; d < loop->rank; ++d)
    n *= extent(w, node, loop->elements[d]);
  for (uint32_t i = 0; i < node->place_count; ++i)
    places[i] = (float *)place(w, &node->places[i]);
  for (int64_t e = 0; e < n; ++e) {
    for (uint32_t i = 0; i < loop->operands; ++i)
      v[loop->inputs[1 + i]] = places[i][e];
    for (int64_t s = 0; s < count; ++s) {
      int64_t at = (loop->reverse ? count - 1 - s : s) * n + e;
      float next[MOST];
      for (uint32_t i = loop->carries; i < loop->carries + loop->sequences; ++i)
        v[loop->inputs[1 + i]] = places[i][at];
      step(loop, v);
      for (uint32_t i = 0; i < loop->results; ++i)
        next[i] = v[loop->outputs[i]];
      for (uint32_t i = 0; i < loop->results; ++i)
        if (i < loop->carries)
          v[loop->inputs[1 + i]] = next[i];
        else
          places[loop->operands + i][at] = next[i];
    }
    for (uint32_t i = 0; i < loop->carries; ++i)
      places[loop->operands + i][e] = v[loop->inputs[1 + i]];
  }
}
