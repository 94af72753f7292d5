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

//===-- Launches --------------------------------------------------------------------------------------------------===//

std::string Group::report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                          const std::string &limit) {
  return "if (" + condition + ") kiln_report(record, kernel_number, order, " + std::to_string(kind) + ", " +
         std::to_string(op) + ", " + value + ", " + limit + ");";
}

void Group::local(uint32_t x, uint32_t y) {
  launch.local[0] = x;
  launch.local[1] = y;
}

std::string Group::word(const sdk::Number &number) {
  if (std::optional<int64_t> constant = number.constant())
    return std::to_string(*constant);
  std::string name = "w" + std::to_string(names++);
  head += "  const " + indexType + " " + name + " = (" + indexType + ")" +
          number.text("L", [](int64_t slot) { return "e" + std::to_string(slot); }) + ";\n";
  return name;
}

std::string Group::shared(const std::string &type, int64_t elements, uint32_t) {
  std::string name = "s" + std::to_string(names++);
  head += "  local " + type + " " + name + "[" + std::to_string(elements) + "];\n";
  return name;
}

kiln_dtype Group::dtypeOf(uint32_t place) const {
  size_t inputs = graph.inputs.size(), outputs = graph.outputs.size();
  return place < inputs             ? graph.type(graph.inputs[place]).dtype
         : place < inputs + outputs ? graph.type(graph.outputs[place - inputs]).dtype
                                    : scratch[place - inputs - outputs].dtype;
}

bool Group::canLoadVectors(uint32_t place, kiln_dtype dtype) const {
  return dtype == KILN_F32 && dtypeOf(place) == dtype;
}
std::string Group::loadVector(uint32_t place, const std::string &index) {
  return "vload4(" + index + ", p" + std::to_string(place) + ")";
}
std::string Group::loadLanes(uint32_t place, const std::string &first) {
  return "vload16(0, p" + std::to_string(place) + " + " + first + ")";
}

std::string Group::text(sdk::Emitter &e) const {
  std::string arguments, pointers;
  size_t places = graph.inputs.size() + graph.outputs.size() + scratch.size();
  for (uint32_t place = 0; place < places; ++place) {
    std::string n = std::to_string(place), type = e.storageType(dtypeOf(place));
    arguments += ", global uchar *b" + n + ", long o" + n;
    pointers += "  global " + type + " *p" + n + " = (global " + type + " *)(b" + n + " + o" + n + ");\n";
  }
  for (size_t i = 0; i < graph.extentBounds.size(); ++i)
    arguments += ", long e" + std::to_string(i);
  std::string body = e.take();
  return "kernel void " + launch.function + "(global kiln_record *record, uint kernel_number, long order" + arguments +
         ") {\n  const " + indexType + " group = get_group_id(0);\n" + pointers + head + body + "}\n";
}

//===-- Kernels ---------------------------------------------------------------------------------------------------===//

Source::Source(const sdk::Graph &graph) : Builder(graph, {sdk::Language::OpenCL, !graph.fits32(), false}) {}

void Source::clear() {
  variants.clear();
  functions.clear();
  scratchBytes = 0;
}

bool Source::launch(const std::vector<sdk::ScratchArray> &scratch,
                    const std::function<bool(sdk::Workgroup &, sdk::Emitter &)> &print) {
  Group group(graph, scratch, options);
  sdk::Emitter emitter(graph, group, options);
  if (!print(group, emitter))
    return false;
  group.launch.function = graph.name + "_" + std::to_string(names++);
  for (const sdk::ScratchArray &array : scratch)
    group.launch.scratch.push_back(array.offset);
  variants.back().text += group.text(emitter);
  variants.back().launches.push_back(group.launch);
  functions.insert(emitter.used().begin(), emitter.used().end());
  return true;
}

Kernel Source::finish(std::string &text, std::set<std::string> &calls) {
  Kernel kernel = {graph.name,
                   static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size()),
                   static_cast<uint32_t>(graph.extentBounds.size()),
                   {}};
  const Variant &first = variants.front(), &last = variants.back(); // the last one is for any device
  bool two = first.device == Device::Processor;
  auto take = [&](const Variant &variant, Launch::Devices devices) {
    for (const Launch &launch : variant.launches) {
      kernel.launches.push_back(launch);
      kernel.launches.back().devices = devices;
    }
  };
  if (two)
    take(first, Launch::Processors);
  take(last, two ? Launch::Others : Launch::All);
  text += two ? "#ifdef KILN_PROCESSOR\n" + first.text + "#else\n" + last.text + "#endif\n" : last.text;
  calls.insert(functions.begin(), functions.end());
  return kernel;
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
  sdk::Graph graph;
  std::string reason;
  uint32_t op = KILN_NONE;
  bool good = sdk::Graph::read(*host->reader, kernel, graph, reason);
  // Taken apart by the host it is products and a softmax, which processors do faster than the sdk's form.
  for (const sdk::Op &each : graph.ops)
    if (each.name.find("attention") != std::string::npos) {
      good = false;
      reason = "attention is computed as products and a softmax here";
      op = each.number;
    }
  Source source(graph);
  if (!good || !sdk::buildKernel(source, reason, op)) {
    answer->refuse(answer->self, op, {reason.data(), reason.size()});
    return KILN_SUCCESS;
  }
  kiln_terms terms{};
  terms.size = sizeof terms;
  terms.scratch_bytes = source.scratchBytes;
  terms.form = {source.form.data(), source.form.size()};
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
    sdk::Graph graph;
    std::string reason;
    uint32_t op = KILN_NONE;
    bool good = sdk::Graph::read(*host->reader, host->reader->program_kernel(program, i), graph, reason);
    Source source(graph);
    if (!good || !sdk::buildKernel(source, reason, op)) {
      fail(error, KILN_ERROR_INVALID, "kernel " + graph.name + " was not taken: " + reason);
      error->kernel = i;
      error->op = op;
      return KILN_ERROR_INVALID;
    }
    artifact.kernels.push_back(source.finish(text, functions));
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
