// Weights that are packed once: which forms do it, that the bits are those of a launch that packs for itself, and that
// what is packed is as old as the version that the host names, and no older.
#include "backends/api/kiln_text.h"
#include "backends/cpu/artifact.h"
#include "backends/cpu/run/Prepacked.h"
#include "backends/cpu/run/Run.h"
#include "tests/backends/cpu/OnProcessor.h"
#include "tests/backends/cpu/Window.h"
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

using namespace kiln;
using namespace kiln::test;
using conformance::Bytes;

namespace {

/// A loop around the launch of so many iterations, which may copy the weight onto itself in each. 0: none.
struct Loop {
  int64_t times = 0;
  bool writes = false;
};

/// One kernel over two operands: entry "forward" only reads the one that is a parameter, "train"
/// may write it, and "twice" is two of the first.
class Program {
public:
  Program(TestKernel &kernel, int64_t weight, const std::string &cpu, bool prepack = true, Loop loop = {},
          const std::string &math = "")
      : kernel_(kernel) {
    std::string error;
    Launches claimed(cpuBackend(), linkObjects, cpuTarget(cpu, math));
    EXPECT_TRUE(claimed.claim(kernel, error)) << error;
    EXPECT_TRUE(claimed.compile(error)) << error;
    arena_.resize(static_cast<size_t>(claimed.scratchBytes(0)) + 64);
    table_ = kernel.get();
    std::vector<uint32_t> values = kernel.inputs();
    values.push_back(kernel.outputs()[0]);
    for (uint32_t i = 0; i < 3; ++i) {
      places_.push_back({KILN_SPACE_ARGUMENT, i, 0, {none, none, none}});
      bytes_.push_back(
          static_cast<int64_t>(Tensor::make(kernel.dtype(values[i]), kernel.shapeOf(values[i])).bytes().size()));
      rows_.push_back(
          {i == weight ? KILN_ROLE_PARAMETER : KILN_ROLE_INPUT, KILN_ARGUMENT_READ, text("w"), KILN_F32, 0, nullptr});
    }
    written_ = rows_;
    written_[static_cast<size_t>(weight)].flags |= KILN_ARGUMENT_WRITTEN;
    for (size_t i = 0; i < kernel.extentValues.size(); ++i)
      extents_.push_back({kernel.extentValues[i], static_cast<int32_t>(i)});
    kiln_node launch{};
    launch.kind = KILN_NODE_LAUNCH;
    launch.place_count = 3;
    launch.places = places_.data();
    launch.extent_count = extents_.size();
    launch.extents = extents_.data();
    launch.scratch = {KILN_SPACE_ARENA, 0, 0, {none, none, none}};
    children_ = {launch, launch};
    kiln_node both{}, root = launch;
    both.kind = KILN_NODE_SEQUENCE;
    both.child_count = 2;
    both.children = children_.data();
    both.index_slot = -1;
    weightTwice_.assign(2, places_[static_cast<size_t>(weight)]);
    if (loop.writes) {
      kiln_node &copy = children_[1] = {};
      copy.kind = KILN_NODE_COPY;
      copy.place_count = 2;
      copy.places = weightTwice_.data();
      copy.count = {bytes_[static_cast<size_t>(weight)], -1};
      copy.scratch.offset = -1;
    }
    if (loop.times > 0) {
      root = both;
      root.kind = KILN_NODE_REPEAT;
      root.child_count = loop.writes ? 2 : 1;
      root.count = {loop.times, -1};
      root.scratch.offset = -1;
    }
    const char *names[] = {"forward", "train", "twice"};
    for (size_t i = 0; i < 3; ++i)
      entries_[i] = {text(names[i]),
                     3,
                     bytes_.data(),
                     extents_.size(),
                     0,
                     nullptr,
                     static_cast<int64_t>(arena_.size()),
                     i == 2 ? both : root,
                     i == 1 ? written_.data() : rows_.data()};
    program_ = {1, &table_, 3, entries_, nullptr, 0};
    EXPECT_TRUE(conformance::compile(*cpuBackend(), linkObjects, cpuTarget(cpu, math), program_, artifact_, error))
        << error;
    kiln_setting off{text("prepack"), text("false")};
    host_ = threads_.host();
    host_.settings = &off;
    host_.setting_count = prepack ? 0 : 1;
    EXPECT_EQ(api->open(&host_, 0, &device_, &failure_), 0);
    EXPECT_EQ(api->load(device_, &program_, artifact_.data(), 0, &executable_, &failure_), 0) << failure_.message;
  }
  ~Program() {
    api->unload(executable_);
    api->close(device_);
  }

