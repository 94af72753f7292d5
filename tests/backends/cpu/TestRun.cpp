// Compile, link, load and execute a test kernel.
#include "backends/cpu/Backend.h"
#include "backends/cpu/run/Run.h"
#include "backends/host/Backend.h"
#include "tests/backends/cpu/TestKernel.h"
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace kiln::test {

//===-- Threads --------------------------------------------------------------------------------------------------===//

struct Threads::State {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  uint64_t generation = 0;
  bool stop = false;
  uint32_t running = 0, count = 1;
  kiln_task task = nullptr;
  void *context = nullptr;
  int64_t total = 0, grain = 1;
  std::atomic<int64_t> next{0};

  void work(uint32_t worker) {
    for (int64_t begin = next.fetch_add(grain); begin < total; begin = next.fetch_add(grain))
      task(context, begin, std::min(begin + grain, total), worker);
  }
  void loop(uint32_t worker) {
    uint64_t seen = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return stop || generation != seen; });
      if (stop)
        return;
      seen = generation;
      lock.unlock();
      work(worker);
      lock.lock();
      if (--running == 0)
        done.notify_all();
    }
  }
};

Threads::Threads(uint32_t count) : state(std::make_unique<State>()) {
  state->count = count;
  for (uint32_t i = 1; i < count; ++i)
    state->threads.emplace_back([this, i] { state->loop(i); });
  host.size = sizeof host;
  host.self = state.get();
  host.worker_count = count;
  host.log = [](void *, int32_t, kiln_string) {};
  host.reader = tableReader();
  host.parallel_for = [](void *self, int64_t total, kiln_task task, void *context) {
    State &s = *static_cast<State *>(self);
    std::unique_lock lock(s.mutex);
    s.task = task, s.context = context, s.total = total, s.next = 0;
    s.grain = std::max<int64_t>(1, total / (4 * s.count));
    s.running = s.count - 1;
    ++s.generation;
    lock.unlock();
    s.wake.notify_all();
    s.work(0);
    lock.lock();
    s.done.wait(lock, [&] { return s.running == 0; });
  };
}

Threads::~Threads() {
  {
    std::lock_guard lock(state->mutex);
    state->stop = true;
  }
  state->wake.notify_all();
  for (std::thread &thread : state->threads)
    thread.join();
}

//===-- Compiling ------------------------------------------------------------------------------------------------===//

static kiln_string text(const std::string &s) { return {s.data(), s.size()}; }

