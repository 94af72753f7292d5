// The walk over a program's tree, targets and refusals.
#include "backends/api/kiln_text.h"
#include "backends/cpu/artifact.h"
#include "backends/cpu/run/Run.h"
#include "tests/backends/cpu/OnProcessor.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace kiln;
using namespace kiln::test;

namespace {
constexpr kiln_extent none{0, -1};

/// Programs over f32 vectors of 4 and a counter, written as trees.
class Tree : public testing::Test {
protected:
  static constexpr int64_t n = 4;
  TestKernel add{"add"}, index{"index"}, below{"below"};

  void SetUp() override {
    uint32_t a = add.input(KILN_F32, {n}), b = add.input(KILN_F32, {n});
    add.output(add.op("add", {a, b}), 0);
    index.output(index.op("extent", {}, KILN_F32, {}, {extents("expr", {Dim(100, 0)})}));
    uint32_t x = below.input(KILN_F32, {n}), limit = below.constant(KILN_F32, 10, {n});
    uint32_t test = below.op("compare", {x, limit}, KILN_BOOL, {n}, {string("predicate", "lt")});
    below.output(below.op("reduce", {test}, KILN_BOOL, {}, {string("kind", "all"), ints("axes", {0})}));
    kernels = {add.get(), index.get(), below.get()};
  }

  static kiln_place argument(uint32_t number, kiln_extent stride = none) {
    return {KILN_SPACE_ARGUMENT, number, 0, {stride, none, none}};
  }
  static kiln_place arena(int64_t offset) { return {KILN_SPACE_ARENA, 0, offset, {none, none, none}}; }
  kiln_node launch(uint32_t kernel, std::vector<kiln_place> at, std::vector<kiln_extent> given = {}) {
    places.push_back(std::move(at));
    launchExtents.push_back(std::move(given));
    kiln_node node{};
    node.kind = KILN_NODE_LAUNCH;
    node.kernel = kernel;
    node.place_count = places.back().size();
    node.places = places.back().data();
    node.extent_count = launchExtents.back().size();
    node.extents = launchExtents.back().data();
    node.scratch = arena(-1);
    return node;
  }
  kiln_node with(kiln_node_kind kind, std::vector<kiln_node> inside) {
    children.push_back(std::move(inside));
    kiln_node node{};
    node.kind = kind;
    node.child_count = children.back().size();
    node.children = children.back().data();
    node.index_slot = -1;
    return node;
  }

  /// Executes a tree over the buffers; one loop index lives in extent slot 1, extent 0 is given.
  void execute(kiln_node root, std::vector<void *> buffers, int64_t given = 0) {
    EntryRow entry{};
    std::string name = "run";
    entry.name = text(name);
    entry.argument_count = buffers.size();
    std::vector<int64_t> sizes(buffers.size(), 0);
    entry.argument_bytes = sizes.data();
    entry.extent_count = 2;
    entry.arena_bytes = 4096;
    entry.root = root;
    float constants[n] = {100, 200, 300, 400};
    kiln_program program{kernels.size(),  kernels.data(), 1, &entry, reinterpret_cast<uint8_t *>(constants),
                         sizeof constants};
    conformance::Artifact artifact;
    std::string error;
    ASSERT_TRUE(conformance::compile(*cpuBackend(), linkObjects, cpuTarget("native"), program, artifact, error))
        << error;
    conformance::Threads threads(2);
    kiln_error failure = emptyError();
    const kiln_run_api *api = kiln_cpu_run_api();
    kiln_device *device = nullptr;
    kiln_executable *executable = nullptr;
    ASSERT_EQ(api->open(&threads.host(), 0, &device, &failure), 0);
    ASSERT_EQ(api->load(device, &program, artifact.data(), 0, &executable, &failure), 0) << failure.message;
    alignas(64) static uint8_t memory[4096];
    buffers.push_back(memory);
    std::vector<kiln_buffer *> handles;
    for (void *buffer : buffers)
      ASSERT_EQ(api->import(device, buffer, sizeof memory, &handles.emplace_back(), &failure), 0);
    int64_t table[2] = {given, 0};
    kiln_status status{};
    const kiln_profile_event *events = nullptr;
    ASSERT_EQ(api->profile(executable, 1, &events, &launches, &failure), 0);
    kiln_execution execution{sizeof execution, 0,       handles.data(), handles.back(), table,
                             &status,          nullptr, nullptr,        nullptr};
    ASSERT_EQ(api->execute(executable, &execution, &failure), 0) << failure.message;
    ASSERT_EQ(api->profile(executable, 0, &events, &launches, &failure), 0);
    EXPECT_EQ(status.kind, KILN_OK);
    kiln_counters counters = {};
    counters.size = sizeof counters;
    ASSERT_EQ(api->counters(executable, &counters, &failure), 0);
    EXPECT_EQ(counters.launches, launches);
    EXPECT_EQ(counters.submits, 1u);
    api->unload(executable);
    for (kiln_buffer *handle : handles)
      api->release(handle);
    api->close(device);
  }

