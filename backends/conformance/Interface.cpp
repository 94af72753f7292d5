// What holds for every call whatever the ops: versions, sizes, buffers, wrong arguments, broken artifacts.
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Events.h"
#include "backends/conformance/Judge.h"
#include "backends/conformance/Programs.h"
#include "backends/sdk/Graph.h"

#include "runtime/support/Error.h"

#include <cstring>
#include <deque>
#include <utility>

namespace kiln::conformance {

namespace {

/// A struct as a newer host would give it: longer than this header's, with bytes behind that are nobody's to write; or
/// as this host gives it, where a plugin of a newer header must not fill what that has appended.
template <typename T> struct Longer {
  T value{};
  uint8_t tail[64];
  explicit Longer(bool longer = true) {
    value.size = sizeof(T) + (longer ? sizeof tail : 0);
    std::memset(tail, 0xA5, sizeof tail);
  }
  bool intact() const {
    for (uint8_t byte : tail)
      if (byte != 0xA5)
        return false;
    return true;
  }
};

class InterfaceCheck {
public:
  explicit InterfaceCheck(Context &context)
      : context(context), tables(context.backend->tables()), function(context.backend->function()) {}

  void run() {
    attempt("version range", [&](std::string &why) { return versions(why); });
    attempt("a newer host's longer structs", [&](std::string &why) { return structs(true, why); });
    attempt("this host's structs and no more", [&](std::string &why) { return structs(false, why); });
    if (context.flags & KILN_BACKEND_STRIDED_VIEWS)
      context.report.add({"interface",
                          "strided views",
                          {},
                          {},
                          Outcome::Refused,
                          "the interface cannot hand out strided views yet: nothing was tried",
                          0,
                          0,
                          1});
    attempt("an op that it cannot know", [&](std::string &why) { return unknownOp(why, KILN_F32); });
    attempt("a reserved dtype", [&](std::string &why) { return unknownOp(why, KILN_F8E4M3); });
    attempt("devices that are not there", [&](std::string &why) { return wrongDevice(why); });
    std::string error;
    if (!context.report.begins({"interface", "open a device", {}, {}, Outcome::Pass, {}, 0, 0, 1}, /*needed=*/true))
      return; // it crashed
    session = Session::open(*context.backend, context.options.device, 1, error, context.options.runSettings);
    if (!session)
      return; // the ops say so
    attempt("buffers: write, copy, read", [&](std::string &why) { return buffers(why); });
    attempt("buffers: beyond the end", [&](std::string &why) { return beyond(why); });
    attempt("buffers: more memory than there is", [&](std::string &why) { return tooMuch(why); });
    const kiln_run_api &api = session->api();
    if (api.allocate_for)
      attempt("buffers: for each use", [&](std::string &why) { return forEachUse(why); });
    if (api.write_async && api.read_async)
      attempt("copies that go on", [&](std::string &why) { return copiesThatGoOn(*session, why); });
    if (api.write_async && api.read_async && api.notify)
      attempt("notices of events", [&](std::string &why) { return noticesOfEvents(*session, why); });
    if (api.write_async && api.read_async && api.after)
      attempt("work after a signal", [&](std::string &why) { return workAfterASignal(*session, why); });
    attempt("a program without kernels", [&](std::string &why) { return empty(why); });
    programs();
  }

private:
  Context &context;
  const BackendTables &tables;
  kiln_backend_fn function;
  std::unique_ptr<Session> session;
  kiln_error failure = emptyError();
  std::deque<Case> kernels; // of the programs, which point to them

  template <typename F> void attempt(const char *name, F f) {
    Row row{"interface", name, {}, {}, Outcome::Pass, {}, 0, 0, 1};
    std::string why;
    failure = emptyError();
    if (!context.report.begins(row))
      return;
    if (!f(why)) {
      row.outcome = Outcome::Failure;
      row.reason = why;
    }
    context.report.add(row);
  }

  const kiln_backend *ask(uint32_t oldest, uint32_t newest, kiln_error &error) {
    Longer<kiln_offer> offer;
    offer.value.oldest = oldest;
    offer.value.newest = newest;
    offer.value.host = plainHost();
    offer.value.host_name = {"conformance", 11};
    return function(&offer.value, &error);
  }

