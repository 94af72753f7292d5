// The reference backend, wrong in one planted way: the environment's KILN_FAULT names it. Faults in what ops mean are
// told to the compile side by a reader that lies; those of the run side are wrapped around it.
#include "backends/api/kiln_text.h"
#include "backends/reference/compile/Compile.h"
#include "backends/reference/run/Run.h"
#include "tests/backends/conformance/Faults.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

namespace {

constexpr uint64_t guard = 256; // the kit's, before everything that a kernel is given
constexpr int64_t scratch = 64; // that it asks for where it writes behind it

using kiln::fail;
using kiln::text;
using kiln::test::Fault;

Fault fault = Fault::None;

const kiln_backend *sound; // the reference
const kiln_reader *honest;

bool is(const kiln_string &text, const char *word) {
  return text.size == std::strlen(word) && std::memcmp(text.data, word, text.size) == 0;
}
//===-- Wrong ops ------------------------------------------------------------------------------------------------===//

void lyingOp(const kiln_kernel *kernel, uint32_t number, kiln_op *op) {
  honest->op(kernel, number, op);
  struct {
    Fault fault;
    const char *from, *to;
  } static const swaps[] = {
      {Fault::FloorForRound, "round", "floor"},
      {Fault::LogForLog1p, "log1p", "log"},
      {Fault::ExpForExpm1, "expm1", "exp"},
      {Fault::DivisionForRemainder, "rem", "div"},
  };
  for (const auto &swap : swaps)
    if (fault == swap.fault && is(op->name, swap.from))
      op->name = text(swap.to);
}

void lyingAttr(const kiln_kernel *kernel, uint32_t op, uint32_t number, kiln_attr *attr) {
  honest->attr(kernel, op, number, attr);
  if (fault == Fault::ExclusiveIgnored && is(attr->name, "exclusive"))
    attr->integer = 0;
  if (fault == Fault::SortAscendingOnly && is(attr->name, "descending"))
    attr->integer = 0;
  if (fault == Fault::MinimumIsLast && is(attr->name, "kind") && is(attr->string, "min"))
    attr->string = text("set");
  if (fault == Fault::StrictComparison && is(attr->name, "predicate") && is(attr->string, "le"))
    attr->string = text("lt");
  if (fault == Fault::DilationIgnored && is(attr->name, "filter_dilation")) {
    static const int64_t ones[3] = {1, 1, 1};
    attr->ints = ones;
  }
  if (fault == Fault::StreamIgnored && is(attr->name, "stream"))
    attr->integer = 0;
  kiln_op of{};
  of.size = sizeof of;
  honest->op(kernel, op, &of);
  if (fault == Fault::LoopsForwards && of.region && is(attr->name, "reverse"))
    attr->integer = 0;
}

const kiln_host *lyingHost(const kiln_host *host) {
  static kiln_reader reader;
  static kiln_host lying;
  honest = host->reader;
  reader = *honest;
  reader.op = lyingOp;
  reader.attr = lyingAttr;
  lying = *host;
  lying.reader = &reader;
  return &lying;
}

//===-- Ends of the process
//----------------------------------------------------------------------------------------===//

/// Where "erf" is among the ops of a kernel.
bool holdsErf(const kiln_host *host, const kiln_kernel *kernel) {
  kiln_kernel_info info{};
  info.size = sizeof info;
  host->reader->kernel(kernel, &info);
  for (uint32_t i = 0; i < info.op_count; ++i) {
    kiln_op op{};
    op.size = sizeof op;
    host->reader->op(kernel, i, &op);
    if (is(op.name, "erf"))
      return true;
  }
  return false;
}

bool holdsErf(const kiln_host *host, const kiln_program *program) {
  kiln_program_info info{};
  info.size = sizeof info;
  host->reader->program(program, &info);
  for (uint32_t i = 0; i < info.kernel_count; ++i)
    if (holdsErf(host, host->reader->program_kernel(program, i)))
      return true;
  return false;
}

struct AtEnd {
  ~AtEnd() {
    if (fault == Fault::CrashesAtEnd)
      std::raise(SIGSEGV);
  }
} atEnd;

//===-- The compile side -----------------------------------------------------------------------------------------===//

int32_t capabilities(const kiln_host *host, const kiln_target *target, kiln_capabilities *out, kiln_error *error) {
  int32_t code = sound->compile->capabilities(host, target, out, error);
  if (fault == Fault::WritesBeyondStruct && out->size > sizeof *out)
    std::memset(out + 1, 0, out->size - sizeof *out);
  return code;
}

int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target, const kiln_answer *answer,
              kiln_error *error) {
  if (fault == Fault::ClaimsEverything) {
    kiln_terms terms{sizeof terms, 0, 0, {}, 0, nullptr, 0};
    answer->take(answer->self, nullptr, 0, &terms);
    return KILN_SUCCESS;
  }
  if (fault == Fault::CrashesAtClaim && holdsErf(host, kernel))
    std::raise(SIGSEGV);
  if (fault == Fault::RefusesWithoutReason) {
    answer->refuse(answer->self, KILN_NONE, {nullptr, 0});
    return KILN_SUCCESS;
  }
  if (fault == Fault::AnswersFromAnotherThread) {
    std::thread([&] {
      kiln_terms terms{sizeof terms, 0, 0, {}, 0, nullptr, 0};
      answer->take(answer->self, nullptr, 0, &terms);
    }).join();
    return KILN_SUCCESS;
  }
  if (fault == Fault::WritesBehindScratch) {
    kiln_terms terms{sizeof terms, 0, scratch, {}, 0, nullptr, 0};
    answer->take(answer->self, nullptr, 0, &terms);
    return KILN_SUCCESS;
  }
  if (fault == Fault::ScratchLies) {
    kiln_terms terms{sizeof terms, 0, -4096, {}, 0, nullptr, 0};
    answer->take(answer->self, nullptr, 0, &terms);
    return KILN_SUCCESS;
  }
  return sound->compile->claim(host, kernel, target, answer, error);
}