  std::vector<kiln_kernel> kernels;
  std::deque<std::vector<kiln_place>> places;
  std::deque<std::vector<kiln_extent>> launchExtents;
  std::deque<std::vector<kiln_node>> children;
  size_t launches = 0;
};
} // namespace

TEST_F(Tree, RepeatStridesForwardAndBack) {
  for (int reverse : {0, 1}) {
    float rows[3][n] = {{1, 2, 3, 4}, {10, 20, 30, 40}, {100, 200, 300, 400}}, sums[3][n] = {}, sum[n] = {};
    kiln_node loop = with(KILN_NODE_REPEAT, {launch(0, {argument(0, {sizeof rows[0], -1}), argument(2), argument(2)}),
                                             launch(0, {argument(2), arena(0), argument(1, {sizeof sums[0], -1})})});
    loop.count = {3, -1};
    loop.reverse = reverse;
    execute(loop, {rows, sums, sum});
    EXPECT_EQ(sum[1], 222);
    EXPECT_EQ(sums[0][0], reverse ? 111 : 1);
    EXPECT_EQ(sums[2][3], reverse ? 400 : 444);
    EXPECT_EQ(launches, 6u);
  }
}

TEST_F(Tree, RepeatOfDynamicCountWithItsIndex) {
  float indices[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
  kiln_node loop = with(KILN_NODE_REPEAT, {launch(1, {argument(0, {4, -1})}, {{100, 1}})});
  loop.count = {8, 0};
  loop.index_slot = 1;
  execute(loop, {indices}, 5);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(indices[i], i < 5 ? static_cast<float>(i) : -1);
  loop.reverse = 1;
  execute(loop, {indices}, 0);
  EXPECT_EQ(launches, 0u);
}

TEST_F(Tree, CopyFromConstantsAndIf) {
  float x[n] = {1, 2, 3, 4}, y[n] = {};
  uint8_t condition = 0;
  kiln_node copy{};
  copy.kind = KILN_NODE_COPY;
  places.push_back({{KILN_SPACE_CONSTANT, 0, 0, {none, none, none}}, argument(1)});
  copy.place_count = 2;
  copy.places = places.back().data();
  copy.count = {sizeof y, -1};
  kiln_node sum = launch(0, {argument(0), argument(1), argument(1)});
  kiln_node choice = with(KILN_NODE_IF, {sum, with(KILN_NODE_SEQUENCE, {})});
  choice.condition = argument(2);
  kiln_node all = with(KILN_NODE_SEQUENCE, {copy, choice});
  execute(all, {x, y, &condition});
  EXPECT_EQ(y[2], 300);
  condition = 1;
  execute(all, {x, y, &condition});
  EXPECT_EQ(y[2], 303);
}

TEST_F(Tree, WhileUntilALimit) {
  float x[n] = {0, 0, 0, 0}, step[n] = {3, 1, 1, 1};
  uint8_t more = 1;
  kiln_node loop = with(KILN_NODE_WHILE,
                        {launch(2, {argument(0), argument(2)}), launch(0, {argument(0), argument(1), argument(0)})});
  loop.condition = argument(2);
  execute(loop, {x, step, &more});
  EXPECT_EQ(x[0], 12);
  EXPECT_EQ(x[1], 4);
  EXPECT_EQ(more, 0);
}

TEST(Load, RefusesAProcessorThatLacksAFeatureByName) {
  TestKernel k;
  k.output(k.op("neg", {k.input(KILN_F32, {4})}));
  kiln_kernel kernel = k.get();
  kiln_program program{1, &kernel, 0, nullptr, nullptr, 0};
  static kiln_cpu_kernel code{};
  static kiln_cpu_artifact artifact{};
  code.name = "k0";
  artifact.version = KILN_CPU_ARTIFACT_VERSION;
  artifact.kernel_count = 1;
  artifact.kernels = &code;
  artifact.triple = "x86_64-unknown-linux-gnu";
  artifact.cpu = "a-later-one";
  artifact.features = "sse3,avx1024f";
  const kiln_run_api *api = kiln_cpu_run_api();
  kiln_device *device = nullptr;
  kiln_executable *executable = nullptr;
  kiln_error error = emptyError();
  ASSERT_EQ(api->open(plainHost(), 0, &device, &error), 0);
  EXPECT_NE(api->load(device, &program, &artifact, 0, &executable, &error), 0);
  EXPECT_NE(std::string(error.message).find("avx1024f"), std::string::npos) << error.message;
  EXPECT_EQ(std::string(error.message).find("sse3"), std::string::npos) << error.message;
  code.name = "other";
  artifact.features = "";
  EXPECT_NE(api->load(device, &program, &artifact, 0, &executable, &error), 0);
  EXPECT_NE(std::string(error.message).find("do not belong together"), std::string::npos) << error.message;
  api->close(device);
}

TEST(Compile, UnknownProcessorAndStageAreErrors) {
  TestKernel k;
  k.output(k.op("neg", {k.input(KILN_F32, {4})}));
  RunOptions options;
  options.cpu = "pentium99";
  EXPECT_NE(run(k, {randomTensor(KILN_F32, {4}, 0, 1)}, options).error.find("pentium99"), std::string::npos);
  kiln_kernel kernel = k.get();
  kiln_program program{1, &kernel, 0, nullptr, nullptr, 0};
  auto compile = [&](const std::string &stage, std::string &out) {
    kiln_target target{};
    target.size = sizeof target;
    target.jobs = 1;
    target.emit = text(stage);
    std::vector<kiln::host::Blob> blobs;
    if (!cpuBackend()->compile(program, target, blobs, out))
      return false;
    out.clear();
    for (const kiln::host::Blob &blob : blobs)
      out.append(blob.bytes.begin(), blob.bytes.end());
    return true;
  };
  std::string out;
  EXPECT_TRUE(compile("mlir", out));
  EXPECT_NE(out.find("func.func @k0_p0"), std::string::npos);
  EXPECT_TRUE(compile("llvm", out));
  EXPECT_NE(out.find("define hidden void @k0_p0"), std::string::npos);
  EXPECT_TRUE(compile("asm", out));
  EXPECT_NE(out.find("k0_p0:"), std::string::npos);
  EXPECT_TRUE(compile("object", out));
  EXPECT_EQ(out.substr(1, 3), "ELF");
  EXPECT_FALSE(compile("poetry", out));
  EXPECT_NE(out.find("poetry"), std::string::npos);
}

#if defined(__x86_64__)
TEST(Targets, OlderProcessorsGiveTheSameNumbers) {
  // What runs here at all runs on this machine too: vectors of 32 and of 16 bytes, without fma and without masks.
  for (const char *cpu : {"haswell", "x86-64-v2", "x86-64"}) {
    TestKernel k;
    uint32_t x = k.input(KILN_F32, {21, 37}), ids = k.input(KILN_I32, {21});
    auto rows = [&](const char *kind, uint32_t v) {
      return k.op("reduce", {v}, KILN_F32, {21}, {string("kind", kind), ints("axes", {1})});
    };
    auto wide = [&](uint32_t v) { return k.op("broadcast", {v}, KILN_F32, {21, 37}, {ints("axes", {0})}); };
    uint32_t e = k.op("exp", {k.op("sub", {x, wide(rows("max", x))})});
    uint32_t p = k.op("div", {e, wide(rows("sum", e))});
    k.output(p);
    k.output(k.op("gather", {p, ids}, KILN_F32, {21}, {integer("axis", 1), integer("batch_dims", 1)}));
    RunOptions options;
    options.cpu = cpu;
    check(k, {randomTensor(KILN_F32, {21, 37}, -5, 5), randomTensor(KILN_I32, {21}, 0, 37)}, 1e-6, options);

    TestKernel mixed;
    uint32_t a = mixed.input(KILN_F32, {5, 30}), b = mixed.input(KILN_F64, {5, 30});
    mixed.output(mixed.op("transpose", {mixed.op("tanh", {a})}, KILN_F32, {30, 5}, {ints("permutation", {1, 0})}));
    mixed.output(mixed.op("erf", {b}));
    mixed.output(mixed.op("convert", {b}, KILN_BF16, {5, 30}));
    mixed.output(mixed.op("convert", {a}, KILN_F16, {5, 30}));
    check(mixed, {randomTensor(KILN_F32, {5, 30}, -2, 2), randomTensor(KILN_F64, {5, 30}, -2, 2)}, 1e-6, options);
  }
}
#endif
