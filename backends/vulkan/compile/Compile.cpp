// The compile side's table: what is claimed, and a program's kernels as shaders.

#include "backends/vulkan/compile/Compile.h"
#include "backends/api/kiln_text.h"
#include "backends/vulkan/compile/Artifact.h"
#include "backends/vulkan/compile/Glsl.h"
#include "backends/vulkan/compile/Launches.h"
#include "backends/vulkan/compile/Strategy.h"
#include "backends/vulkan/compile/Target.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <unordered_map>

namespace kiln::vulkan {

//===-- Capabilities and claims -----------------------------------------------------------------------------------===//

static int32_t capabilities(const kiln_host *, const kiln_target *target, kiln_capabilities *out, kiln_error *error) {
  Target profile;
  std::string message;
  if (!Target::read(*target, profile, message))
    return fail(error, KILN_ERROR_INVALID, message);
  // Vulkan lets every device choose whether it keeps denormals; most flush those of f32.
  out->flags = KILN_BACKEND_FLUSHES_DENORMALS | KILN_BACKEND_DETERMINISTIC;
  out->alignment = profile.alignment;
  out->max_binding_bytes = 0;
  out->max_allocation_bytes = 0;
  out->artifact_symbol = {nullptr, 0};
  return KILN_SUCCESS;
}

static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                     const kiln_answer *answer, kiln_error *error) {
  Target profile;
  sdk::Graph graph;
  KernelPlan plan;
  Refusal refusal;
  if (!Target::read(*target, profile, refusal.reason))
    return fail(error, KILN_ERROR_INVALID, refusal.reason);
  if (sdk::Graph::read(*host->reader, kernel, graph, refusal.reason)) {
    Settings settings = profile.settings();
    boundSweeps(graph, nullptr);
    if (planKernel(graph, settings, plan, refusal)) {
      kiln_terms terms{};
      terms.size = sizeof terms;
      terms.scratch_bytes = plan.scratchBytes;
      terms.form = text(plan.form);
      answer->take(answer->self, nullptr, 0, &terms);
      return KILN_SUCCESS;
    }
  }
  answer->refuse(answer->self, refusal.op, text(refusal.reason));
  return KILN_SUCCESS;
}

//===-- Compilation -----------------------------------------------------------------------------------------------===//

namespace {
/// Calls work(i) for each i below count on some threads.
template <class Work> void parallel(uint32_t jobs, size_t count, Work work) {
  std::atomic<size_t> next = 0;
  auto run = [&] {
    for (size_t i; (i = next++) < count;)
      work(i);
  };
  std::vector<std::thread> threads;
  for (size_t t = 1; t < std::min<size_t>(jobs, count); ++t)
    threads.emplace_back(run);
  run();
  for (std::thread &thread : threads)
    thread.join();
}

class Compilation {
public:
  Compilation(const kiln_reader &reader, const kiln_program *program, const Target &target)
      : reader(reader), program(program), target(target) {}

  bool plan();
  bool compile();
  bool write(const kiln_sink &sink, std::string_view emit);

  std::string message;
  uint32_t kernel = KILN_NONE;

private:
  struct Kernel {
    sdk::Graph graph;
    KernelPlan plan;
    Refusal refusal;
    bool good = false;
  };
  struct Module {
    std::vector<uint32_t> words;
    std::string error;
    uint32_t kernel = 0; // the first that has it
    bool good = false;
  };
  template <class Visit> void forEachDispatch(const Kernel &k, Visit visit) const {
    for (const Variant &variant : k.plan.variants)
      for (const Dispatch &dispatch : variant.dispatches)
        visit(dispatch);
  }
  void writeText(const kiln_sink &sink, std::string_view emit) const;

  const kiln_reader &reader;
  const kiln_program *program;
  const Target &target;
  std::vector<Kernel> kernels;
  std::unordered_map<std::string, Module> modules; // by their GLSL
};
} // namespace

