// Matrix products and convolutions as the CPU backend compiles them, in GFLOP/s and as a share of the machine's
// multiply-add peak measured in between. Usage: gemm_bench [threads] [name-filter], or gemm_bench threads nn|nt|tn|tt m
// n k, which goes by in f32, with operands rounded to bf16, with the right one stored so, and (nt, whole blocks) with
// it stored as q8, q4 and GGUF's Q4_0 (shares are of f32's peak)
#include "backends/api/kiln_codes.h"
#include "backends/cpu/artifact.h"
#include "tests/backends/cpu/OnProcessor.h"
#include "tests/bench/Limits.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sys/mman.h>

using namespace kiln::test;
using namespace kiln::bench;

namespace {

struct Benchmark {
  std::string name;
  double flops;
  TestKernel spec{"k0", "contract"};
};

Dims fixed(const std::vector<int64_t> &dims) { return {dims.begin(), dims.end()}; }

void addDot(std::vector<std::unique_ptr<Benchmark>> &all, int64_t m, int64_t n, int64_t k, const char *layout,
            bool epilogue = false, bool narrow = false, bool stored = false, const char *form = nullptr) {
  auto b = std::make_unique<Benchmark>();
  b->name = std::string(layout) +
            (epilogue ? "+bias+relu "
             : narrow ? " in bf16 "
             : stored ? " of bf16 "
             : form   ? " of " + std::string(form) + " "
                      : std::string(" ")) +
            std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  b->flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  bool ta = layout[0] == 't', tb = layout[1] == 't';
  uint32_t l = b->spec.input(KILN_F32, fixed(ta ? std::vector{k, m} : std::vector{m, k}));
  Dims rightDims = fixed(tb ? std::vector{n, k} : std::vector{k, n});
  uint32_t r = 0;
  if (form) { // rows of n in blocks of 32
    kiln::Coding coding = kiln::codingCalled(form);
    bool codes = coding != kiln::Coding::None, bytes = form == std::string("q8") || (codes && bitsOf(coding) == 8);
    std::vector<uint32_t> parts = {b->spec.input(bytes && !codes ? KILN_I8 : KILN_U8, {n, bytes ? k / 32 : k / 64, 32}),
                                   b->spec.input(codes ? KILN_F32 : KILN_F16, {n, k / 32})};
    if (form == std::string("q4"))
      parts.push_back(b->spec.input(KILN_F16, {n, k / 32}));
    r = codes ? b->spec.op("decode", parts, KILN_F32, rightDims, {Attr::text("coding", form)})
              : b->spec.op("dequantize", parts, KILN_F32, rightDims);
  } else {
    r = b->spec.input(stored ? KILN_BF16 : KILN_F32, rightDims);
  }
  if (stored)
    r = b->spec.op("convert", {r}, KILN_F32, rightDims);
  if (narrow) {
    l = b->spec.op("convert", {l}, KILN_BF16, fixed(ta ? std::vector{k, m} : std::vector{m, k}));
    r = b->spec.op("convert", {r}, KILN_BF16, rightDims);
  }
  uint32_t c = b->spec.op("dot_general", {l, r}, KILN_F32, {m, n},
                          {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {ta ? 0 : 1}),
                           ints("rhs_contract", {tb ? 1 : 0})});
  if (epilogue) {
    uint32_t bias = b->spec.input(KILN_F32, {Dim(n)}), zero = b->spec.input(KILN_F32, {Dim(n)});
    auto wide = [&](uint32_t v) { return b->spec.op("broadcast", {v}, KILN_F32, {m, n}, {ints("axes", {1})}); };
    c = b->spec.op("add", {c, wide(bias)});
    c = b->spec.op("max", {c, wide(zero)});
  }
  b->spec.output(c);
  all.push_back(std::move(b));
}

/// Attention's products: batch and heads outside, sequence and head width inside.
void addBatched(std::vector<std::unique_ptr<Benchmark>> &all, int64_t batch, int64_t t, int64_t d, bool values) {
  auto b = std::make_unique<Benchmark>();
  b->name =
      std::string(values ? "p.v " : "q.k ") + std::to_string(batch) + "x" + std::to_string(t) + "x" + std::to_string(d);
  b->flops =
      2.0 * static_cast<double>(batch) * static_cast<double>(t) * static_cast<double>(t) * static_cast<double>(d);
  uint32_t l = b->spec.input(KILN_F32, fixed({batch, t, values ? t : d})),
           r = b->spec.input(KILN_F32, fixed({batch, t, d}));
  b->spec.output(b->spec.op("dot_general", {l, r}, KILN_F32, {batch, t, values ? d : t},
                            {ints("lhs_batch", {0}), ints("rhs_batch", {0}), ints("lhs_contract", {2}),
                             ints("rhs_contract", {values ? 1 : 2})}));
  all.push_back(std::move(b));
}

enum class Pass { Forward, Input, Filter };

