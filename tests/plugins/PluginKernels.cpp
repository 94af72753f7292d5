// plugin-kernels PLUGIN.so [gtest flags]: the kernels of tests/backends/sdk, through a plugin from outside. What it
// refuses is skipped; `--all` makes a refusal a failure.
#include "backends/host/Backend.h"
#include "runtime/backend/Tables.h"
#include "tests/backends/sdk/CForm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace kiln::test {

static std::shared_ptr<host::Backend> backend;
static bool refusalsFail = false;

static bool isReal(kiln_dtype dtype) { return dtype <= KILN_F16; }

void compare(const Tensor &got, const Tensor &expected, double tolerance, const std::string &what) {
  for (int64_t i = 0; i < got.count(); ++i) {
    Number a = got.get(i), b = expected.get(i);
    bool same = !isReal(got.dtype)   ? a.whole == b.whole
                : std::isnan(b.real) ? std::isnan(a.real)
                : std::isinf(b.real) || std::isinf(a.real)
                    ? a.real == b.real
                    : std::abs(a.real - b.real) <= tolerance * std::max(1.0, std::abs(b.real));
    if (!same && a.real == 0 && std::abs(b.real) < 1.2e-38)
      continue; // a device may flush denormals
    ASSERT_TRUE(same) << what << ", element " << i << ": "
                      << (isReal(got.dtype) ? a.real : static_cast<double>(a.whole)) << " for "
                      << (isReal(got.dtype) ? b.real : static_cast<double>(b.whole));
  }
}

namespace {
/// Kernels as one program, an entry for each, on device 0.
class Launches {
public:
  ~Launches() {
    const kiln_run_api &api = backend->tables().run;
    if (executable)
      api.unload(executable);
    if (device)
      api.close(device);
  }

  /// Whether the backend takes the kernel whole; then it is the next one.
  bool claim(TestKernel &kernel, std::string &reason) {
    host::Answer answer;
    if (!backend->claim(kernel.get(), target(), answer, reason)) {
      ADD_FAILURE() << reason;
      return false;
    }
    reason = answer.reason();
    if (!answer.whole(kernel.ops.size()))
      return false;
    kernel.name = "k" + std::to_string(entries.size());
    Entry &entry = entries.emplace_back();
    entry.kernel = &kernel;
    for (size_t i = 0; i < kernel.inputs.size() + kernel.outputs.size(); ++i)
      entry.places.push_back({KILN_SPACE_ARGUMENT, static_cast<uint32_t>(i), 0, {{0, -1}, {0, -1}, {0, -1}}});
    for (size_t i = 0; i < kernel.outputs.size(); ++i) // where an output may lie in an input's memory, it does
      if (kernel.alias[i] >= 0)
        entry.places[kernel.inputs.size() + i].argument = static_cast<uint32_t>(kernel.alias[i]);
    entry.bytes.assign(entry.places.size(), 0);
    for (size_t i = 0; i < kernel.extentBounds.size(); ++i)
      entry.extents.push_back({kernel.extentBounds[i], static_cast<int32_t>(i)});
    entry.scratchBytes = answer.parts[0].scratchBytes;
    return true;
  }

  bool load() {
    for (const Entry &entry : entries) {
      kernels.push_back(entry.kernel->get());
      EntryRow &row = rows.emplace_back();
      row = {};
      row.name = {entry.kernel->name.data(), entry.kernel->name.size()};
      row.argument_count = entry.places.size();
      row.argument_bytes = entry.bytes.data();
      row.extent_count = entry.extents.size();
      row.arena_bytes = entry.scratchBytes;
      row.root.kind = KILN_NODE_LAUNCH;
      row.root.kernel = static_cast<uint32_t>(kernels.size()) - 1;
      row.root.place_count = entry.places.size();
      row.root.places = entry.places.data();
      row.root.extent_count = entry.extents.size();
      row.root.extents = entry.extents.data();
    }
    program = {kernels.size(), kernels.data(), rows.size(), rows.data(), nullptr, 0};
    std::string why;
    kiln_error error = emptyError();
    const kiln_run_api &api = backend->tables().run;
    bool good = backend->compile(program, target(), blobs, why) && !api.open(plainHost(), 0, &device, &error) &&
                !api.load(device, &program, blobs[0].bytes.data(), blobs[0].bytes.size(), &executable, &error);
    EXPECT_TRUE(good) << why << error.message;
    return good;
  }

