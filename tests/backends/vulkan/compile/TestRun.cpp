// run() and check() of TestKernel.h, on a Vulkan device.
//
// The tests of the CPU backend's kernels are linked with this in place of its own runner. Each kernel is compiled for
// processors and for GPUs, its SPIR-V validated, and both are run on the first device, whichever it is: every variant
// is right everywhere.
#include "backends/vulkan/artifact.h"
#include "backends/vulkan/compile/Compile.h"
#include "backends/vulkan/compile/SpirvWords.h"
#include "backends/vulkan/run/Run.h"
#include "tests/backends/cpu/TestKernel.h"
#include "tests/backends/vulkan/compile/OnDevice.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <spirv-tools/libspirv.hpp>

namespace kiln::test {

static kiln_string text(const std::string &s) { return {s.data(), s.size()}; }

static kiln_error emptyError() {
  kiln_error error{};
  error.size = sizeof error;
  return error;
}

static const kiln_host &testHost() {
  static const kiln_host host = [] {
    kiln_host h{};
    h.size = sizeof h;
    h.worker_count = 1;
    h.reader = tableReader();
    h.parallel_for = [](void *, int64_t count, kiln_task task, void *context) { task(context, 0, count, 0); };
    h.log = [](void *, int32_t, kiln_string message) {
      fprintf(stderr, "%.*s\n", static_cast<int>(message.size), message.data);
    };
    return h;
  }();
  return host;
}

/// One device for all tests of a process; null where there is none.
static kiln_device *testDevice(std::string &why) {
  static std::string reason;
  static kiln_device *device = [] {
    kiln_device *opened = nullptr;
    kiln_error error = emptyError();
    uint32_t count = 0;
    kiln_string said{};
    if (kiln_vulkan_run_api()->device_count(&testHost(), &count, &said, &error))
      reason = error.message;
    else if (count == 0)
      reason = std::string(said.data ? said.data : "", said.size);
    else if (kiln_vulkan_run_api()->open(&testHost(), 0, &opened, &error))
      reason = error.message;
    return opened;
  }();
  why = reason;
  return device;
}

//===-- Compiling -------------------------------------------------------------------------------------------------===//

namespace {
struct Claim {
  bool taken = false;
  int64_t scratchBytes = 0;
  std::string reason;
};
} // namespace

static Claim claim(const kiln_kernel &kernel, const kiln_target &target) {
  Claim result;
  kiln_answer answer{};
  answer.size = sizeof answer;
  answer.self = &result;
  answer.take = [](void *self, const uint32_t *, size_t, const kiln_terms *terms) {
    static_cast<Claim *>(self)->taken = true;
    static_cast<Claim *>(self)->scratchBytes = terms->scratch_bytes;
  };
  answer.refuse = [](void *self, uint32_t, kiln_string reason) {
    static_cast<Claim *>(self)->reason = std::string(reason.data, reason.size);
  };
  kiln_error error = emptyError();
  if (vulkan::compileApi().claim(&testHost(), &kernel, &target, &answer, &error))
    result.reason = error.message;
  return result;
}

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

static std::string compile(const kiln_program &program, const kiln_target &target, std::vector<uint8_t> &blob) {
  kiln_sink sink{};
  sink.size = sizeof sink;
  sink.self = &blob;
  sink.add = [](void *self, int32_t kind, kiln_string, const void *data, size_t bytes) {
    const auto *from = static_cast<const uint8_t *>(data);
    if (kind == KILN_BLOB_BYTES)
      static_cast<std::vector<uint8_t> *>(self)->assign(from, from + bytes);
    else if (std::getenv("KILN_TEST_SHOW"))
      fprintf(stderr, "%.*s\n", static_cast<int>(bytes), static_cast<const char *>(data));
  };
  kiln_error error = emptyError();
  if (vulkan::compileApi().compile(&testHost(), &program, &target, &sink, &error))
    return error.message;
  return validate(blob);
}

//===-- Running ---------------------------------------------------------------------------------------------------===//

static std::string execute(kiln_device *device, const kiln_program &program, const std::vector<uint8_t> &blob,
                           const std::vector<kiln_place> &places, const Launch &launch, int64_t scratchBytes,
                           Outcome &result) {
  const kiln_run_api &api = *kiln_vulkan_run_api();
  kiln_error error = emptyError();
  kiln_executable *executable = nullptr;
  if (api.load(device, &program, blob.data(), blob.size(), &executable, &error))
    return error.message;
  std::vector<kiln_buffer *> buffers(places.size() + 1);
  constexpr uint64_t guard = 64;
  const std::vector<uint8_t> pattern(guard, 0xa5);
  std::vector<uint64_t> sizes = launch.outputBytes;
  for (size_t i = launch.inputs.size(); i-- > 0;)
    sizes.insert(sizes.begin(), launch.inputs[i].size());
  for (size_t i = 0; i < places.size(); ++i) {
    uint64_t end = (sizes[i] + 3) / 4 * 4;
    if (api.allocate(device, end + guard, &buffers[i], &error) ||
        (i < launch.inputs.size() && api.write(buffers[i], 0, launch.inputs[i].data(), sizes[i], &error)) ||
        api.write(buffers[i], end, pattern.data(), guard, &error))
      return error.message;
  }
  if (api.allocate(device, static_cast<uint64_t>(std::max<int64_t>(scratchBytes, 64)), &buffers.back(), &error))
    return error.message;
  std::vector<int64_t> extents = launch.extents;
  kiln_execution execution{};
  execution.size = sizeof execution;
  execution.buffers = buffers.data();
  execution.arena = buffers.back();
  execution.extents = extents.data();
  execution.status = &result.status;
  std::string failure;
  if (api.execute(executable, &execution, &error))
    failure = error.message;
  for (size_t i = 0; i < places.size() && failure.empty(); ++i) {
    std::vector<uint8_t> after(guard);
    if (i >= launch.inputs.size()) {
      std::vector<uint8_t> &output = result.outputs.emplace_back(sizes[i]);
      if (api.read(buffers[places[i].argument], 0, output.data(), output.size(), &error))
        failure = error.message;
    }
    if (api.read(buffers[i], (sizes[i] + 3) / 4 * 4, after.data(), guard, &error))
      failure = error.message;
    else if (after != pattern)
      failure = "a kernel wrote beyond the end of a tensor";
  }
  api.unload(executable);
  for (kiln_buffer *buffer : buffers)
    api.release(buffer);
  return failure;
}

Outcome runOnDevice(const std::string &profile, const kiln_kernel &kernel, const Launch &launch) {
  Outcome result;
  kiln_target target{};
  target.size = sizeof target;
  target.jobs = 1;
  target.device = text(profile);
  std::string glsl = "glsl";
  if (std::getenv("KILN_TEST_SHOW"))
    target.emit = text(glsl);
  Claim claimed = claim(kernel, target);
  if (!claimed.taken) {
    result.error = claimed.reason.empty() ? "refused without a reason" : claimed.reason;
    return result;
  }
  std::vector<kiln_place> places(kernel.input_count + kernel.output_count);
  for (size_t i = 0; i < places.size(); ++i) {
    places[i] = {KILN_SPACE_ARGUMENT, static_cast<uint32_t>(i), 0, {{0, -1}, {0, -1}, {0, -1}}};
    size_t output = i - kernel.input_count;
    if (i >= kernel.input_count && output < launch.inPlace.size() && launch.inPlace[output])
      places[i].argument = static_cast<uint32_t>(kernel.alias[output]);
  }
  std::vector<int64_t> argumentBytes(places.size(), 0);
  std::vector<kiln_extent> extents;
  for (size_t i = 0; i < kernel.extent_count; ++i)
    extents.push_back({kernel.extent_bounds[i], static_cast<int32_t>(i)});
  EntryRow entry{};
  std::string name = "run";
  entry.name = text(name);
  entry.argument_count = places.size();
  entry.argument_bytes = argumentBytes.data();
  entry.extent_count = extents.size();
  entry.arena_bytes = claimed.scratchBytes;
  entry.root.kind = KILN_NODE_LAUNCH;
  entry.root.place_count = places.size();
  entry.root.places = places.data();
  entry.root.extent_count = extents.size();
  entry.root.extents = extents.data();
  entry.root.scratch = {KILN_SPACE_ARENA, 0, claimed.scratchBytes > 0 ? 0 : -1, {{0, -1}, {0, -1}, {0, -1}}};
  kiln_program program{1, &kernel, 1, &entry, nullptr, 0};
  std::vector<uint8_t> blob;
  result.error = compile(program, target, blob);
  if (!result.error.empty())
    return result;
  std::string why;
  kiln_device *device = testDevice(why);
  result.error =
      device ? execute(device, program, blob, places, launch, claimed.scratchBytes, result) : "no device: " + why;
  return result;
}

static RunResult runFor(const std::string &profile, TestKernel &kernel, const std::vector<Tensor> &inputs,
                        const RunOptions &options) {
  Launch launch;
  RunResult result;
  for (const Tensor &input : inputs)
    launch.inputs.push_back(input.bytes);
  for (uint32_t value : kernel.outputs) {
    result.outputs.push_back(Tensor::make(kernel.dtypeOf(value), kernel.shapeOf(value)));
    launch.outputBytes.push_back(result.outputs.back().bytes.size());
  }
  launch.extents = kernel.extentValues;
  launch.inPlace = options.inPlace;
  Outcome outcome = runOnDevice(profile, kernel.get(), launch);
  result.error = outcome.error;
  result.status = outcome.status;
  for (size_t i = 0; i < outcome.outputs.size(); ++i)
    result.outputs[i].bytes = outcome.outputs[i];
  return result;
}

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options) {
  return runFor("portable", kernel, inputs, options);
}

