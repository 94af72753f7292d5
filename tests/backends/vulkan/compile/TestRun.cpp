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

#include <cstdio>
#include <gtest/gtest.h>
#include <set>
#include <spirv-tools/libspirv.hpp>

namespace kiln::test {

/// Whether a module is of an extension that these SPIRV-Tools do not know, as Debian 12's: said once for each.
static bool isBeyond(const spvtools::SpirvTools &tools, const std::vector<uint32_t> &words) {
  static constexpr struct {
    uint32_t capability;
    const char *line, *extension;
  } table[] = {
      {vulkan::CapabilityCooperativeMatrixKHR, "OpCapability CooperativeMatrixKHR", "SPV_KHR_cooperative_matrix"},
      {vulkan::CapabilityBFloat16TypeKHR, "OpCapability BFloat16TypeKHR", "SPV_KHR_bfloat16"}};
  static std::set<std::string> told;
  bool beyond = false;
  for (const auto &row : table) {
    std::vector<uint32_t> ignored;
    if (!vulkan::hasCapability(words, row.capability) || tools.Assemble(row.line, &ignored))
      continue;
    beyond = true;
    if (told.insert(row.extension).second)
      std::printf("LEFT OUT: these SPIRV-Tools do not know %s, whose shaders are not validated\n", row.extension);
  }
  return beyond;
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

static std::shared_ptr<host::Backend> theBackend(std::string &error) {
  static std::shared_ptr<host::Backend> backend = host::Backend::create(vulkanBackend, "built in", error);
  return backend;
}

static kiln_target targetOf(const std::string &profile, const std::string &math) {
  kiln_target target{};
  target.size = sizeof target;
  target.jobs = 1;
  target.device = {profile.data(), profile.size()};
  target.math = {math.data(), math.size()};
  return target;
}

std::vector<uint32_t> kindsOf(const std::string &profile, TestKernel &kernel, const std::string &math) {
  std::string error;
  Launches launches(theBackend(error), nullptr, targetOf(profile, math));
  if (!launches.claim(kernel, error) || !launches.compile(error))
    return {};
  const std::vector<uint8_t> &blob = launches.artifact().bytes;
  const auto *artifact = reinterpret_cast<const kiln_vk_artifact *>(blob.data());
  const auto *variants = reinterpret_cast<const kiln_vk_variant *>(blob.data() + artifact->variants);
  std::vector<uint32_t> kinds;
  for (uint32_t i = 0; i < artifact->variant_count; ++i)
    kinds.push_back(variants[i].kind);
  return kinds;
}

RunResult runOnDevice(const std::string &profile, TestKernel &kernel, const std::vector<conformance::Bytes> &inputs,
                      bool inPlace, const std::string &math) {
  RunResult result;
  std::shared_ptr<host::Backend> backend = theBackend(result.error);
  Launches launches(backend, nullptr, targetOf(profile, math));
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