  bool versions(std::string &why) {
    if (const kiln_backend *answer = ask(KILN_ABI_VERSION + 1000, KILN_ABI_VERSION + 1001, failure))
      return why = "offered versions " + std::to_string(KILN_ABI_VERSION + 1000) + " to " +
                   std::to_string(KILN_ABI_VERSION + 1001) + ", it answers version " + std::to_string(answer->version),
             false;
    if (failure.code != KILN_ERROR_VERSION || !failure.message[0])
      return why = "it refuses versions that it cannot know without KILN_ERROR_VERSION and a sentence", false;
    for (uint32_t newest : {static_cast<uint32_t>(KILN_ABI_VERSION), static_cast<uint32_t>(KILN_ABI_VERSION + 7)}) {
      const kiln_backend *answer = ask(KILN_ABI_OLDEST, newest, failure);
      if (!answer)
        return why = "it refuses versions " + std::to_string(KILN_ABI_OLDEST) + " to " + std::to_string(newest), false;
      if (answer->version < KILN_ABI_OLDEST || answer->version > newest)
        return why = "it answers version " + std::to_string(answer->version) + ", which was not offered", false;
    }
    return true;
  }

  bool structs(bool longer, std::string &why) {
    Longer<kiln_capabilities> capabilities(longer);
    Longer<kiln_device_info> info(longer);
    Longer<kiln_target> target(longer);
    Threads host(1);
    uint32_t count = 0;
    kiln_string reason{};
    if (tables.compile.capabilities(plainHost(), &target.value, &capabilities.value, &failure) ||
        tables.run.device_count(&host.host(), &count, &reason, &failure) ||
        (count && tables.run.device_info(&host.host(), 0, &info.value, &failure)))
      return why = messageOf(failure), false;
    if (!capabilities.intact() || !info.intact())
      return why = "it writes behind the fields that it knows", false;
    return true;
  }

  bool unknownOp(std::string &why, kiln_dtype dtype) {
    Kernel kernel("single");
    uint32_t x = kernel.input(dtype, {fixed(4)});
    kernel.output(kernel.op(dtype == KILN_F32 ? "conformance_no_such_op" : "neg", {x}, dtype, {fixed(4)}));
    host::Answer answer;
    const kiln_kernel &table = kernel.table("k");
    if (!context.backend->claim(table, context.target, answer, why))
      return false;
    if (!answer.parts.empty())
      return why = "it takes it", false;
    if (answer.refusals.empty() || answer.refusals.front().reason.empty())
      return why = "it refuses it without a reason", false;
    return true;
  }

  bool wrongDevice(std::string &why) {
    Threads host(1);
    uint32_t count = 0;
    kiln_string reason{};
    if (tables.run.device_count(&host.host(), &count, &reason, &failure))
      return why = messageOf(failure), false;
    kiln_device *device = nullptr;
    if (tables.run.open(&host.host(), count + 5, &device, &failure) == KILN_SUCCESS)
      return why = "it opens device " + std::to_string(count + 5) + " of " + std::to_string(count), false;
    if (device || !failure.message[0])
      return why = "a failed open leaves a device, or no message", false;
    return true;
  }

  struct Held {
    const kiln_run_api &api;
    kiln_buffer *buffer = nullptr;
    ~Held() {
      if (buffer)
        api.release(buffer);
    }
  };