void addConvolution(std::vector<std::unique_ptr<Benchmark>> &all, int64_t n, int64_t c, int64_t o, int64_t size,
                    int64_t k, int64_t pad, Pass pass, int64_t stride = 1) {
  auto b = std::make_unique<Benchmark>();
  int64_t out = (size + 2 * pad - k) / stride + 1;
  const char *names[] = {"conv ", "conv dx ", "conv dw "};
  b->name = names[static_cast<int>(pass)] + std::to_string(n) + "x" + std::to_string(c) + "->" + std::to_string(o) +
            " " + std::to_string(size) + "^2 " + std::to_string(k) + "x" + std::to_string(k) +
            (stride > 1 ? " s" + std::to_string(stride) : "");
  b->flops = 2.0 * static_cast<double>(n * c * o * out * out * k * k);
  TestKernel &s = b->spec;
  uint32_t result;
  auto make = [&](uint32_t x, uint32_t f, const std::vector<int64_t> &dims, int64_t p, int64_t step = 1) {
    return s.op("convolution", {x, f}, KILN_F32, fixed(dims),
                {ints("strides", {step, step}), ints("low", {p, p}), ints("high", {p, p}),
                 ints("input_dilation", {1, 1}), ints("filter_dilation", {1, 1}), integer("groups", 1)});
  };
  if (pass == Pass::Forward) {
    uint32_t x = s.input(KILN_F32, fixed({n, c, size, size})), f = s.input(KILN_F32, fixed({o, c, k, k}));
    result = make(x, f, {n, o, out, out}, pad, stride);
  } else if (pass == Pass::Input) {
    uint32_t g = s.input(KILN_F32, fixed({n, o, out, out})), f = s.input(KILN_F32, fixed({o, c, k, k}));
    f = s.op("transpose", {f}, KILN_F32, {c, o, k, k}, {ints("permutation", {1, 0, 2, 3})});
    f = s.op("reverse", {f}, KILN_F32, {c, o, k, k}, {ints("axes", {2, 3})});
    result = make(g, f, {n, c, size, size}, k - 1 - pad);
  } else {
    uint32_t x = s.input(KILN_F32, fixed({n, c, size, size})), g = s.input(KILN_F32, fixed({n, o, out, out}));
    x = s.op("transpose", {x}, KILN_F32, {c, n, size, size}, {ints("permutation", {1, 0, 2, 3})});
    g = s.op("transpose", {g}, KILN_F32, {o, n, out, out}, {ints("permutation", {1, 0, 2, 3})});
    result = make(x, g, {c, o, k, k}, pad);
  }
  s.output(result);
  all.push_back(std::move(b));
}

/// Channels in and out, the image's side, the window's, stride.
constexpr int64_t resnet50[][5] = {
    {3, 64, 224, 7, 2},     {64, 64, 56, 1, 1},   {64, 64, 56, 3, 1},    {64, 256, 56, 1, 1},   {256, 64, 56, 1, 1},
    {256, 128, 56, 1, 1},   {128, 128, 56, 3, 2}, {128, 512, 28, 1, 1},  {256, 512, 56, 1, 2},  {512, 128, 28, 1, 1},
    {128, 128, 28, 3, 1},   {512, 256, 28, 1, 1}, {256, 256, 28, 3, 2},  {256, 1024, 14, 1, 1}, {512, 1024, 28, 1, 2},
    {1024, 256, 14, 1, 1},  {256, 256, 14, 3, 1}, {1024, 512, 14, 1, 1}, {512, 512, 14, 3, 2},  {512, 2048, 7, 1, 1},
    {1024, 2048, 14, 1, 2}, {2048, 512, 7, 1, 1}, {512, 512, 7, 3, 1}};

char *allocate(int64_t bytes) {
  constexpr int64_t page = 2 << 20;
  char *memory = static_cast<char *>(
      std::aligned_alloc(bytes < page ? 64 : page, static_cast<size_t>((bytes + page) / page * page)));
  if (bytes >= page) // as the runtime's arena
    madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  std::memset(memory, 0, static_cast<size_t>(bytes));
  return memory;
}

