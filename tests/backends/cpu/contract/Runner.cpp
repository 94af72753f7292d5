#include "tests/backends/cpu/contract/Runner.h"
#include "backends/cpu/Backend.h"
#include "backends/host/Backend.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace contract {

struct Compiled::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

Compiled::Compiled() : impl(std::make_unique<Impl>()) {}
Compiled::~Compiled() = default;

static std::string message(llvm::Error error) {
  std::string result;
  llvm::raw_string_ostream(result) << error;
  llvm::consumeError(std::move(error));
  return result;
}

std::unique_ptr<Compiled> Compiled::compile(std::vector<kiln_kernel> kernels, std::string &error,
                                            const std::string &cpu) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  std::unique_ptr<Compiled> result(new Compiled);
  kiln_target target{};
  target.size = sizeof target;
  target.cpu = {cpu.data(), cpu.size()};
  target.jobs = 1;
  kiln_program program{};
  program.kernel_count = kernels.size();
  program.kernels = kernels.data();
  std::shared_ptr<kiln::host::Backend> backend = kiln::host::Backend::create(kiln_cpu_backend, "built in", error);
  if (!backend)
    return nullptr;
  for (const kiln_kernel &kernel : kernels) {
    kiln::host::Answer answer;
    if (!backend->claim(kernel, target, answer, error))
      return nullptr;
    if (!answer.whole(kernel.op_count)) {
      error = answer.reason();
      return nullptr;
    }
    result->scratch.push_back(answer.parts[0].scratchBytes);
  }
  std::vector<kiln::host::Blob> blobs;
  auto begin = std::chrono::steady_clock::now();
  if (!backend->compile(program, target, blobs, error))
    return nullptr;
  result->compileSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) {
    error = message(jit.takeError());
    return nullptr;
  }
  result->impl->jit = std::move(*jit);
  for (const kiln::host::Blob &blob : blobs) {
    llvm::StringRef bytes(reinterpret_cast<const char *>(blob.bytes.data()), blob.bytes.size());
    if (auto failed = result->impl->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(bytes)))
      error = message(std::move(failed));
  }
  auto symbol = result->impl->jit->lookup("kiln_cpu_artifact");
  if (!symbol) {
    error = message(symbol.takeError());
    return nullptr;
  }
  result->table = symbol->toPtr<const kiln_cpu_artifact *>();
  return result;
}

namespace {
/// Memory full of what is not a number in any float type, with a margin that nobody may write to.
struct Aligned {
  static constexpr size_t margin = 8192;
  explicit Aligned(size_t bytes)
      : data(static_cast<char *>(std::aligned_alloc(64, (bytes + margin + 63) / 64 * 64))), size(bytes) {
    std::memset(data, 0xff, bytes + margin);
  }
  ~Aligned() { std::free(data); }
  bool overrun() const {
    for (size_t i = size; i < size + margin; ++i)
      if (data[i] != static_cast<char>(0xff))
        return true;
    return false;
  }
  char *data;
  size_t size;
};
} // namespace

kiln_status Compiled::run(size_t number, const std::vector<void *> &args, const std::vector<int64_t> &extents,
                          unsigned threads) {
  const kiln_cpu_kernel &kernel = table->kernels[number];
  Aligned shared(scratch[number]);
  std::vector<std::unique_ptr<Aligned>> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.push_back(std::make_unique<Aligned>(kernel.worker_scratch_bytes));
  std::vector<kiln_status> statuses(threads);
  for (int64_t p = 0; p < kernel.phase_count; ++p) {
    int64_t tasks = kernel.phases[p].tasks(extents.data());
    std::atomic<int64_t> next = 0;
    auto work = [&](unsigned worker) {
      for (int64_t task = next++; task < tasks; task = next++)
        kernel.phases[p].run(args.data(), extents.data(), shared.data, workers[worker]->data, &statuses[worker], task,
                             task + 1);
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i)
      others.emplace_back(work, i);
    work(0);
    for (std::thread &thread : others)
      thread.join();
  }
  bool overrun = shared.overrun();
  for (auto &worker : workers)
    overrun |= worker->overrun();
  if (overrun) {
    kiln_status status{};
    status.kind = overran;
    return status;
  }
  for (const kiln_status &status : statuses)
    if (status.kind)
      return status;
  return {};
}

} // namespace contract