  /// Any buffer may be written, read and copied, also one for a use that nobody knows.
  bool forEachUse(std::string &why) {
    const kiln_run_api &api = session->api();
    Bytes bytes(300), found(300);
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<uint8_t>(i * 5 + 1);
    for (uint32_t use : {KILN_USE_ANY, KILN_USE_ARENA, KILN_USE_KEPT, KILN_USE_INPUT, KILN_USE_RESULT, kiln_use(77)})
      for (uint64_t size : {300, 0}) {
        Held held{api}, other{api};
        int32_t code = api.allocate_for(session->device(), size, use, &held.buffer, &failure);
        std::string what = "a buffer of " + std::to_string(size) + " bytes for the use " + std::to_string(use) + ": ";
        if (code == KILN_ERROR_OUT_OF_MEMORY && failure.message[0] && !held.buffer)
          continue;
        if (code != KILN_SUCCESS || !held.buffer)
          return why = what + messageOf(failure), false;
        if (!make(other, size, why) || api.write(held.buffer, 0, bytes.data(), size, &failure) ||
            api.copy(held.buffer, 0, other.buffer, 0, size, &failure) ||
            api.copy(other.buffer, 0, held.buffer, 0, size, &failure) ||
            api.read(held.buffer, 0, found.data(), size, &failure))
          return why = what + (why.empty() ? messageOf(failure) : why), false;
        if (size && bytes != found)
          return why = what + "bytes that were written, copied and read came back changed", false;
      }
    return true;
  }

  bool make(Held &held, uint64_t bytes, std::string &why) {
    if (session->api().allocate(session->device(), bytes, &held.buffer, &failure) == KILN_SUCCESS && held.buffer)
      return true;
    return why = "allocate " + std::to_string(bytes) + " bytes: " + messageOf(failure), false;
  }

  bool buffers(std::string &why) {
    const kiln_run_api &api = session->api();
    Held a{api}, b{api}, none{api};
    Bytes bytes(1000), found(1000);
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
    if (!make(a, 1000, why) || !make(b, 1000, why) || !make(none, 0, why))
      return false;
    if (api.write(a.buffer, 0, bytes.data(), 1000, &failure) || api.write(b.buffer, 0, bytes.data(), 1000, &failure) ||
        api.copy(a.buffer, 3, b.buffer, 501, 130, &failure) || api.read(b.buffer, 7, found.data() + 7, 993, &failure) ||
        api.read(b.buffer, 0, found.data(), 7, &failure) || api.write(a.buffer, 1000, bytes.data(), 0, &failure))
      return why = messageOf(failure), false;
    std::memcpy(bytes.data() + 501, Bytes(bytes).data() + 3, 130);
    return bytes == found || (why = "bytes that were written, copied and read came back changed", false);
  }

  bool beyond(std::string &why) {
    const kiln_run_api &api = session->api();
    Held a{api}, b{api};
    Bytes bytes(128);
    if (!make(a, 64, why) || !make(b, 64, why))
      return false;
    auto refused = [&](int32_t code, const char *what) {
      return (code != KILN_SUCCESS && failure.message[0]) ||
             (why = std::string(what) + " beyond the end of a buffer is no error", false);
    };
    return refused(api.write(a.buffer, 60, bytes.data(), 8, &failure), "a write") &&
           refused(api.read(a.buffer, 60, bytes.data(), 8, &failure), "a read") &&
           refused(api.read(a.buffer, UINT64_MAX, bytes.data(), 8, &failure), "a read") &&
           refused(api.copy(a.buffer, 0, b.buffer, 60, 8, &failure), "a copy");
  }

  bool tooMuch(std::string &why) {
    Held huge{session->api()};
    int32_t code = session->api().allocate(session->device(), static_cast<uint64_t>(1) << 60, &huge.buffer, &failure);
    if (code == KILN_SUCCESS)
      return why = "it gives a buffer of 2^60 bytes", false;
    if (code != KILN_ERROR_OUT_OF_MEMORY || !failure.message[0])
      return why = "2^60 bytes: it fails without KILN_ERROR_OUT_OF_MEMORY and a sentence", false;
    return !huge.buffer || (huge.buffer = nullptr, why = "a failed allocation leaves a buffer", false);
  }

  //===-- With a program of kernels that it claims ---------------------------------------------------------------===//

  static Case simple(const char *op, int64_t bound) {
    Case made{op, "", KILN_F32, std::make_shared<Kernel>("elementwise"), {{}, {}}, {{{bound}}}, {0.5, false, 0}};
    kiln_extent n = made.kernel->extent(bound);
    uint32_t x = made.kernel->input(KILN_F32, {n}), y = made.kernel->input(KILN_F32, {n});
    made.kernel->output(made.kernel->op(op, {x, y}, KILN_F32, {n}), 0);
    return made;
  }

