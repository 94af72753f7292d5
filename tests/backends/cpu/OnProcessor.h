// The CPU backend as the tests of its kernels drive it.
#pragma once

#include "backends/cpu/Backend.h"
#include "tests/backends/cpu/TestKernel.h"

namespace kiln::test {

std::shared_ptr<host::Backend> cpuBackend();
/// `cpu` and `math` have to live as long.
kiln_target cpuTarget(const std::string &cpu, const std::string &math = "");
/// A conformance::Linker: a shared object by lld.
std::shared_ptr<const void> linkObjects(const std::vector<host::Blob> &blobs, const std::string &symbol,
                                        std::string &error);

} // namespace kiln::test
