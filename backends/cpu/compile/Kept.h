// A compiled kernel, and where such are kept for the next build.
#pragma once

#include "backends/cpu/compile/Phases.h"
#include "backends/sdk/Store.h"
#include <set>

namespace kiln::cpu {

/// A module's code, with what the table of the artifact says of it.
struct Compiled {
  int64_t phases = 0, workerScratch = 0;
  Prepacking prepacking;              ///< input -1: none
  std::set<std::string> microKernels; ///< those that it calls
  llvm::SmallVector<char, 0> code;
};

/// Kernels of other builds, in the folder that the host gives; none where it gives none. Any thread.
class Kept {
public:
  Kept(const kiln_host &host, const Machine &machine);

  /// Of what is compiled: a hash of it, of the machine, and of the files that this compiler and LLVM are in.
  std::string digest(llvm::StringRef content) const;
  bool find(const std::string &digest, Compiled &compiled) const;
  void keep(const std::string &digest, const Compiled &compiled) const;

private:
  Kept(const kiln_host &host, const Machine &machine, const std::string &compiler);

  sdk::Store store;
  std::string about; ///< machine and compiler
};

} // namespace kiln::cpu