  /// Up to two kernels: sums and products of vectors, which most backends take, else whatever it does.
  std::vector<KernelProgram::Part> claimed() {
    std::vector<KernelProgram::Part> parts;
    auto offer = [&](Case made) {
      host::Answer answer;
      std::string why;
      const kiln_kernel &kernel = made.kernel->table("k");
      if (parts.size() < 2 && context.backend->claim(kernel, context.target, answer, why) &&
          answer.whole(kernel.op_count))
        parts.push_back({&kernels.emplace_back(std::move(made)), answer.parts[0].scratchBytes});
    };
    for (const char *op : {"add", "mul"})
      offer(simple(op, 100));
    if (parts.size() < 2)
      for (Case &other : allCases(false, context.options.seed, /*edges=*/false))
        if (!other.reports && !other.launches.empty())
          offer(std::move(other));
    return parts;
  }

  void programs() {
    Row row{"interface", "programs", {}, {}, Outcome::Refused, {}, 0, 0, 1};
    if (!context.report.begins(row, /*needed=*/true))
      return;
    std::vector<KernelProgram::Part> parts = claimed();
    if (parts.empty()) {
      row.reason = "it takes none of the kit's kernels: there is nothing to try with";
      context.report.add(row);
      return;
    }
    KernelProgram program(parts), other({parts[0]});
    Artifact artifact;
    std::string error;
    if (!compile(*context.backend, context.linker, context.target, program.program(), artifact, error)) {
      row.outcome = Outcome::Failure;
      row.reason = error;
      context.report.add(row);
      return;
    }
    attempt("an entry that is not there", [&](std::string &why) { return wrongEntry(program, artifact, why); });
    if (context.flags & KILN_BACKEND_DETERMINISTIC)
      attempt("what is unchanged, and what is not",
              [&](std::string &why) { return unchanged(program, artifact, why); });
    if (context.flags & KILN_BACKEND_DETERMINISTIC)
      attempt("executions that go on", [&](std::string &why) { return goesOn(program, artifact, why); });
    if (context.flags & KILN_BACKEND_CANCELS)
      attempt("an execution that is cancelled", [&](std::string &why) { return cancelled(program, artifact, why); });
    attempt("profile", [&](std::string &why) { return profile(program, artifact, why); });
    attempt("memory is given back", [&](std::string &why) { return leaks(program, artifact, why); });
    if (!artifact.bytes.empty())
      attempt("artifacts cut short or changed", [&](std::string &why) { return broken(program, artifact, why); });
    if (parts.size() == 2)
      attempt("an artifact of another program", [&](std::string &why) {
        Session::Executable loaded = session->load(other.program(), artifact, why);
        if (loaded)
          return why = "it loads an artifact of two kernels for a program of one", false;
        return !why.empty();
      });
  }

  /// Of a model that hands its input on, say.
  bool empty(std::string &why) {
    EntryRow entry{};
    entry.name = {"nothing", 7};
    entry.root.kind = KILN_NODE_SEQUENCE;
    entry.root.index_slot = -1;
    entry.root.scratch.offset = entry.root.condition.offset = -1;
    kiln_program program{0, nullptr, 1, &entry, nullptr, 0};
    Artifact artifact;
    if (!compile(*context.backend, context.linker, context.target, program, artifact, why))
      return false;
    Session::Executable executable = session->load(program, artifact, why);
    std::vector<Bytes> none;
    kiln_status status;
    return executable && session->run(executable.get(), 0, 0, none, {}, status, why);
  }

  bool wrongEntry(KernelProgram &program, const Artifact &artifact, std::string &why) {
    Session::Executable executable = session->load(program.program(), artifact, why);
    if (!executable)
      return false;
    kiln_status status{};
    std::vector<int64_t> extents(8, 1);
    kiln_execution execution{sizeof execution, 1000,    nullptr, nullptr, extents.data(),
                             &status,          nullptr, nullptr, nullptr};
    int32_t code = session->api().execute(executable.get(), &execution, &failure);
    return (code != KILN_SUCCESS && failure.message[0]) || (why = "it executes entry 1000 without an error", false);
  }