bool Compilation::plan() {
  kiln_program_info info{};
  info.size = sizeof info;
  reader.program(program, &info);
  kernels.resize(info.kernel_count);
  std::vector<LaunchFacts> facts = readLaunches(reader, program, target.alignment);
  parallel(target.jobs, kernels.size(), [&](size_t i) {
    Kernel &k = kernels[i];
    if (!sdk::Graph::read(reader, reader.program_kernel(program, static_cast<uint32_t>(i)), k.graph, k.refusal.reason))
      return;
    Settings settings = target.settings();
    settings.aligned = facts[i].aligned;
    settings.home = facts[i].home;
    settings.launches = facts[i].launches;
    boundSweeps(k.graph, &facts[i]);
    k.good = planKernel(k.graph, settings, k.plan, k.refusal);
  });
  for (size_t i = 0; i < kernels.size(); ++i)
    if (!kernels[i].good) {
      message = kernels[i].refusal.reason;
      kernel = static_cast<uint32_t>(i);
      return false;
    }
  return true;
}

bool Compilation::compile() {
  std::vector<std::pair<const std::string *, Module *>> list;
  for (size_t i = 0; i < kernels.size(); ++i)
    forEachDispatch(kernels[i], [&](const Dispatch &dispatch) {
      auto [found, isNew] = modules.try_emplace(dispatch.glsl);
      if (isNew) {
        found->second.kernel = static_cast<uint32_t>(i);
        list.emplace_back(&found->first, &found->second);
      }
    });
  parallel(target.jobs, list.size(), [&](size_t i) {
    auto [source, module] = list[i];
    module->good = compileGlsl(*source, target.fast, module->words, module->error);
  });
  for (auto [source, module] : list)
    if (!module->good) {
      kernel = module->kernel;
      message = "the shader made for kernel '" + kernels[kernel].graph.name + "' does not compile: " + module->error;
      return false;
    }
  return true;
}

void Compilation::writeText(const kiln_sink &sink, std::string_view emit) const {
  for (const Kernel &k : kernels) {
    size_t number = 0;
    forEachDispatch(k, [&](const Dispatch &dispatch) {
      const Module &module = modules.at(dispatch.glsl);
      std::string name = k.graph.name + "." + std::to_string(number++) + (emit == "glsl" ? ".comp" : ".spvasm");
      std::string content = emit == "glsl" ? dispatch.glsl : disassemble(module.words);
      sink.add(sink.self, KILN_BLOB_TEXT, text(name), content.data(), content.size());
    });
  }
}

bool Compilation::write(const kiln_sink &sink, std::string_view emit) {
  if (emit == "glsl" || emit == "spirv") {
    writeText(sink, emit);
    return true;
  }
  ArtifactWriter writer(target.alignment, target.partBytes);
  for (size_t i = 0; i < kernels.size(); ++i) {
    std::vector<const std::vector<uint32_t> *> code;
    forEachDispatch(kernels[i], [&](const Dispatch &dispatch) { code.push_back(&modules.at(dispatch.glsl).words); });
    if (!writer.add(kernels[i].graph, kernels[i].plan, code, message)) {
      kernel = static_cast<uint32_t>(i);
      return false;
    }
  }
  std::vector<uint8_t> blob = writer.write();
  static const std::string name = "vulkan";
  sink.add(sink.self, KILN_BLOB_BYTES, text(name), blob.data(), blob.size());
  return true;
}

static int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                       const kiln_sink *sink, kiln_error *error) {
  Target profile;
  std::string message;
  if (!Target::read(*target, profile, message))
    return fail(error, KILN_ERROR_INVALID, message);
  std::string_view emit;
  if (target->size >= offsetof(kiln_target, emit) + sizeof target->emit)
    emit = view(target->emit);
  if (!emit.empty() && emit != "glsl" && emit != "spirv")
    return fail(error, KILN_ERROR_UNSUPPORTED,
                "the vulkan backend has no stage '" + std::string(emit) + "'; it has glsl and spirv");
  Compilation compilation(*host->reader, program, profile);
  if (!compilation.plan() || !compilation.compile() || !compilation.write(*sink, emit))
    return fail(error, KILN_ERROR_INTERNAL, compilation.message, compilation.kernel);
  return KILN_SUCCESS;
}

const kiln_compile_api &compileApi() {
  static const kiln_compile_api api = {sizeof(kiln_compile_api), capabilities, claim, compile};
  return api;
}

} // namespace kiln::vulkan