  std::vector<Tensor> run(size_t number, const std::vector<Tensor> &inputs, kiln_status &status) {
    const Entry &entry = entries[number];
    const kiln_run_api &api = backend->tables().run;
    kiln_error error = emptyError();
    std::vector<kiln_buffer *> buffers;
    std::vector<Tensor> memory = inputs;
    for (uint32_t value : entry.kernel->outputs)
      memory.push_back(Tensor::make(entry.kernel->dtypeOf(value), entry.kernel->shapeOf(value)));
    auto check = [&](int32_t code) { ASSERT_EQ(code, KILN_SUCCESS) << error.message; };
    for (const Tensor &tensor : memory) {
      check(api.allocate(device, tensor.bytes.size(), &buffers.emplace_back(), &error));
      check(api.write(buffers.back(), 0, tensor.bytes.data(), tensor.bytes.size(), &error));
    }
    check(api.allocate(device, static_cast<uint64_t>(entry.scratchBytes), &buffers.emplace_back(), &error));
    std::vector<int64_t> values = entry.kernel->extentValues;
    values.resize(entry.extents.size());
    kiln_execution execution{sizeof(execution),
                             static_cast<uint32_t>(number),
                             buffers.data(),
                             buffers.back(),
                             values.data(),
                             &status,
                             nullptr};
    check(api.execute(executable, &execution, &error));
    std::vector<Tensor> outputs;
    for (size_t i = inputs.size(); i < memory.size(); ++i) {
      check(api.read(buffers[entry.places[i].argument], 0, memory[i].bytes.data(), memory[i].bytes.size(), &error));
      outputs.push_back(memory[i]);
    }
    for (kiln_buffer *buffer : buffers)
      api.release(buffer);
    return outputs;
  }

private:
  struct Entry {
    TestKernel *kernel;
    std::vector<kiln_place> places;
    std::vector<int64_t> bytes;
    std::vector<kiln_extent> extents;
    int64_t scratchBytes;
  };

  static kiln_target target() {
    kiln_target target{};
    target.size = sizeof(target);
    target.jobs = 1;
    return target;
  }

  std::vector<Entry> entries;
  std::vector<kiln_kernel> kernels;
  std::vector<EntryRow> rows;
  kiln_program program{};
  std::vector<host::Blob> blobs;
  kiln_device *device = nullptr;
  kiln_executable *executable = nullptr;
};
} // namespace

void checkC(std::vector<Case> &cases) {
  Launches launches;
  std::vector<Case *> taken;
  for (Case &each : cases) {
    std::string reason;
    if (launches.claim(each.kernel, reason)) {
      taken.push_back(&each);
      continue;
    }
    EXPECT_FALSE(refusalsFail) << each.what << " is refused: " << reason;
    EXPECT_FALSE(reason.empty()) << each.what;
  }
  if (taken.empty() || !launches.load())
    return;
  for (size_t k = 0; k < taken.size(); ++k) {
    Case &each = *taken[k];
    kiln_status status{};
    std::vector<Tensor> got = launches.run(k, each.inputs, status);
    std::vector<Tensor> expected = each.expected.empty() ? evaluate(each.kernel, each.inputs) : each.expected;
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      compare(got[i], expected[i], each.tolerance, each.what + ", output " + std::to_string(i));
  }
}

kiln_status statusOf(TestKernel &kernel, const std::vector<Tensor> &inputs) {
  Launches launches;
  std::string reason;
  kiln_status status{};
  if (!launches.claim(kernel, reason))
    EXPECT_FALSE(refusalsFail) << reason;
  else if (launches.load())
    launches.run(0, inputs, status);
  return status;
}

} // namespace kiln::test

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string error;
  if (argc < 2 || !(kiln::test::backend = kiln::host::Backend::load(argv[1], error))) {
    std::fprintf(stderr, "plugin-kernels: %s\n", argc < 2 ? "which plugin?" : error.c_str());
    return 2;
  }
  kiln::test::refusalsFail = argc > 2 && !std::strcmp(argv[2], "--all");
  return RUN_ALL_TESTS();
}