  bool once(KernelProgram &program, kiln_executable *executable, std::string &why) {
    const Kernel &kernel = *program.made(0).kernel;
    const std::vector<int64_t> &extents = program.made(0).launches[0].extents;
    std::vector<Bytes> arguments;
    for (const std::vector<uint32_t> *values : {&kernel.inputs(), &kernel.outputs()})
      for (uint32_t value : *values)
        arguments.emplace_back(
            static_cast<size_t>(elements(kernel.shape(value, extents)) * sdk::byteSize(kernel.dtype(value))), 0);
    kiln_status status;
    return session->run(executable, program.entry(0, false), program.arena(0), arguments, extents, status, why,
                        guardBytes);
  }

  /// The first kernel, with operands of its own, or with zeros.
  bool first(KernelProgram &program, kiln_executable *executable, bool zeros, const How &how,
             std::vector<Bytes> &results, std::string &why) {
    Case &made = program.made(0);
    const Launch &launch = made.launches.front();
    std::vector<Bytes> arguments = Judge(made, true).operands(launch);
    size_t inputs = arguments.size();
    for (Bytes &input : arguments)
      if (zeros)
        std::fill(input.begin(), input.end(), 0);
    for (uint32_t output : made.kernel->outputs())
      arguments.emplace_back(static_cast<size_t>(elements(made.kernel->shape(output, launch.extents)) *
                                                 sdk::byteSize(made.kernel->dtype(output))));
    kiln_status status;
    if (!session->run(executable, program.entry(0, false), program.arena(0), arguments, launch.extents, status, why,
                      guardBytes, how))
      return false;
    results.assign(arguments.begin() + static_cast<int64_t>(inputs), arguments.end());
    return true;
  }

  /// With an event it gives what it gives without.
  bool goesOn(KernelProgram &program, const Artifact &artifact, std::string &why) {
    Session::Executable executable = session->load(program.program(), artifact, why);
    std::vector<Bytes> right, found;
    for (bool zeros : {false, true, false})
      if (!executable || !first(program, executable.get(), zeros, {}, right, why) ||
          !first(program, executable.get(), zeros, {.event = true}, found, why))
        return false;
      else if (right != found)
        return why = "an execution that was given an event has another result when that is over", false;
    return true;
  }

  /// It may have been done already; what comes after it is right.
  bool cancelled(KernelProgram &program, const Artifact &artifact, std::string &why) {
    Session::Executable executable = session->load(program.program(), artifact, why);
    std::vector<Bytes> right, found;
    static const volatile int32_t asked = 1, notAsked = 0; // an event may outlive this function
    if (!executable || !first(program, executable.get(), false, {}, right, why))
      return false;
    for (bool event : {false, true}) {
      int32_t code = KILN_SUCCESS;
      if (!first(program, executable.get(), false, {.cancel = &asked, .event = event, .code = &code}, found, why) &&
          code != KILN_ERROR_CANCELLED)
        return why = "it fails with code " + std::to_string(code) + ": " + why, false;
      why.clear();
      if (!first(program, executable.get(), false, {.cancel = &notAsked, .event = event}, found, why))
        return false;
      if (found != right)
        return why = "the execution after one that was cancelled has another result", false;
    }
    return true;
  }