int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target, const kiln_sink *sink,
                kiln_error *error) {
  if (fault == Fault::CompileFails)
    return fail(error, KILN_ERROR_INTERNAL, "planted: it cannot compile this");
  bool erf = fault >= Fault::CrashesAtCompile && holdsErf(host, program);
  if (fault == Fault::CrashesAtCompile && erf)
    std::raise(SIGSEGV);
  if (fault == Fault::EndsProcess && erf)
    std::exit(7);
  while (fault == Fault::Hangs && erf)
    pause();
  if (fault == Fault::CompilesToNothing)
    return KILN_SUCCESS;
  return sound->compile->compile(lyingHost(host), program, target, sink, error);
}

//===-- The run side ---------------------------------------------------------------------------------------------===//

std::atomic<int> executions{0};

/// Where an entry's result lies: its last argument, where it has more than one.
std::mutex mutex;
std::map<std::pair<kiln_executable *, uint32_t>, uint32_t> argumentCounts, extentCounts;

int32_t open(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  if (fault == Fault::CrashesAtOpen)
    std::raise(SIGSEGV);
  return sound->run->open(host, number, device, error);
}

/// Of each buffer of the kit's, how far its operand reaches.
std::map<kiln_buffer *, uint64_t> ends;

int32_t import(kiln_device *device, void *memory, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  int32_t code = sound->run->import(device, memory, bytes, buffer, error);
  std::lock_guard lock(mutex);
  ends[*buffer] = bytes;
  return code;
}

int32_t allocate(kiln_device *device, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  if (fault == Fault::AllocationFails && bytes > 1000)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "planted: no memory");
  if (fault == Fault::AllocatesAnything && bytes > (static_cast<uint64_t>(1) << 50))
    bytes = 64;
  int32_t code = sound->run->allocate(device, bytes, buffer, error);
  std::lock_guard lock(mutex);
  if (code == KILN_SUCCESS)
    ends[*buffer] = bytes - std::min<uint64_t>(bytes, guard);
  return code;
}

void release(kiln_buffer *buffer) {
  if (fault != Fault::Leaks)
    sound->run->release(buffer);
}

int32_t read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  int32_t code = sound->run->read(from, offset, to, bytes, error);
  if (fault == Fault::ReadBeyondEnd)
    return KILN_SUCCESS;
  return code;
}

int32_t load(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
             kiln_executable **executable, kiln_error *error) {
  if (fault == Fault::LoadGivesNothing)
    return KILN_SUCCESS;
  int32_t code = sound->run->load(device, program, artifact, bytes, executable, error);
  kiln_program_info info{};
  info.size = sizeof info;
  honest->program(program, &info);
  std::lock_guard lock(mutex);
  for (uint32_t i = 0; i < info.entry_count && code == KILN_SUCCESS; ++i) {
    kiln_entry_info entry{};
    entry.size = sizeof entry;
    honest->entry(program, i, &entry);
    argumentCounts[{*executable, i}] = entry.argument_count;
    extentCounts[{*executable, i}] = entry.extent_count;
  }
  return code;
}

