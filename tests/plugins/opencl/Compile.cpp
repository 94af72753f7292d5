#include "Compile.h"

#include <algorithm>

namespace kiln::opencl {

// The record is what the host knows as kiln_status, behind the word by which one item claims it: launches of a queue
// run in order, so the first to report is of the first launch.
static const char *const prelude = R"(#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL FP_CONTRACT OFF
typedef struct { int claimed, kind; uint kernel_number, op; long value, limit, order; } kiln_record;
static inline void kiln_report(global kiln_record *record, uint kernel_number, long order, int kind, uint op, long value,
                               long limit) {
  if (atomic_cmpxchg((volatile global int *)&record->claimed, 0, 1) != 0)
    return;
  record->kind = kind;
  record->kernel_number = kernel_number;
  record->op = op;
  record->value = value;
  record->limit = limit;
  record->order = order;
}
)";

std::string Arguments::report(kiln_status_kind kind, uint32_t op, const std::string &condition,
                              const std::string &value, const std::string &limit) {
  return "if (" + condition + ") kiln_report(record, kernel_number, order, " + std::to_string(kind) + ", " +
         std::to_string(op) + ", " + value + ", " + limit + ");";
}

uint32_t Build::addScratch(kiln_dtype dtype, int64_t bytes) {
  kernel.scratch.push_back(scratchBytes);
  scratchTypes.push_back(dtype);
  scratchBytes += (bytes + 63) / 64 * 64;
  return static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size() + kernel.scratch.size()) - 1;
}

void Build::add(sdk::Emitter &e, Launch launch, const std::string &prefix) {
  launch.function = kernel.name + "_" + std::to_string(kernel.launches.size());
  std::string arguments, pointers;
  uint32_t place = 0;
  auto declare = [&](kiln_dtype dtype) {
    std::string n = std::to_string(place++), type = e.storageType(dtype);
    arguments += ", global uchar *b" + n + ", long o" + n;
    pointers += "  global " + type + " *p" + n + " = (global " + type + " *)(b" + n + " + o" + n + ");\n";
  };
  for (uint32_t value : graph.inputs)
    declare(graph.type(value).dtype);
  for (uint32_t value : graph.outputs)
    declare(graph.type(value).dtype);
  for (kiln_dtype dtype : scratchTypes)
    declare(dtype);
  for (size_t i = 0; i < graph.extentBounds.size(); ++i)
    arguments += ", long e" + std::to_string(i);
  std::string body = e.take();
  text += "kernel void " + launch.function + "(global kiln_record *record, uint kernel_number, long order, long items" +
          arguments + ") {\n  const long item = get_global_id(0);\n  if (item >= items)\n    return;\n" + pointers +
          prefix + body + "}\n";
  functions.insert(e.used().begin(), e.used().end());
  kernel.launches.push_back(std::move(launch));
}

bool build(const kiln_reader &reader, const kiln_kernel *source, Build &out, std::string &reason, uint32_t &op) {
  op = KILN_NONE;
  if (!sdk::Graph::read(reader, source, out.graph, reason))
    return false;
  const sdk::Graph &graph = out.graph;
  out.kernel.name = graph.name;
  out.kernel.places = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  out.kernel.extents = static_cast<uint32_t>(graph.extentBounds.size());
  Arguments around;
  if (!sdk::Emitter(graph, around, out.options()).canPrintAll(reason, op))
    return false;
  if (buildProduct(out))
    return true;
  sdk::Phases phases;
  if (!sdk::Phases::plan(graph, phases, reason, op))
    return false;
  for (const sdk::Stored &stored : phases.scratch)
    out.addScratch(graph.type(stored.value).dtype, stored.bytes);
  for (const sdk::Phase &phase : phases.phases) {
    sdk::Emitter e(graph, around, out.options());
    phases.print(e, phase, sdk::Emitter::outer(out.options().wideIndex ? "item" : "((int)item)"));
    // What runs long is spread over more groups.
    bool loops = std::any_of(graph.ops.begin(), graph.ops.end(), [](const sdk::Op &o) { return sdk::isWhole(o.code); });
    out.add(e, {"", loops ? static_cast<size_t>(8) : static_cast<size_t>(64), {{1, phase.items}}});
  }
  return true;
}

//===-- The compile side ------------------------------------------------------------------------------------------===//

static int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *out, kiln_error *) {
  kiln_capabilities mine = {};
  mine.size = out->size;
  mine.flags = KILN_BACKEND_DETERMINISTIC;
  std::copy_n(reinterpret_cast<const char *>(&mine), std::min<size_t>(out->size, sizeof(mine)),
              reinterpret_cast<char *>(out));
  return KILN_SUCCESS;
}

static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *, const kiln_answer *answer,
                     kiln_error *) {
  Build built;
  std::string reason;
  uint32_t op;
  if (!build(*host->reader, kernel, built, reason, op)) {
    answer->refuse(answer->self, op, {reason.data(), reason.size()});
    return KILN_SUCCESS;
  }
  kiln_terms terms = {sizeof(terms), 0, built.scratchBytes};
  answer->take(answer->self, nullptr, 0, &terms);
  return KILN_SUCCESS;
}

static int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                       const kiln_sink *sink, kiln_error *error) {
  kiln_program_info info = {};
  info.size = sizeof(info);
  host->reader->program(program, &info);
  Artifact artifact;
  std::set<std::string> functions;
  std::string text;
  for (uint32_t i = 0; i < info.kernel_count; ++i) {
    Build built;
    std::string reason;
    uint32_t op;
    if (!build(*host->reader, host->reader->program_kernel(program, i), built, reason, op)) {
      fail(error, KILN_ERROR_INVALID, "kernel " + built.graph.name + " was not taken: " + reason);
      error->kernel = i;
      error->op = op;
      return KILN_ERROR_INVALID;
    }
    artifact.kernels.push_back(built.kernel);
    functions.insert(built.functions.begin(), built.functions.end());
    text += built.text;
  }
  artifact.source = prelude + sdk::printFunctions(sdk::Language::OpenCL, false, functions) + text;
  bool stage = target->emit.size && std::string(target->emit.data, target->emit.size) == "opencl";
  std::string blob = stage ? artifact.source : write(artifact);
  sink->add(sink->self, stage ? KILN_BLOB_TEXT : KILN_BLOB_BYTES, {"opencl", 6}, blob.data(), blob.size());
  return KILN_SUCCESS;
}

const kiln_compile_api *compileApi() {
  static const kiln_compile_api api = {sizeof(api), capabilities, claim, compile};
  return &api;
}

} // namespace kiln::opencl
