// Two devices in two threads, each with its own executable, and a device with three threads: the same answers.
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Judge.h"
#include "backends/conformance/Programs.h"

#include <functional>
#include <numeric>
#include <thread>

namespace kiln::conformance {

namespace {

using Answers = std::vector<std::vector<Bytes>>;

/// Compiles, loads and runs all parts on a device of its own; the arguments' bytes after each.
bool runAll(Context &context, const KernelProgram &program, unsigned threads, Answers &answers, std::string &why) {
  Artifact artifact;
  std::unique_ptr<Session> session =
      Session::open(*context.backend, context.options.device, threads, why, context.options.runSettings);
  if (!session || !compile(*context.backend, context.linker, context.target, program.program(), artifact, why))
    return false;
  Session::Executable executable = session->load(program.program(), artifact, why);
  if (!executable)
    return false;
  for (size_t part = 0; part < program.size(); ++part) {
    Case &made = program.made(part);
    const Launch &launch = made.launches.front();
    std::vector<Bytes> arguments = Judge(made, true).operands(launch);
    for (uint32_t output : made.kernel->outputs())
      arguments.emplace_back(static_cast<size_t>(elements(made.kernel->shape(output, launch.extents)) *
                                                 sdk::byteSize(made.kernel->dtype(output))));
    kiln_status status;
    if (!session->run(executable.get(), program.entry(part, false), program.arena(part), arguments, launch.extents,
                      status, why, guardBytes))
      return false;
    answers.push_back(std::move(arguments));
  }
  return true;
}

/// Some of the kernels that the backend takes, in one program, and what they give on a device alone.
struct Chosen {
  std::vector<Case> cases;
  std::unique_ptr<KernelProgram> program;
  Answers alone;

  bool prepare(Context &context, std::string &why) {
    if (program)
      return true;
    cases = allCases(false, context.options.seed, /*edges=*/false); // what was tried, less what ended a process
    const auto &fatal = context.report.watcher.fatal;
    std::vector<KernelProgram::Part> parts;
    size_t step = 41;
    while (std::gcd(step, cases.size()) != 1)
      ++step;
    for (size_t n = 0; n < cases.size() && parts.size() < 24; ++n) {
      Case &made = cases[n * step % cases.size()];
      host::Answer answer;
      std::string ignored;
      const kiln_kernel &kernel = made.kernel->table("k");
      if (fatal && fatal(rowOf(made)))
        continue;
      if (context.backend->claim(kernel, context.target, answer, ignored) && answer.whole(kernel.op_count))
        parts.push_back({&made, answer.parts[0].scratchBytes});
    }
    if (parts.empty())
      return true;
    auto made = std::make_unique<KernelProgram>(parts);
    if (!runAll(context, *made, 1, alone, why))
      return false;
    program = std::move(made);
    return true;
  }
};

} // namespace

void checkThreads(Context &context) {
  bool exact = context.flags & KILN_BACKEND_DETERMINISTIC;
  Chosen chosen;
  auto attempt = [&](const char *name, const std::function<std::string()> &more) {
    Row row{"threads", name, {}, {}, Outcome::Pass, {}, 0, 0, 1};
    if (!context.report.begins(row))
      return;
    if (chosen.prepare(context, row.reason) && !chosen.program) {
      row.outcome = Outcome::Refused;
      row.reason = "it takes no kernel: there is nothing to try with";
    } else {
      if (chosen.program) {
        row.checks = static_cast<int64_t>(chosen.program->size());
        row.reason = more();
      }
      row.outcome = row.reason.empty() ? Outcome::Pass : Outcome::Failure;
    }
    context.report.add(row);
  };
  attempt("one device alone", [] { return std::string(); });
  attempt("the host's three threads", [&] {
    Answers many;
    std::string why;
    if (runAll(context, *chosen.program, 3, many, why) && many != chosen.alone && exact)
      why = "on three threads it gives other bits than on one, and says that it is deterministic";
    return why;
  });
  attempt("two devices in two threads", [&] {
    Answers answers[2];
    std::string whys[2];
    std::thread threads[2];
    for (int i = 0; i < 2; ++i)
      threads[i] = std::thread([&, i] {
        for (int round = 0; round < 3 && whys[i].empty(); ++round) {
          answers[i].clear();
          runAll(context, *chosen.program, 1, answers[i], whys[i]);
        }
      });
    for (std::thread &thread : threads)
      thread.join();
    for (int i = 0; i < 2; ++i)
      if (whys[i].empty() && answers[i] != chosen.alone && exact)
        whys[i] = "with two devices at work in two threads it gives other bits than alone";
    return whys[0].empty() ? whys[1] : whys[0];
  });
}

} // namespace kiln::conformance
