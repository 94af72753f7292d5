#include "backends/reference/compile/Compile.h"
#include "backends/api/kiln_text.h"

#include "backends/reference/Blob.h"
#include "backends/reference/run/Evaluate.h"
#include "backends/reference/run/Run.h"

#include <cstddef>
#include <new>
#include <string_view>

namespace kiln::reference {
namespace {

int32_t capabilities(const kiln_host *, const kiln_target *target, kiln_capabilities *out, kiln_error *error) {
  std::string_view device = view(target->device);
  if (!device.empty() && device != "portable" && device != "native")
    return fail(error, KILN_ERROR_INVALID, "the reference backend has no device profiles (--target-device)");
  out->flags = KILN_BACKEND_HOST_MEMORY | KILN_BACKEND_DETERMINISTIC;
  static const kiln_string loops = {"scan", 4};
  if (out->size >= offsetof(kiln_capabilities, composite_count) + sizeof out->composite_count) {
    out->composites = &loops;
    out->composite_count = 1;
  }
  return KILN_SUCCESS;
}

template <typename F> int32_t guarded(kiln_error *error, F f) {
  try {
    return f();
  } catch (const std::bad_alloc &) {
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "the reference backend ran out of memory");
  }
}

int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *, const kiln_answer *answer,
              kiln_error *error) {
  return guarded(error, [&]() -> int32_t {
    sdk::Graph graph;
    std::string why;
    if (sdk::Graph::read(*host->reader, kernel, graph, why) && hasPrimitivesOnly(graph, why)) {
      kiln_terms terms{sizeof(kiln_terms), 0, 0, {}, 0, nullptr, 0};
      answer->take(answer->self, nullptr, 0, &terms);
    } else {
      why += "; the reference backend evaluates primitives, and what the host says is made of them";
      answer->refuse(answer->self, KILN_NONE, text(why));
    }
    return KILN_SUCCESS;
  });
}

int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target, const kiln_sink *sink,
                kiln_error *error) {
  return guarded(error, [&]() -> int32_t {
    const kiln_reader &reader = *host->reader;
    std::string emit = toString(target->emit), why;
    if (!emit.empty() && emit != "object")
      why = "the reference backend has no stage '" + emit + "': its artifact is the ops themselves";
    kiln_program_info info{};
    info.size = sizeof info;
    reader.program(program, &info);
    std::vector<sdk::Graph> graphs(info.kernel_count);
    for (uint32_t i = 0; i < info.kernel_count && why.empty(); ++i)
      if (!sdk::Graph::read(reader, reader.program_kernel(program, i), graphs[i], why) ||
          !hasPrimitivesOnly(graphs[i], why))
        error->kernel = i;
    if (!why.empty())
      return fail(error, KILN_ERROR_UNSUPPORTED, why);
    std::string blob = encode(graphs);
    sink->add(sink->self, KILN_BLOB_BYTES, {"reference", 9}, blob.data(), blob.size());
    return KILN_SUCCESS;
  });
}

} // namespace
} // namespace kiln::reference

extern "C" const kiln_compile_api *kiln_reference_compile_api(void) {
  static const kiln_compile_api api = {sizeof(kiln_compile_api), kiln::reference::capabilities, kiln::reference::claim,
                                       kiln::reference::compile};
  return &api;
}

extern "C" const kiln_backend *kiln_reference_backend(const kiln_offer *offer, kiln_error *error) {
  const kiln_backend *run = kiln_backend_reference(offer, error);
  if (!run)
    return nullptr;
  static const kiln_backend both = [&] {
    kiln_backend backend = *run;
    backend.compile = kiln_reference_compile_api();
    return backend;
  }();
  return &both;
}