  const kiln_cpu_prepacking *code() const {
    return static_cast<const kiln_cpu_artifact *>(artifact_.data())->kernels[0].prepacking;
  }

  /// The result; `version` is of the operands (0: not known). Adds to `packed` how often something was packed once.
  Bytes run(const std::vector<Tensor> &operands, uint64_t version, uint32_t entry = 0) {
    std::vector<Bytes> memory = bytesOf(operands);
    memory.emplace_back(static_cast<size_t>(bytes_[2]));
    std::vector<kiln_buffer *> buffers;
    for (Bytes &bytes : memory) {
      bytes.resize(bytes.size() + 64);
      EXPECT_EQ(api->allocate(device_, bytes.size(), &buffers.emplace_back(), &failure_), 0);
      EXPECT_EQ(api->write(buffers.back(), 0, bytes.data(), bytes.size(), &failure_), 0);
    }
    kiln_buffer *arena = nullptr;
    EXPECT_EQ(api->allocate(device_, arena_.size(), &arena, &failure_), 0);
    kiln_status status{};
    uint64_t versions[3] = {version ? version + 100 : 0, version, 0};
    std::vector<int64_t> table = kernel_.extentValues;
    const kiln_profile_event *events = nullptr;
    size_t count = 0;
    EXPECT_EQ(api->profile(executable_, 1, &events, &count, &failure_), 0);
    kiln_execution execution{sizeof execution, entry,   buffers.data(), arena,  table.data(),
                             &status,          nullptr, versions,       nullptr};
    EXPECT_EQ(api->execute(executable_, &execution, &failure_), 0) << failure_.message;
    EXPECT_EQ(api->profile(executable_, 1, &events, &count, &failure_), 0);
    for (size_t i = 0; i < count; ++i)
      packed += events[i].kernel == KILN_NONE;
    Bytes result(static_cast<size_t>(bytes_[2]));
    EXPECT_EQ(api->read(buffers.back(), 0, result.data(), result.size(), &failure_), 0);
    for (kiln_buffer *buffer : buffers)
      api->release(buffer);
    api->release(arena);
    return result;
  }

  /// Whether packing writes its bytes and none behind them.
  bool packsWithin(const std::vector<Tensor> &operands) {
    constexpr size_t margin = 8192;
    const kiln_cpu_kernel &kernel = static_cast<const kiln_cpu_artifact *>(artifact_.data())->kernels[0];
    auto aligned = [](int64_t bytes) {
      size_t size = (static_cast<size_t>(bytes) + margin + 63) / 64 * 64;
      auto *memory = static_cast<uint8_t *>(std::aligned_alloc(64, size));
      std::memset(memory, 0xee, size);
      return std::unique_ptr<uint8_t, decltype(&std::free)>(memory, &std::free);
    };
    auto panels = aligned(code()->bytes), worker = aligned(kernel.worker_scratch_bytes);
    std::vector<Bytes> memory = bytesOf(operands);
    void *places[] = {memory[0].data(), memory[1].data(), nullptr, panels.get()};
    kiln_status status{};
    int64_t tasks = code()->phase.tasks(kernel_.extentValues.data());
    kiln_cpu_begin_phase(&kernel, worker.get());
    code()->phase.run(places, kernel_.extentValues.data(), arena_.data(), worker.get(), &status, 0, tasks);
    const uint8_t *end = panels.get() + code()->bytes;
    return tasks > 0 && *panels != 0xee && std::all_of(end, end + margin, [](uint8_t byte) { return byte == 0xee; });
  }

  uint64_t held() {
    kiln_counters counters{};
    counters.size = sizeof counters;
    EXPECT_EQ(api->counters(executable_, &counters, &failure_), 0);
    return counters.device_bytes;
  }