static void compare(const std::string &profile, const std::vector<Tensor> &expected, const std::vector<Tensor> &got,
                    double tolerance) {
  for (size_t o = 0; o < expected.size(); ++o) {
    int bad = 0;
    for (int64_t i = 0; i < expected[o].count() && bad < 5; ++i) {
      Number have = got[o].get(i), want = expected[o].get(i);
      bool real = expected[o].dtype <= KILN_F16;
      bool same =
          real ? (std::isnan(want.real) ? std::isnan(have.real)
                                        : have.real == want.real || std::abs(have.real - want.real) <=
                                                                        tolerance * std::max(1.0, std::abs(want.real)))
               : have.whole == want.whole;
      if (!same)
        ++bad, ADD_FAILURE() << "output " << o << " element " << i << ": got "
                             << (real ? have.real : static_cast<double>(have.whole)) << ", expected "
                             << (real ? want.real : static_cast<double>(want.whole)) << " with " << profile;
    }
  }
}

void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options) {
  std::vector<Tensor> expected = evaluate(kernel, inputs);
  for (const char *profile : {"processor", "gpu"}) {
    RunResult result = runFor(profile, kernel, inputs, options);
    ASSERT_EQ(result.error, "") << "with " << profile;
    compare(profile, expected, result.outputs, std::max(tolerance, 3e-7));
    RunResult again = runFor(profile, kernel, inputs, options);
    for (size_t o = 0; o < expected.size(); ++o)
      EXPECT_EQ(result.outputs[o].bytes, again.outputs[o].bytes) << "other bits the second time, with " << profile;
  }
}

} // namespace kiln::test
