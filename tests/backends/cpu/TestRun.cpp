// Hand-made kernels on the CPU: one, two, three and eight threads, and once more in scratch that is watched.
#include "backends/conformance/Walled.h"
#include "backends/cpu/artifact.h"
#include "tests/backends/cpu/OnProcessor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>

namespace kiln::test {

std::shared_ptr<host::Backend> cpuBackend() {
  std::string error;
  static std::shared_ptr<host::Backend> backend = host::Backend::create(kiln_cpu_backend, "built in", error);
  EXPECT_TRUE(backend) << error;
  return backend;
}

kiln_target cpuTarget(const std::string &cpu, const std::string &math) {
  kiln_target target{};
  target.size = sizeof target;
  target.cpu = {cpu.data(), cpu.size()};
  target.math = {math.data(), math.size()};
  target.jobs = 2;
  return target;
}

std::shared_ptr<const void> linkObjects(const std::vector<host::Blob> &blobs, const std::string &symbol,
                                        std::string &error) {
  namespace fs = std::filesystem;
  std::string folder = (fs::temp_directory_path() / "kiln-cpu-XXXXXX").string();
  if (!mkdtemp(folder.data())) {
    error = "no temporary folder";
    return nullptr;
  }
  std::string library = folder + "/k.so", command = "ld.lld-19 -shared -o " + library;
  for (size_t i = 0; i < blobs.size(); ++i) {
    std::string object = folder + "/" + std::to_string(i) + ".o";
    std::ofstream(object, std::ios::binary)
        .write(reinterpret_cast<const char *>(blobs[i].bytes.data()), std::streamsize(blobs[i].bytes.size()));
    command += " " + object;
  }
  void *loaded = std::system(command.c_str()) == 0 ? dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!loaded)
    error = "the objects do not link or load";
  std::error_code ignored;
  if (const char *keep = std::getenv("KILN_TEST_KEEP_OBJECTS"))
    fs::copy(folder, keep, fs::copy_options::recursive | fs::copy_options::overwrite_existing, ignored);
  fs::remove_all(folder, ignored);
  void *address = loaded ? dlsym(loaded, symbol.c_str()) : nullptr;
  if (loaded && !address)
    error = "the objects do not define " + symbol;
  return std::shared_ptr<const void>(address, [loaded](const void *) {
    if (loaded)
      dlclose(loaded);
  });
}

static conformance::Session *sessionOf(unsigned threads, std::string &error) {
  static std::map<unsigned, std::unique_ptr<conformance::Session>> sessions;
  auto &session = sessions[threads];
  if (!session)
    session = conformance::Session::open(*cpuBackend(), 0, threads, error);
  return session.get();
}

static RunResult runOn(unsigned threads, Launches &launches, const std::vector<Tensor> &inputs,
                       const RunOptions &options) {
  RunResult result;
  conformance::Session *session = sessionOf(threads, result.error);
  return session ? launches.run(*session, 0, bytesOf(inputs), options.inPlace, options.repeat) : result;
}

static bool compiled(Launches &launches, TestKernel &kernel, std::string &error) {
  return launches.claim(kernel, error) && launches.compile(error);
}

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options) {
  RunResult result;
  Launches launches(cpuBackend(), linkObjects, cpuTarget(options.cpu, options.math));
  if (compiled(launches, kernel, result.error))
    result = runOn(options.threads, launches, inputs, options);
  decode(kernel, result);
  return result;
}

namespace {
/// A kernel's code; null after a failure that is told.
const kiln_cpu_kernel *codeOf(Launches &launches, TestKernel &kernel) {
  std::string error;
  if (compiled(launches, kernel, error))
    return static_cast<const kiln_cpu_artifact *>(launches.artifact().data())->kernels;
  ADD_FAILURE() << error;
  return nullptr;
}

/// Its inputs and its first output in memory of zeros, and where they are.
struct Operands {
  explicit Operands(const TestKernel &kernel) {
    std::vector<uint32_t> values = kernel.inputs();
    values.push_back(kernel.outputs()[0]);
    for (uint32_t value : values)
      memory.push_back(Tensor::make(kernel.dtype(value), kernel.shapeOf(value)).bytes());
    for (conformance::Bytes &bytes : memory)
      places.push_back(bytes.data());
    places.push_back(nullptr); // nothing is prepacked
  }
  std::vector<conformance::Bytes> memory;
  std::vector<void *> places;
};

/// Memory full of what is not a number in any float type, with a margin that nobody may write to.
struct Watched {
  static constexpr size_t margin = 8192;
  explicit Watched(int64_t bytes)
      : size(static_cast<size_t>(bytes)),
        data(static_cast<char *>(std::aligned_alloc(64, (size + margin + 63) / 64 * 64))) {
    std::memset(data, 0xff, size + margin);
  }
  ~Watched() { std::free(data); }
  bool intact() const {
    return std::all_of(data + size, data + size + margin, [](char c) { return c == static_cast<char>(0xff); });
  }
  size_t size;
  char *data;
};
} // namespace