  int packed = 0;

private:
  static constexpr kiln_extent none{0, -1};
  const kiln_run_api *api = kiln_cpu_run_api();
  TestKernel &kernel_;
  kiln_kernel table_{};
  std::vector<kiln_place> places_, weightTwice_;
  std::vector<int64_t> bytes_;
  std::vector<ArgumentRow> rows_, written_;
  std::vector<kiln_extent> extents_;
  std::vector<kiln_node> children_;
  EntryRow entries_[3]{};
  kiln_program program_{};
  conformance::Artifact artifact_;
  conformance::Threads threads_{3};
  kiln_host host_{};
  kiln_error failure_ = emptyError();
  kiln_device *device_ = nullptr;
  kiln_executable *executable_ = nullptr;
  std::vector<uint8_t> arena_;
};

/// All that can be seen of a weight packed once; it is operand `weight` of two.
void check(TestKernel &kernel, const Ints &left, const Ints &right, int64_t weight, kiln_dtype dtype = KILN_F32,
           const std::string &cpu = "native", const std::string &math = "") {
  auto operands = [&](uint32_t seed) {
    std::vector<Tensor> both{randomTensor(dtype, left, -1, 1, 1), randomTensor(dtype, right, -1, 1, 2)};
    Tensor &changing = both[static_cast<size_t>(weight)];
    changing = randomTensor(dtype, weight ? right : left, -1, 1, seed);
    return both;
  };
  Program with(kernel, weight, cpu, true, {}, math);
  ASSERT_NE(with.code(), nullptr) << "nothing can be packed once";
  EXPECT_EQ(with.code()->input, weight);
  EXPECT_TRUE(with.packsWithin(operands(3)));
  std::vector<Tensor> before = operands(3), after = operands(4);
  Bytes one = with.run(before, 0), other = with.run(after, 0);
  ASSERT_NE(one, other);
  EXPECT_EQ(with.run(before, 0), one);
  EXPECT_EQ(with.held(), 0u) << "packed once, where nobody says that nothing changes";

  EXPECT_EQ(with.run(before, 7), one);
  EXPECT_EQ(with.packed, 0) << "what is used once";
  EXPECT_EQ(with.run(before, 7), one) << "other bits when it is packed";
  EXPECT_EQ(with.packed, 1);
  EXPECT_EQ(with.held(), static_cast<uint64_t>(with.code()->bytes));
  EXPECT_EQ(with.run(before, 7), one) << "other bits when it has been packed";
  EXPECT_EQ(with.run(after, 7), one) << "it is not what was packed that is read";
  EXPECT_EQ(with.run(after, 0), other);
  EXPECT_EQ(with.packed, 1);

  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(with.run(after, 8), other) << "stale";
  EXPECT_EQ(with.packed, 2);
  EXPECT_EQ(with.run(before, 9), one) << "stale";
  EXPECT_EQ(with.held(), static_cast<uint64_t>(with.code()->bytes));

  EXPECT_EQ(with.run(after, 9, 1), other) << "an entry that writes the weight reads what was packed";
  EXPECT_EQ(with.held(), 0u) << "memory that training does not give back";
  for (int i = 0; i < cpu::Prepacked::untilAfterTraining; ++i)
    EXPECT_EQ(with.run(before, 10), one);
  EXPECT_EQ(with.packed, 2) << "packed again at once";
  EXPECT_EQ(with.run(before, 10), one);
  EXPECT_EQ(with.packed, 3);
  EXPECT_EQ(with.run(after, 10), one);

  // Launches and entries that want the same share it.
  EXPECT_EQ(with.run(after, 11, 2), other);
  for (int i = 1; i < cpu::Prepacked::untilAfterTraining; ++i)
    EXPECT_EQ(with.run(after, 11, 2), other);
  EXPECT_EQ(with.run(after, 11), other);
  EXPECT_EQ(with.packed, 4);
  EXPECT_EQ(with.held(), static_cast<uint64_t>(with.code()->bytes));

  Program without(kernel, weight, cpu, false, {}, math);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(without.run(before, 7), one);
  EXPECT_EQ(without.held() + static_cast<uint64_t>(without.packed), 0u) << "in spite of the option";
}

/// x · w, or x · wᵀ; `rows` below `most`: as many of them are dynamic.
void checkDot(int64_t rows, int64_t n, int64_t k, bool transposed, const std::string &cpu = "native", int64_t most = 0,
              kiln_dtype dtype = KILN_F32) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k));
  TestKernel kernel("k0", "contract");
  Dim m = most ? Dim(most, 0) : Dim(rows);
  uint32_t x = kernel.input(dtype, {m, k});
  uint32_t w = kernel.input(dtype, transposed ? Dims{n, k} : Dims{k, n});
  kernel.output(kernel.op("dot_general", {x, w}, KILN_F32, {m, n},
                          {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}),
                           ints("rhs_contract", {transposed ? 1 : 0})}));
  if (most)
    kernel.bindExtents({rows});
  check(kernel, {rows, k}, transposed ? Ints{n, k} : Ints{k, n}, 1, dtype, cpu);
}

