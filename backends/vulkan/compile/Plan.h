// What the strategies make of a kernel.
//
// Plain values between the strategies, which print shaders, and the writer of the artifact. Everything here is about
// one kernel; see ../artifact.h for what the fields mean.
#pragma once

#include "backends/sdk/forms/Number.h"
#include "backends/vulkan/artifact.h"
#include <string>
#include <vector>

namespace kiln::vulkan {

using sdk::Number;

struct Binding {
  uint32_t kind = KILN_VK_BIND_OPERAND;
  uint32_t number = 0;
  uint32_t access = 0;
  uint32_t part = KILN_VK_NONE;
  Number bytes;                   // of scratch
  uint32_t output = KILN_VK_NONE; // the place that is written in the same memory
};

struct Word {
  uint32_t kind = KILN_VK_WORD_EXPRESSION;
  uint32_t number = 0;
  Number value;
};

struct Dispatch {
  std::string glsl;
  std::vector<Binding> bindings;
  std::vector<Word> words;
  std::vector<kiln_vk_specialization> specializations;
  uint32_t local[3] = {1, 1, 1};
  uint32_t sharedBytes = 0;
  bool batches = false;       // does several launches at once
  bool fullSubgroups = false; // local x is specialization constant 0, the device's subgroup size
  Number grid[3] = {1, 1, 1};
  int64_t passes = 0, strippedPasses = 0; // at the bounds
};

struct Variant {
  uint32_t features = 0; // beside what the shaders' capabilities say
  std::vector<Dispatch> dispatches;
  uint32_t subgroupMost = 0; // the most invocations of a subgroup that it works with; 0: any
  uint32_t kind = KILN_VK_KIND_NONE;
  bool matrices = false; // by Matrices.h
};

struct KernelPlan {
  std::vector<Variant> variants;
  int64_t scratchBytes = 0;
  std::string_view form; // of the SDK's, by name
};

/// Why a kernel is not taken: a sentence for the user.
struct Refusal {
  std::string reason;
  uint32_t op = KILN_NONE;
};

/// What the compile side knows of a kernel beside its graph.
struct Settings {
  bool fast = false;          // math=fast: the language's own exp and log, sums in whatever order
  bool processor = true;      // make variants for processors that run shaders
  bool gpu = true;            // and for all else
  uint64_t partBytes = 0;     // largest binding
  std::vector<bool> aligned;  // of each place: bound exactly in every launch. Empty: of none
  std::vector<int32_t> home;  // of each place: the input in whose memory every launch has it; -1: its own. Empty: all
  uint32_t launches = 1;      // of the kernel, in all of the program
  bool plainMatrices = false; // no variants but those of matrices, which any device runs (Matrices.h): for tests
};

} // namespace kiln::vulkan