/// The kernel's phases one task after another, its own scratch and a worker's watched, its inputs at walls: the
/// outputs.
static std::vector<conformance::Bytes> runWatched(const Launches &launches, const TestKernel &kernel,
                                                  const std::vector<Tensor> &inputs, conformance::Walled::Wall wall) {
  const kiln_cpu_kernel &code = static_cast<const kiln_cpu_artifact *>(launches.artifact().data())->kernels[0];
  std::vector<conformance::Walled> walled;
  std::vector<conformance::Bytes> memory;
  std::vector<void *> places;
  for (const Tensor &input : inputs) {
    const conformance::Bytes &bytes = input.bytes();
    places.push_back(walled.emplace_back(bytes.size(), wall).data());
    if (!places.back()) {
      ADD_FAILURE() << "no memory for an operand at a wall";
      return {};
    }
    std::copy(bytes.begin(), bytes.end(), walled.back().data());
  }
  for (uint32_t value : kernel.outputs())
    memory.push_back(Tensor::make(kernel.dtype(value), kernel.shapeOf(value)).bytes());
  for (conformance::Bytes &bytes : memory) {
    bytes.reserve(1);
    places.push_back(bytes.data());
  }
  places.push_back(nullptr); // nothing is prepacked
  Watched scratch(launches.scratchBytes(0)), worker(code.worker_scratch_bytes);
  kiln_status status{};
  for (int64_t p = 0; p < code.phase_count; ++p) {
    int64_t tasks = code.phases[p].tasks(kernel.extentValues.data());
    kiln_cpu_begin_phase(&code, worker.data);
    for (int64_t task = 0; task < tasks; ++task)
      code.phases[p].run(places.data(), kernel.extentValues.data(), scratch.data, worker.data, &status, task, task + 1);
  }
  EXPECT_TRUE(scratch.intact() && worker.intact()) << "the kernel wrote beyond its scratch";
  return memory;
}

std::vector<std::vector<int64_t>> writtenByTasks(TestKernel &kernel, const std::string &cpu) {
  Launches launches(cpuBackend(), linkObjects, cpuTarget(cpu));
  const kiln_cpu_kernel *code = codeOf(launches, kernel);
  if (!code)
    return {};
  Operands operands(kernel);
  Watched scratch(launches.scratchBytes(0)), worker(code->worker_scratch_bytes);
  kiln_status status{};
  std::vector<std::vector<int64_t>> written;
  for (int64_t p = 0; p < code->phase_count; ++p) {
    std::vector<int64_t> &ofPhase = written.emplace_back();
    const kiln_cpu_phase &phase = code->phases[p];
    kiln_cpu_begin_phase(code, worker.data);
    for (int64_t task = 0, tasks = phase.tasks(kernel.extentValues.data()); task < tasks; ++task) {
      conformance::Bytes &result = operands.memory.back(); // of zeros alone come zeros
      std::fill(result.begin(), result.end(), uint8_t{0xff});
      phase.run(operands.places.data(), kernel.extentValues.data(), scratch.data, worker.data, &status, task, task + 1);
      ofPhase.push_back(static_cast<int64_t>(result.size()) - std::count(result.begin(), result.end(), uint8_t{0xff}));
    }
  }
  return written;
}

std::pair<conformance::Bytes, conformance::Bytes> withInputLostBehindFirstTask(TestKernel &kernel,
                                                                               const std::string &cpu) {
  Launches launches(cpuBackend(), linkObjects, cpuTarget(cpu));
  const kiln_cpu_kernel *code = codeOf(launches, kernel);
  if (!code)
    return {};
  EXPECT_EQ(code->phase_count, 1);
  const kiln_cpu_phase &phase = code->phases[0];
  int64_t tasks = phase.tasks(kernel.extentValues.data());
  EXPECT_GT(tasks, 1);
  auto run = [&](bool lost) {
    Operands operands(kernel);
    for (conformance::Bytes &bytes : operands.memory)
      for (size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
        auto number = static_cast<float>(i / sizeof(float) % 13) - 6.0f;
        std::memcpy(&bytes[i], &number, sizeof number);
      }
    Watched scratch(launches.scratchBytes(0)), worker(code->worker_scratch_bytes);
    kiln_status status{};
    kiln_cpu_begin_phase(code, worker.data);
    for (int64_t task = 0; task < tasks; ++task) {
      phase.run(operands.places.data(), kernel.extentValues.data(), scratch.data, worker.data, &status, task, task + 1);
      if (lost)
        std::fill(operands.memory.front().begin(), operands.memory.front().end(), uint8_t{0xff});
    }
    return operands.memory.back();
  };
  return {run(false), run(true)};
}

void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options) {
  Launches launches(cpuBackend(), linkObjects, cpuTarget(options.cpu, options.math));
  std::string error;
  ASSERT_TRUE(compiled(launches, kernel, error)) << error;
  std::vector<conformance::Bytes> first;
  for (unsigned threads : {1, 2, 3, 8}) {
    RunResult result = runOn(threads, launches, inputs, options);
    ASSERT_EQ(result.error, "");
    if (threads == 1)
      judge(kernel, inputs, first = result.bytes, tolerance, "on one thread");
    EXPECT_EQ(result.bytes, first) << "other bits on " << threads << " threads";
  }
  for (auto wall : {conformance::Walled::Wall::Behind, conformance::Walled::Wall::Before})
    if (!options.inPlace)
      EXPECT_EQ(runWatched(launches, kernel, inputs, wall), first) << "other bits in other memory";
}

} // namespace kiln::test