/// The flags of the mapping that holds the place, as the kernel tells them (proc(5), VmFlags).
std::string mappingFlags(const void *place) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  for (bool here = false; std::getline(maps, line);) {
    unsigned long long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &begin, &end) == 2)
      here = reinterpret_cast<uintptr_t>(place) >= begin && reinterpret_cast<uintptr_t>(place) < end;
    else if (here && line.starts_with("VmFlags:"))
      return line + " ";
  }
  return "";
}

/// What is packed is read from end to end by every launch: in large pages.
TEST(Prepack, LiesInLargePages) {
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage"))
    GTEST_SKIP() << "this kernel has none";
  cpu::Prepacked packed({}, 4 << 20);
  bool pack = false;
  EXPECT_EQ(packed.of(1, pack), nullptr);
  void *place = packed.of(1, pack);
  ASSERT_TRUE(place && pack);
  EXPECT_NE(mappingFlags(place).find(" hg "), std::string::npos) << mappingFlags(place);
}

TEST(Prepack, ProductsInBothLayouts) {
  for (bool transposed : {false, true}) {
    checkDot(100, 270, 290, transposed); // sliver by sliver
    checkDot(60, 84, 1700, transposed);  // several K blocks
    checkDot(37, 300, 264, transposed, "native", 300);
    checkDot(250, 270, 290, transposed); // in parts
    checkDot(250, 270, 290, transposed, "native:l2=64K");
    checkDot(600, 200, 400, transposed, "native:l2=64K"); // a phase of its own
    checkDot(50, 64, 5000, transposed);                   // parts of K
    checkDot(100, 270, 290, transposed, "x86-64-v3");
  }
}

/// Which phase a launch is spared: the one that packs for all tasks, where there is one.
TEST(Prepack, WhatItReplaces) {
  auto replaced = [](int64_t rows, int64_t n, int64_t k, const std::string &cpu) -> int64_t {
    TestKernel kernel("k0", "contract");
    uint32_t x = kernel.input(KILN_F32, {rows, k}), w = kernel.input(KILN_F32, {k, n});
    kernel.output(kernel.op(
        "dot_general", {x, w}, KILN_F32, {rows, n},
        {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
    Program program(kernel, 1, cpu);
    return program.code() ? program.code()->replaces : -2;
  };
  EXPECT_EQ(replaced(100, 270, 290, "x86-64-v4:l2=1M"), -1);
  EXPECT_EQ(replaced(600, 200, 400, "x86-64-v4:l2=64K"), 0);
}

TEST(Prepack, PairsOfBF16) {
  checkDot(100, 370, 391, false, "native", 0, KILN_BF16);
  checkDot(100, 370, 391, true, "native", 0, KILN_BF16);
}

void checkFilter(const Ints &input, const Ints &filter, const Window &w, const std::string &cpu = "native",
                 const std::string &math = "") {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, fixed(input)), f = kernel.input(KILN_F32, fixed(filter));
  kernel.output(addConvolution(kernel, x, f, KILN_F32, fixed(resultOf(input, filter, w)), w));
  check(kernel, input, filter, 1, KILN_F32, cpu, math);
}

TEST(Prepack, Filters) {
  checkFilter({1, 260, 14, 14}, {256, 260, 1, 1}, plane());
  checkFilter({1, 520, 7, 7}, {130, 520, 1, 1}, plane()); // rows first, an edge
  checkFilter({1, 1400, 7, 7}, {50, 1400, 1, 1}, plane());
  checkFilter({1, 90, 30, 30}, {84, 90, 3, 3}, plane(1, 1));    // in place
  checkFilter({1, 128, 14, 14}, {130, 128, 3, 3}, plane(1, 1)); // unfolded
  checkFilter({3, 90, 15, 15}, {85, 90, 3, 3}, plane(2, 1));
  checkFilter({1, 128, 14, 14}, {160, 128, 3, 3}, plane(1, 1)); // pixels as rows, in two K blocks
}

/// Transformed once: by tiles of two outputs, and of four.
TEST(Prepack, FiltersOfWinogradTiles) {
  for (const std::string cpu : {"native", "x86-64-v3"}) {
    checkFilter({1, 130, 7, 7}, {140, 130, 3, 3}, plane(1, 1), cpu, "fast");
    checkFilter({1, 37, 28, 28}, {50, 37, 3, 3}, plane(1, 1), cpu, "fast");
    checkFilter({2, 40, 17, 15}, {45, 40, 3, 3}, plane(), cpu, "fast");
  }
}

/// A loop's product by the same matrix in all iterations, in an entry that trains it: packed once in each execution,
/// whatever the version, and in one that does not, once for all.
void checkLoop(int64_t rows, int64_t n, int64_t k, bool transposed, const std::string &cpu) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(n) + " x " + std::to_string(k) + " on " + cpu);
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, {rows, k}), w = kernel.input(KILN_F32, transposed ? Dims{n, k} : Dims{k, n});
  kernel.output(kernel.op("dot_general", {x, w}, KILN_F32, {rows, n},
                          {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}),
                           ints("rhs_contract", {transposed ? 1 : 0})}));
  auto operands = [&](uint32_t seed) {
    return std::vector<Tensor>{randomTensor(KILN_F32, {rows, k}, -1, 1, 1),
                               randomTensor(KILN_F32, transposed ? Ints{n, k} : Ints{k, n}, -1, 1, seed)};
  };
  Program with(kernel, 1, cpu, true, {100, false}), without(kernel, 1, cpu, false, {100, false});
  ASSERT_NE(with.code(), nullptr) << "nothing is packed before the loop";
  std::vector<Tensor> before = operands(3), after = operands(4);
  Bytes one = without.run(before, 7), other = without.run(after, 7);
  ASSERT_NE(one, other);
  EXPECT_EQ(without.packed, 0) << "in spite of the option";
  for (const Bytes *expected : {&one, &other}) // of the same version, which the entry may have written meanwhile
    EXPECT_EQ(with.run(expected == &one ? before : after, 7, 1), *expected) << "other bits, or stale ones";
  EXPECT_EQ(with.packed, 2) << "once in each execution";
  EXPECT_EQ(with.run(after, 0), other) << "without a version";
  EXPECT_EQ(with.packed, 3);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(with.run(before, 8), one);
  // Which operand is packed is the processor's model's choice; an input lasts for an execution alone.
  EXPECT_EQ(with.packed, with.code()->input == 1 ? 4 : 5) << "a weight once for executions that only read it";

  if (!transposed)
    return;
  Program written(kernel, 1, cpu, true, {100, true});
  EXPECT_EQ(written.run(before, 7, 1).size(), one.size());
  EXPECT_TRUE(!written.code() || written.code()->input == 0) << "packed once, though the loop writes it";
  Program once(kernel, 1, cpu, true, {2, false});
  EXPECT_EQ(once.code(), nullptr) << "two iterations do not pay for it";
  Program empty(kernel, 1, cpu, true, {0, false});
  EXPECT_EQ(empty.code(), nullptr);
}