void measure(Benchmark &b, Team &team) {
  std::string error;
  std::string native = "native";
  Launches launches(cpuBackend(), linkObjects, cpuTarget(native));
  auto compiling = std::chrono::steady_clock::now();
  if (!launches.claim(b.spec, error) || !launches.compile(error)) {
    std::printf("%-34s %s\n", b.name.c_str(), error.c_str());
    return;
  }
  double compileSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - compiling).count();
  const kiln_cpu_kernel &kernel = static_cast<const kiln_cpu_artifact *>(launches.artifact().data())->kernels[0];
  std::vector<void *> args;
  for (const auto &list : {b.spec.inputs(), b.spec.outputs()})
    for (uint32_t v : list)
      args.push_back(allocate(4 * kiln::conformance::elements(b.spec.shapeOf(v))));
  args.push_back(nullptr); // nothing is prepacked
  char *scratch = allocate(launches.scratchBytes(0));
  std::vector<char *> workers;
  for (unsigned i = 0; i < team.size; ++i)
    workers.push_back(allocate(kernel.worker_scratch_bytes));
  std::vector<kiln_status> status(team.size);
  std::vector<double> phases(static_cast<size_t>(kernel.phase_count), 0.0);
  auto once = [&] {
    for (int64_t p = 0; p < kernel.phase_count; ++p) {
      double begin = now();
      int64_t tasks = kernel.phases[p].tasks(nullptr);
      std::atomic<int64_t> next = 0;
      team.run([&](unsigned worker) {
        int64_t piece = std::max<int64_t>(1, tasks / (4 * team.size)); // about as the runtime's threads take them
        kiln_cpu_begin_phase(&kernel, workers[worker]);
        for (int64_t task = next.fetch_add(piece); task < tasks; task = next.fetch_add(piece))
          kernel.phases[p].run(args.data(), nullptr, scratch, workers[worker], &status[worker], task,
                               std::min(task + piece, tasks));
      });
      phases[static_cast<size_t>(p)] += now() - begin;
    }
  };
  once();
  std::vector<double> shares, rates, times;
  for (int repeat = 0; repeat < 5; ++repeat) {
    double limit = peak(team);
    int64_t count = std::max<int64_t>(1, static_cast<int64_t>(5e9 / b.flops));
    double begin = now();
    for (int64_t i = 0; i < count; ++i)
      once();
    double seconds = (now() - begin) / static_cast<double>(count);
    limit = std::max(limit, peak(team));
    times.push_back(seconds);
    rates.push_back(b.flops / seconds / 1e9);
    shares.push_back(rates.back() / limit);
  }
  auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  std::string parts;
  for (double seconds : phases)
    parts += (parts.empty() ? "" : " + ") +
             std::to_string(std::lround(seconds / std::accumulate(phases.begin(), phases.end(), 0.0) * 100));
  std::printf("%-34s %9.1f us %8.1f GFLOP/s %6.2f of peak %7.1f ms compile %6.1f MB scratch, phases %s %%\n",
              b.name.c_str(), median(times) * 1e6, median(rates), median(shares), compileSeconds * 1e3,
              static_cast<double>(launches.scratchBytes(0)) / 1e6, parts.c_str());
  std::fflush(stdout);
  for (void *arg : args)
    std::free(arg);
  std::free(scratch);
  for (char *worker : workers)
    std::free(worker);
}

} // namespace

int main(int argc, char **argv) {
  unsigned threads = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 2;
  onWall = threads > 1;
  Team team(std::max(1u, threads));
  peak(team); // out of the clock's low states
  std::printf("peak on %u threads: %.1f GFLOP/s\n", team.size, peak(team));
  std::vector<std::unique_ptr<Benchmark>> all;
  for (const char *layout : {"nn", "nt", "tn", "tt"}) {
    addDot(all, 256, 3072, 768, layout);
    addDot(all, 256, 3072, 768, layout, false, true);
    addDot(all, 3072, 1536, 384, layout);
    addDot(all, 3072, 384, 1536, layout);
  }
  addDot(all, 384, 1536, 3072, "tn"); // a weight's gradient
  addDot(all, 2048, 2048, 2048, "nn");
  addDot(all, 3072, 1536, 384, "nt", true);
  addDot(all, 3072, 65, 384, "nt");
  addDot(all, 32, 128, 784, "nt", true);
  addDot(all, 128, 784, 32, "tn");
  addDot(all, 32, 10, 128, "nt");
  addDot(all, 1, 3072, 768, "nt");
  addDot(all, 1, 3072, 768, "nn");
  addDot(all, 32, 1024, 256, "nt");
  addBatched(all, 72, 256, 64, false);
  addBatched(all, 72, 256, 64, true);
  for (Pass pass : {Pass::Forward, Pass::Input, Pass::Filter}) {
    addConvolution(all, 64, 1, 32, 28, 3, 0, pass);
    addConvolution(all, 64, 32, 64, 26, 3, 0, pass);
    addConvolution(all, 64, 32, 32, 14, 3, 1, pass);
    for (int64_t channels = 64, size = 16; size >= 2; channels *= 2, size /= 2) // a ResNet-18's of images of 64 x 64
      addConvolution(all, 16, channels, channels, size, 3, 1, pass);
  }
  for (auto [c, o, size, k, stride] : resnet50)
    addConvolution(all, 1, c, o, size, k, k / 2, Pass::Forward, stride);
  if (argc > 5) { // one product: threads, layout, m, n, k
    all.clear();
    int64_t k = std::atol(argv[5]);
    bool blocks = std::string(argv[2]) == "nt" && k % 64 == 0;
    const char *forms[] = {nullptr, nullptr, nullptr, "q8", "q4", "Q4_0", "nf4", "iq4", "e4m3", "e5m2"};
    for (int kind = 0; kind < (blocks ? 10 : 3); ++kind)
      addDot(all, std::atol(argv[3]), std::atol(argv[4]), k, argv[2], false, kind == 1, kind == 2, forms[kind]);
    argc = 2;
  }
  for (auto &b : all)
    if (argc < 3 || b->name.find(argv[2]) != std::string::npos)
      measure(*b, team);
}
