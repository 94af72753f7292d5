// A backend's compile side, behind types that are easy to use: where it comes from, what it claims, what it compiles.
// No MLIR here: the conformance kit and tests use it too.
#pragma once

#include "runtime/backend/Negotiate.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kiln::host {

/// What a backend said about a kernel.
struct Answer {
  struct Part {
    std::vector<uint32_t> ops; ///< ascending
    int64_t scratchBytes = 0;
    std::string form;       ///< how it will compute it, for people; empty where it does not say
    double seconds = 0;     ///< of a launch at the bounds; 0 where it does not say
    bool wholeOnly = false; ///< wanted only with all other ops of the kernel
    /// Inputs of the kernel that had better lie otherwise, each once: kiln_terms.layouts.
    std::vector<std::pair<uint32_t, std::vector<int64_t>>> layouts;
  };
  struct Refusal {
    uint32_t op; ///< KILN_NONE: the kernel as a whole
    std::string reason;
  };
  std::vector<Part> parts;
  std::vector<Refusal> refusals;

  /// The kernel is taken as it is.
  bool whole(size_t opCount) const { return parts.size() == 1 && parts.front().ops.size() == opCount; }
  /// A part is wanted only with all other ops of the kernel.
  bool wantsWhole() const;
  /// And yet it leaves some to others.
  bool leavesWanted(size_t opCount) const;
  /// The first reason given; a sentence that says so where there is none.
  std::string reason() const;
};

struct Blob {
  kiln_blob_kind kind;
  std::string name;
  std::vector<uint8_t> bytes;
};

struct Capabilities {
  uint32_t flags = 0;
  int64_t alignment = 64; ///< a power of two, 64 at least
  int64_t maxBindingBytes = 0, maxAllocationBytes = 0;
  std::string artifactSymbol;
  double linkSeconds = 0, linkBytesPerSecond = 0; ///< 0: it does not say
  std::vector<std::string> composites;            ///< to be offered whole
  bool hostMemory() const { return flags & KILN_BACKEND_HOST_MEMORY; }
};

class Backend {
public:
  /// In this process already. Null with a sentence.
  static std::shared_ptr<Backend> create(kiln_backend_fn function, std::string origin, std::string &error);
  /// From a shared object, which stays loaded as long as the process. Null with a sentence that begins with the path.
  /// `foreign`: it did not come with Kiln.
  static std::shared_ptr<Backend> load(const std::string &path, std::string &error, bool foreign = false);

  const std::string &name() const { return name_; }
  const std::string &title() const { return title_; }
  uint32_t version() const { return tables_.backend.version; }
  /// The plugin's file; "built in" where there is none.
  const std::string &origin() const { return origin_; }
  bool canCompile() const { return tables_.backend.compile != nullptr; }
  bool canRun() const { return tables_.backend.run != nullptr; }
  const BackendTables &tables() const { return tables_; }
  kiln_backend_fn function() const { return function_; }

  /// False with a sentence where the backend failed; what it may not say or do counts as failing (parts that meet, ops
  /// that are not there, answers from another thread or after the call).
  bool capabilities(const kiln_target &target, Capabilities &capabilities, std::string &error) const;
  bool claim(const kiln_kernel &kernel, const kiln_target &target, Answer &answer, std::string &error) const;
  /// `cacheFolder`: where it may keep what saves time at the next compile; empty: nowhere. A backend that does not say
  /// that equal inputs give equal bits is given none.
  bool compile(const kiln_program &program, const kiln_target &target, std::vector<Blob> &blobs, std::string &error,
               const std::string &cacheFolder = "") const;

private:
  std::string name_, title_, origin_;
  BackendTables tables_;
  kiln_backend_fn function_ = nullptr;
  /// It answered when the call was over.
  std::shared_ptr<std::atomic<bool>> late_ = std::make_shared<std::atomic<bool>>(false);
};

/// A line for each device that the backend finds here, or one that says why there is none or what went wrong.
std::vector<std::string> devicesOf(const Backend &backend);

} // namespace kiln::host