TEST(Prepack, BeforeALoop) {
  for (const std::string cpu : {"native", "x86-64-v3", "x86-64-v4"})
    for (bool transposed : {false, true}) {
      checkLoop(8, transposed ? 70 : 1024, 300, transposed, cpu); // rows that would share a few sets of the cache
      checkLoop(transposed ? 20 : 50, 48, 1300, transposed, cpu); // several K blocks
    }
  checkLoop(1, 64, 64, true, "native");
}

TEST(Prepack, NotWhatIsReadAsItLies) {
  for (int64_t rows : {1, 4}) {
    TestKernel kernel("k0", "contract");
    uint32_t x = kernel.input(KILN_F32, {rows, 64}), w = kernel.input(KILN_F32, {64, 96});
    kernel.output(kernel.op(
        "dot_general", {x, w}, KILN_F32, {rows, 96},
        {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
    EXPECT_EQ(Program(kernel, 1, "native").code(), nullptr);
  }
}

TEST(Prepack, NotWhatIsSmall) {
  for (int64_t columns : {128, 544}) {
    TestKernel kernel("k0", "contract");
    uint32_t x = kernel.input(KILN_F32, {100, 128}), w = kernel.input(KILN_F32, {128, columns});
    kernel.output(kernel.op(
        "dot_general", {x, w}, KILN_F32, {100, columns},
        {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
    EXPECT_EQ(Program(kernel, 1, "native").code() != nullptr, columns == 544) << columns;
  }
}

TEST(Prepack, NotWhatIsStoredNarrower) {
  TestKernel kernel("k0", "contract");
  uint32_t x = kernel.input(KILN_F32, {100, 300}), w = kernel.input(KILN_BF16, {300, 400});
  kernel.output(
      kernel.op("dot_general", {x, kernel.op("convert", {w}, KILN_F32, {300, 400})}, KILN_F32, {100, 400},
                {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {1}), ints("rhs_contract", {0})}));
  EXPECT_EQ(Program(kernel, 1, "native").code(), nullptr);
}

} // namespace
