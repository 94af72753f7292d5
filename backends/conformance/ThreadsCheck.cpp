// Two devices in two threads, each with its own executable, and a device with three threads: the same answers.
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Judge.h"
#include "backends/conformance/Programs.h"

#include <thread>

namespace kiln::conformance {

namespace {

using Answers = std::vector<std::vector<Bytes>>;

/// Compiles, loads and runs all parts on a device of its own; the arguments' bytes after each.
bool runAll(Context &context, const KernelProgram &program, unsigned threads, Answers &answers, std::string &why) {
  Artifact artifact;
  std::unique_ptr<Session> session = Session::open(*context.backend, context.options.device, threads, why);
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
      arguments.emplace_back(
          size_t(elements(made.kernel->shape(output, launch.extents)) * sdk::byteSize(made.kernel->dtype(output))));
    kiln_status status;
    if (!session->run(executable.get(), program.entry(part, false), program.arena(part), arguments, launch.extents,
                      status, why))
      return false;
    answers.push_back(std::move(arguments));
  }
  return true;
}

} // namespace

void checkThreads(Context &context) {
  std::vector<Case> cases = allCases(false, context.options.seed + 1);
  std::vector<KernelProgram::Part> parts;
  for (size_t i = 0; i < cases.size() && parts.size() < 24; i += 41) {
    host::Answer answer;
    std::string why;
    const kiln_kernel &kernel = cases[i].kernel->table("k");
    if (context.backend->claim(kernel, context.target, answer, why) && answer.whole(kernel.op_count))
      parts.push_back({&cases[i], answer.parts[0].scratchBytes});
  }
  auto add = [&](const char *name, const std::string &why) {
    context.report.add(
        {"threads", name, {}, {}, why.empty() ? Outcome::Pass : Outcome::Failure, why, 0, 0, int64_t(parts.size())});
  };
  if (parts.empty())
    return;
  KernelProgram program(parts);
  Answers alone, many;
  std::string why;
  if (!runAll(context, program, 1, alone, why))
    return add("one device alone", why);
  std::string manyWhy;
  if (runAll(context, program, 3, many, manyWhy) && many != alone && (context.flags & KILN_BACKEND_DETERMINISTIC))
    manyWhy = "on three threads it gives other bits than on one, and says that it is deterministic";
  add("the host's three threads", manyWhy);
  Answers answers[2];
  std::string whys[2];
  std::thread threads[2];
  for (int i = 0; i < 2; ++i)
    threads[i] = std::thread([&, i] {
      for (int round = 0; round < 3 && whys[i].empty(); ++round) {
        answers[i].clear();
        runAll(context, program, 1, answers[i], whys[i]);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int i = 0; i < 2; ++i)
    if (whys[i].empty() && answers[i] != alone && (context.flags & KILN_BACKEND_DETERMINISTIC))
      whys[i] = "with two devices at work in two threads it gives other bits than alone";
  add("two devices in two threads", whys[0].empty() ? whys[1] : whys[0]);
}

} // namespace kiln::conformance
