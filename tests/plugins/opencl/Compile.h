// How kernels become OpenCL C.
#pragma once

#include "Artifact.h"

#include <kiln/sdk/Phases.h>

#include <set>

namespace kiln::opencl {

/// Extents are arguments; an error in the data is recorded by whom the status record lets.
class Arguments : public sdk::Surroundings {
public:
  std::string extent(int32_t slot) override { return "e" + std::to_string(slot); }
  std::string report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                     const std::string &limit) override;
};

/// One kernel: where its text goes, and what has been said of it.
struct Build {
  sdk::Graph graph;
  Kernel kernel;
  std::vector<kiln_dtype> scratchTypes;
  int64_t scratchBytes = 0;
  std::string text;
  std::set<std::string> functions;

  sdk::EmitterOptions options() const { return {sdk::Language::OpenCL, !graph.fits32(), false}; }
  /// The place of new scratch memory.
  uint32_t addScratch(kiln_dtype dtype, int64_t bytes);
  /// A launch whose body the emitter holds; `prefix` stands before it.
  void add(sdk::Emitter &emitter, Launch launch, const std::string &prefix = "");
};

/// Plans and prints; false with a reason for the user, and the op's number or KILN_NONE.
bool build(const kiln_reader &reader, const kiln_kernel *kernel, Build &out, std::string &reason, uint32_t &op);
/// A product of floats with what is fused to it, in tiles; false where the kernel is something else.
bool buildProduct(Build &out);

} // namespace kiln::opencl
