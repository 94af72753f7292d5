// run() and check() of TestKernel.h, on a Vulkan device.
//
// The tests of the CPU backend's kernels are linked with this in place of its own runner. Each kernel is compiled for
// processors and for GPUs, its SPIR-V validated, and both are run on the first device, whichever it is: every variant
// is right everywhere.
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/compile/Compile.h"
#include "backends/vulkan/compile/SpirvWords.h"
#include "backends/vulkan/run/Run.h"
#include "tests/backends/vulkan/compile/OnDevice.h"

#include <gtest/gtest.h>
#include <spirv-tools/libspirv.hpp>

namespace kiln::test {

/// Debian 12's SPIRV-Tools do not know SPV_KHR_cooperative_matrix.
static bool isBeyond(const spvtools::SpirvTools &tools, const std::vector<uint32_t> &words) {
  std::vector<uint32_t> ignored;
  return vulkan::hasCapability(words, vulkan::CapabilityCooperativeMatrixKHR) &&
         !tools.Assemble("OpCapability CooperativeMatrixKHR", &ignored);
}

/// Empty where every shader of the artifact is valid.
static std::string validate(const std::vector<uint8_t> &blob) {
  const auto *artifact = reinterpret_cast<const kiln_vk_artifact *>(blob.data());
  const auto *shaders = reinterpret_cast<const kiln_vk_shader *>(blob.data() + artifact->shaders);
  std::string messages;
  for (uint32_t i = 0; i < artifact->shader_count; ++i) {
    std::vector<uint32_t> words(shaders[i].words);
    if (!kiln_vk_unpack(blob.data() + shaders[i].code, shaders[i].code_bytes, words.data(), shaders[i].words))
      return "a shader does not unpack";
    spvtools::SpirvTools tools(SPV_ENV_VULKAN_1_2);
    if (isBeyond(tools, words))
      continue;
    tools.SetMessageConsumer([&](spv_message_level_t, const char *, const spv_position_t &, const char *message) {
      messages += std::string(message) + "\n";
    });
    if (!tools.Validate(words) && messages.empty())
      messages = "invalid SPIR-V";
  }
  return messages;
}

static const kiln_backend *vulkanBackend(const kiln_offer *offer, kiln_error *error) {
  static const kiln_backend both = [] {
    kiln_backend backend = *kiln_vulkan_run_backend();
    backend.compile = &vulkan::compileApi();
    return backend;
  }();
  return kiln_backend_vulkan(offer, error) ? &both : nullptr;
}

/// One device for all tests of a process; null where there is none.
static conformance::Session *deviceOf(const host::Backend &backend, std::string &error) {
  static auto session = conformance::Session::open(backend, 0, /*threads=*/1, error);
  if (!session && error.empty())
    error = "no device";
  return session.get();
}

RunResult runOnDevice(const std::string &profile, TestKernel &kernel, const std::vector<conformance::Bytes> &inputs,
                      bool inPlace) {
  RunResult result;
  static std::shared_ptr<host::Backend> backend = host::Backend::create(vulkanBackend, "built in", result.error);
  kiln_target target{};
  target.size = sizeof target;
  target.jobs = 1;
  target.device = {profile.data(), profile.size()};
  Launches launches(backend, nullptr, target);
  if (!launches.claim(kernel, result.error) || !launches.compile(result.error))
    return result;
  result.error = validate(launches.artifact().bytes);
  conformance::Session *session = result.error.empty() ? deviceOf(*backend, result.error) : nullptr;
  return session ? launches.run(*session, 0, inputs, inPlace) : result;
}

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options) {
  RunResult result = runOnDevice("portable", kernel, bytesOf(inputs), options.inPlace);
  decode(kernel, result);
  return result;
}

void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options) {
  for (const char *profile : {"processor", "gpu"}) {
    RunResult result = runOnDevice(profile, kernel, bytesOf(inputs), options.inPlace);
    ASSERT_EQ(result.error, "") << "with " << profile;
    judge(kernel, inputs, result.bytes, std::max(tolerance, 3e-7), std::string("with ") + profile);
    EXPECT_EQ(runOnDevice(profile, kernel, bytesOf(inputs), options.inPlace).bytes, result.bytes)
        << "other bits the second time, with " << profile;
  }
}

} // namespace kiln::test