  /// Two sets of operands in turns, with the numbers of what they hold, with none, and with zeros.
  bool unchanged(KernelProgram &program, const Artifact &artifact, std::string &why) {
    Session::Executable executable = session->load(program.program(), artifact, why);
    if (!executable)
      return false;
    const Kernel &kernel = *program.made(0).kernel;
    size_t inputs = kernel.inputs().size();
    std::vector<uint64_t> numbers(inputs + kernel.outputs().size(), 0);
    enum class Told { Nothing, Unknown, Numbers };
    auto run = [&](bool zeros, Told told, std::vector<Bytes> &results) {
      for (size_t i = 0; i < inputs; ++i)
        numbers[i] = told == Told::Numbers ? 1 + 2 * i + zeros : 0;
      return first(program, executable.get(), zeros, {.versions = told == Told::Nothing ? nullptr : numbers.data()},
                   results, why);
    };
    std::vector<Bytes> right[2], found;
    if (!run(false, Told::Nothing, right[0]) || !run(true, Told::Nothing, right[1]))
      return false;
    for (Told told : {Told::Numbers, Told::Numbers, Told::Unknown, Told::Numbers})
      for (bool zeros : {false, true}) {
        if (!run(zeros, told, found))
          return false;
        if (found != right[zeros])
          return why = std::string("operands ") +
                       (told == Told::Numbers ? "with versions, each its own," : "whose versions are 0") +
                       " give another result than without",
                 false;
      }
    return true;
  }

  bool profile(KernelProgram &program, const Artifact &artifact, std::string &why) {
    const kiln_run_api &api = session->api();
    if (!api.profile)
      return true; // optional
    Session::Executable executable = session->load(program.program(), artifact, why);
    const kiln_profile_event *events = nullptr;
    size_t count = 0;
    if (!executable)
      return false;
    if (api.profile(executable.get(), 1, &events, &count, &failure))
      return why = messageOf(failure), false;
    if (!once(program, executable.get(), why))
      return false;
    if (api.profile(executable.get(), 1, &events, &count, &failure))
      return why = messageOf(failure), false;
    if (count != 1 || !events || events[0].kernel != 0 || events[0].end_ns < events[0].begin_ns)
      return why = "an execution of one launch gives " + std::to_string(count) + " events, or a wrong one", false;
    return true;
  }

  /// The device's own count, where it keeps one, is after many rounds what it was after the first.
  bool leaks(KernelProgram &program, const Artifact &artifact, std::string &why) {
    const kiln_run_api &api = session->api();
    uint64_t first = 0;
    for (int round = 0; round < 5; ++round) {
      Session::Executable executable = session->load(program.program(), artifact, why);
      if (!executable || !once(program, executable.get(), why))
        return false;
      Longer<kiln_counters> counters;
      if (!api.counters)
        continue; // optional
      if (api.counters(executable.get(), &counters.value, &failure))
        return why = messageOf(failure), false;
      if (!counters.intact())
        return why = "counters are written behind their end", false;
      if (round == 0)
        first = counters.value.device_bytes;
      else if (counters.value.device_bytes > first)
        return why = "after " + std::to_string(round + 1) + " rounds it holds " +
                     std::to_string(counters.value.device_bytes) + " bytes, after one " + std::to_string(first),
               false;
    }
    return true;
  }

  bool broken(KernelProgram &program, const Artifact &artifact, std::string &why) {
    auto refuses = [&](const Artifact &spoilt, const std::string &what) {
      std::string error;
      if (session->load(program.program(), spoilt, error))
        return why = "it loads an artifact " + what, false;
      return !error.empty() || (why = "it refuses an artifact " + what + " without a sentence", false);
    };
    size_t size = artifact.bytes.size();
    for (size_t cut : {size - 1, size / 2, static_cast<size_t>(17), static_cast<size_t>(4), static_cast<size_t>(1)}) {
      if (cut >= size || cut == 0)
        continue;
      Artifact spoilt{Bytes(artifact.bytes.begin(), artifact.bytes.begin() + static_cast<int64_t>(cut)), nullptr};
      if (!refuses(spoilt, "cut to " + std::to_string(cut) + " of " + std::to_string(size) + " bytes"))
        return false;
    }
    // Whether a changed byte is found out is the backend's business; that reading it does no harm is not.
    for (size_t at : {static_cast<size_t>(0), size / 3, size / 2, size - 1}) {
      Artifact spoilt = artifact;
      spoilt.bytes[at] ^= 0x40;
      std::string error;
      if (!session->load(program.program(), spoilt, error) && error.empty())
        return why = "it refuses an artifact with byte " + std::to_string(at) + " changed without a sentence", false;
    }
    return true;
  }
};

} // namespace

void checkInterface(Context &context) { InterfaceCheck(context).run(); }

} // namespace kiln::conformance