std::shared_ptr<void> loadArtifact(const kiln_program &program, const std::string &cpu, const void *&artifact,
                                   std::string &error) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "kiln-cpu-XXXXXX").string();
  if (!mkdtemp(pattern.data())) {
    error = "no temporary folder";
    return nullptr;
  }
  fs::path folder = pattern;
  struct Cleanup {
    fs::path folder;
    ~Cleanup() {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  } cleanup{folder};
  kiln_target target{};
  target.size = sizeof target;
  target.cpu = text(cpu);
  target.jobs = 2;
  std::shared_ptr<host::Backend> backend = host::Backend::create(kiln_cpu_backend, "built in", error);
  std::vector<host::Blob> blobs;
  if (!backend || !backend->compile(program, target, blobs, error))
    return nullptr;
  std::string command = "ld.lld-19 -shared -o " + (folder / "k.so").string();
  for (size_t i = 0; i < blobs.size(); ++i) {
    fs::path object = folder / (std::to_string(i) + ".o");
    std::ofstream(object, std::ios::binary)
        .write(reinterpret_cast<const char *>(blobs[i].bytes.data()), std::streamsize(blobs[i].bytes.size()));
    command += " " + object.string();
  }
  if (const char *keep = std::getenv("KILN_TEST_KEEP_OBJECTS")) {
    std::error_code ignored;
    fs::copy(folder, keep, fs::copy_options::recursive | fs::copy_options::overwrite_existing, ignored);
  }
  if (std::system(command.c_str()) != 0) {
    error = "the objects do not link";
    return nullptr;
  }
  void *library = dlopen((folder / "k.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = dlerror();
    return nullptr;
  }
  artifact = dlsym(library, "kiln_cpu_artifact");
  if (!artifact) {
    error = "the objects do not define kiln_cpu_artifact";
    return nullptr;
  }
  return std::shared_ptr<void>(library, [](void *l) { dlclose(l); });
}

//===-- Running --------------------------------------------------------------------------------------------------===//

/// Memory with a guard after it: kernels must not write beyond the end.
struct Guarded {
  std::vector<uint8_t> memory;
  size_t size;
  uint8_t *start() { return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64; }
  explicit Guarded(size_t size) : memory(size + 192, 0xa5), size(size) {}
  bool intact() {
    for (size_t i = 0; i < 64; ++i)
      if (start()[size + i] != 0xa5)
        return false;
    return true;
  }
};

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options) {
  RunResult result;
  const kiln_kernel &built = kernel.get();
  kiln_target target{};
  target.size = sizeof target;
  target.cpu = text(options.cpu);
  std::shared_ptr<host::Backend> backend = host::Backend::create(kiln_cpu_backend, "built in", result.error);
  host::Answer answer;
  if (!backend || !backend->claim(built, target, answer, result.error))
    return result;
  if (!answer.whole(built.op_count)) {
    result.error = answer.reason();
    return result;
  }
  int64_t scratchBytes = answer.parts[0].scratchBytes;
  size_t places = kernel.inputs.size() + kernel.outputs.size();
  std::vector<kiln_place> launchPlaces(places);
  std::vector<int64_t> argumentBytes(places, 0);
  for (size_t i = 0; i < places; ++i) {
    launchPlaces[i] = {KILN_SPACE_ARGUMENT, static_cast<uint32_t>(i), 0, {{0, -1}, {0, -1}, {0, -1}}};
    bool inPlace = i >= kernel.inputs.size() && i - kernel.inputs.size() < options.inPlace.size() &&
                   options.inPlace[i - kernel.inputs.size()];
    if (inPlace)
      launchPlaces[i].argument = static_cast<uint32_t>(kernel.alias[i - kernel.inputs.size()]);
  }
  std::vector<kiln_extent> launchExtents;
  for (size_t i = 0; i < kernel.extentBounds.size(); ++i)
    launchExtents.push_back({kernel.extentBounds[i], static_cast<int32_t>(i)});
  EntryRow entry{};
  std::string entryName = "run";
  entry.name = text(entryName);
  entry.argument_count = places;
  entry.argument_bytes = argumentBytes.data();
  entry.extent_count = kernel.extentBounds.size();
  entry.arena_bytes = scratchBytes;
  entry.root.kind = KILN_NODE_LAUNCH;
  entry.root.place_count = places;
  entry.root.places = launchPlaces.data();
  entry.root.extent_count = launchExtents.size();
  entry.root.extents = launchExtents.data();
  kiln_program program{1, &built, 1, &entry, nullptr, 0};
  const void *artifact = nullptr;
  std::shared_ptr<void> library = loadArtifact(program, options.cpu, artifact, result.error);
  if (!library)
    return result;
  Threads threads(options.threads);
  const kiln_run_api *api = kiln_cpu_run_api();
  kiln_error failure = emptyError();
  kiln_device *device = nullptr;
  kiln_executable *executable = nullptr;
  if (api->open(&threads.host, 0, &device, &failure) ||
      api->load(device, &program, artifact, 0, &executable, &failure)) {
    result.error = failure.message;
    return result;
  }
  std::vector<Guarded> memory;
  std::vector<kiln_buffer *> buffers;
  for (const Tensor &input : inputs) {
    memory.emplace_back(input.bytes.size());
    std::memcpy(memory.back().start(), input.bytes.data(), input.bytes.size());
  }
  for (uint32_t v : kernel.outputs) {
    result.outputs.push_back(Tensor::make(kernel.dtypeOf(v), kernel.shapeOf(v)));
    memory.emplace_back(result.outputs.back().bytes.size());
  }
  Guarded arena{static_cast<size_t>(scratchBytes)};
  memory.push_back(std::move(arena));
  for (Guarded &each : memory)
    api->import(device, each.start(), each.size, &buffers.emplace_back(), &failure);
  std::vector<int64_t> extents = kernel.extentValues;
  kiln_execution execution{sizeof execution, 0,      buffers.data(), buffers.back(), extents.data(),
                           &result.status,   nullptr};
  result.seconds = 1e9;
  for (int i = 0; i < options.repeat; ++i) {
    auto begin = std::chrono::steady_clock::now();
    if (api->execute(executable, &execution, &failure))
      result.error = failure.message;
    result.seconds =
        std::min(result.seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    uint32_t from = launchPlaces[kernel.inputs.size() + i].argument;
    std::memcpy(result.outputs[i].bytes.data(), memory[from].start(), result.outputs[i].bytes.size());
  }
  for (Guarded &each : memory)
    if (!each.intact())
      result.error = "a kernel wrote beyond the end of a tensor or of its scratch";
  api->unload(executable);
  for (kiln_buffer *buffer : buffers)
    api->release(buffer);
  api->close(device);
  return result;
}

void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options) {
  std::vector<Tensor> expected = evaluate(kernel, inputs), first;
  for (uint32_t threads : {1u, 2u, 3u}) {
    RunOptions its = options;
    its.threads = threads;
    RunResult result = run(kernel, inputs, its);
    ASSERT_EQ(result.error, "");
    for (size_t o = 0; o < expected.size(); ++o) {
      int bad = 0;
      for (int64_t i = 0; i < expected[o].count() && bad < 5; ++i) {
        Number got = result.outputs[o].get(i), want = expected[o].get(i);
        bool real = expected[o].dtype <= KILN_F16;
        bool same =
            real ? (std::isnan(want.real) ? std::isnan(got.real)
                                          : got.real == want.real || std::abs(got.real - want.real) <=
                                                                         tolerance * std::max(1.0, std::abs(want.real)))
                 : got.whole == want.whole;
        if (!same)
          ++bad, ADD_FAILURE() << "output " << o << " element " << i << ": got "
                               << (real ? got.real : static_cast<double>(got.whole)) << ", expected "
                               << (real ? want.real : static_cast<double>(want.whole)) << " on " << threads
                               << " threads";
      }
      if (threads > 1)
        EXPECT_EQ(result.outputs[o].bytes, first[o].bytes)
            << "output " << o << " has other bits on " << threads << " threads";
    }
    if (threads == 1)
      first = result.outputs;
  }
}

} // namespace kiln::test