int32_t execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  int turn = ++executions;
  if (fault == Fault::ExecuteFails)
    return fail(error, KILN_ERROR_INTERNAL, "planted: a launch failed");
  if (fault == Fault::DeviceLost && turn > 100)
    return fail(error, KILN_ERROR_DEVICE_LOST, "planted: the device is lost");
  if (fault == Fault::CrashesAtExecute) {
    std::lock_guard lock(mutex);
    // The second extent of one of the kit's products, and of nothing else.
    if (extentCounts[{executable, execution->entry}] == 4 && execution->extents[1] == 129)
      std::raise(SIGSEGV);
  }
  if (fault == Fault::DoesNothing)
    return KILN_SUCCESS;
  if (fault == Fault::ReadsBehindOperand && execution->buffers && execution->buffers[0]) {
    void *memory = nullptr;
    std::lock_guard lock(mutex);
    if (sound->run->map(execution->buffers[0], &memory, error) == KILN_SUCCESS)
      (void)*(static_cast<const volatile uint8_t *>(memory) + ends[execution->buffers[0]] + 64);
  }
  int32_t code = sound->run->execute(executable, execution, error);
  if (fault == Fault::ForgetsStatus)
    std::memset(execution->status, 0, sizeof *execution->status);
  if (fault == Fault::WrongStatusLimit && execution->status->kind == KILN_INDEX_OUT_OF_RANGE)
    ++execution->status->limit;
  if (fault == Fault::NotDeterministic && turn % 2 && execution->buffers) {
    std::unique_lock lock(mutex);
    uint32_t last = argumentCounts[{executable, execution->entry}];
    lock.unlock();
    uint8_t byte = 1;
    kiln_error ignored{};
    ignored.size = sizeof ignored;
    if (last > 1 && sound->run->read(execution->buffers[last - 1], guard, &byte, 1, &ignored) == KILN_SUCCESS) {
      byte ^= 1; // one wrong bit now and then
      (void)sound->run->write(execution->buffers[last - 1], guard, &byte, 1, &ignored);
    }
  }
  kiln_buffer *before = fault == Fault::WritesBeforeOutput && execution->buffers ? execution->buffers[0] : nullptr;
  kiln_buffer *behind = fault == Fault::WritesBehindScratch ? execution->arena : nullptr;
  if (before || behind) {
    uint8_t byte = 0;
    kiln_error ignored{};
    ignored.size = sizeof ignored;
    (void)sound->run->write(before ? before : behind, before ? guard - 1 : guard + scratch, &byte, 1, &ignored);
  }
  if (fault == Fault::WritesBehindOutput && execution->buffers && execution->buffers[0]) {
    kiln_error ignored{};
    ignored.size = sizeof ignored;
    // The last byte of the first buffer, guards included: found by asking.
    uint64_t low = 0, high = static_cast<uint64_t>(1) << 24;
    uint8_t byte;
    while (high - low > 1) {
      uint64_t middle = (low + high) / 2;
      (sound->run->read(execution->buffers[0], middle, &byte, 1, &ignored) == KILN_SUCCESS ? low : high) = middle;
    }
    (void)sound->run->read(execution->buffers[0], low, &byte, 1, &ignored);
    byte ^= 0xff;
    (void)sound->run->write(execution->buffers[0], low, &byte, 1, &ignored);
  }
  return code;
}

} // namespace

extern "C" __attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                                          kiln_error *error) {
  static kiln_compile_api compiling;
  static kiln_run_api running;
  static kiln_backend backend;
  const char *name = std::getenv("KILN_FAULT");
  fault = kiln::test::faultNamed(name ? name : "");
  kiln_offer asked = *offer;
  if (fault == Fault::IgnoresVersions)
    asked.oldest = asked.newest = KILN_ABI_VERSION;
  honest = asked.host->reader; // a program that was built loads without compiling
  sound = kiln_reference_backend(&asked, error);
  if (!sound)
    return nullptr;
  compiling = *sound->compile;
  compiling.capabilities = capabilities;
  compiling.claim = claim;
  compiling.compile = compile;
  running = *sound->run;
  running.open = open;
  if (fault == Fault::AllocationFails)
    running.import = nullptr; // else a host that shares its memory asks for none
  running.allocate = allocate;
  if (fault == Fault::ReadsBehindOperand)
    running.import = import;
  running.release = release;
  running.read = read;
  running.load = load;
  running.execute = execute;
  backend = *sound;
  backend.name = text("faulty");
  backend.title = text("the reference with a planted fault");
  backend.compile = &compiling;
  backend.run = &running;
  return &backend;
}
