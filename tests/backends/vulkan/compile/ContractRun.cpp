// runKernel() of the contract tests, on a Vulkan device: for processors and for GPUs.
#include "tests/backends/cpu/contract/Case.h"
#include "tests/backends/vulkan/compile/OnDevice.h"

namespace contract {

std::vector<Tensor> runKernel(KernelSpec &spec, const std::vector<Tensor> &inputs, const std::vector<Ints> &outputDims,
                              const std::vector<int64_t> &extents, const std::string &) {
  kiln_kernel kernel = spec.finish("k0");
  kiln::test::Launch launch;
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<char> bytes = encode(inputs[i], spec.dtype(spec.inputs[i]));
    launch.inputs.emplace_back(bytes.begin(), bytes.end());
  }
  for (size_t i = 0; i < outputDims.size(); ++i)
    launch.outputBytes.push_back(Tensor(outputDims[i]).data.size() * sizeOf(spec.dtype(spec.outputs[i])));
  launch.extents = extents;
  std::vector<std::vector<Tensor>> results;
  for (const char *profile : {"processor", "gpu"}) {
    kiln::test::Outcome outcome = kiln::test::runOnDevice(profile, kernel, launch);
    if (!outcome.error.empty()) {
      ADD_FAILURE() << outcome.error << ", with " << profile;
      return {};
    }
    EXPECT_EQ(outcome.status.kind, KILN_OK);
    std::vector<Tensor> &decoded = results.emplace_back();
    for (size_t i = 0; i < outputDims.size(); ++i)
      decoded.push_back(decode(std::vector<char>(outcome.outputs[i].begin(), outcome.outputs[i].end()),
                               spec.dtype(spec.outputs[i]), outputDims[i]));
  }
  for (size_t i = 0; i < outputDims.size(); ++i)
    expectEqual(results[1][i], results[0][i], 1e-5);
  return results[1];
}

} // namespace contract
