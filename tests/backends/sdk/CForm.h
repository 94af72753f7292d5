// Kernels in the SDK's generic form, printed as C, compiled by the system's compiler and run.
#pragma once

#include "backends/sdk/Phases.h"
#include "tests/backends/cpu/TestKernel.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln::test {

struct Printed {
  sdk::Graph graph;
  sdk::Phases phases;
  std::string text; // of all its phases, as functions NAME_0, NAME_1, ...
};

/// Fails the running test where the kernel cannot be read or printed. `name` is that of the functions.
Printed printC(const kiln_kernel *kernel, const std::string &name, const sdk::EmitterOptions &options);

/// C sources as a loaded shared object.
class CLibrary {
public:
  /// Fails the running test, with the compiler's words, where the text is not C.
  explicit CLibrary(const std::string &text);
  void *find(const std::string &name) const;

private:
  std::shared_ptr<void> handle;
};

/// One launch: the outputs.
std::vector<conformance::Bytes> runC(const CLibrary &library, const std::string &name, const Printed &printed,
                                     TestKernel &kernel, const std::vector<Tensor> &inputs, kiln_status &status);

struct Case {
  std::string what;
  TestKernel kernel;
  std::vector<Tensor> inputs;
  double tolerance = 0; // relative to max(1, |exact|)
};

/// All of them by way of one library, in two forms (64-bit indices and the language's functions; 32-bit indices and our
/// own), before the judge.
void checkC(std::vector<Case> &cases);

/// The status record after a launch.
kiln_status statusOf(TestKernel &kernel, const std::vector<Tensor> &inputs);

} // namespace kiln::test
