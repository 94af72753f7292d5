// Every op, dtype and edge shape, beside the float64 reference.
#include "backends/conformance/CaseAnswers.h"
#include "backends/conformance/Judge.h"
#include "backends/conformance/Programs.h"

#include <deque>

namespace kiln::conformance {

Row rowOf(const Case &made) {
  return {"ops", made.op, sdk::dtypeName(made.dtype), made.variant, Outcome::Pass, {}, 0, 0, 0};
}

namespace {

void fail(Row &row, std::string reason) {
  if (row.outcome == Outcome::Failure)
    return;
  row.outcome = Outcome::Failure;
  row.reason = std::move(reason);
}

std::string describe(const Launch &launch) {
  std::string text = launch.extents.empty() ? "" : " at extents";
  for (int64_t extent : launch.extents)
    text += " " + std::to_string(extent);
  return text + (launch.inPlace ? ", in place" : "");
}

class Batch {
public:
  Batch(Context &context, Session &session, const KernelProgram &program, kiln_executable *executable)
      : context(context), session(session), program(program), executable(executable) {}

  Row check(size_t part) {
    Case &made = program.made(part);
    Row row = rowOf(made);
    Distance worst;
    Judge judge(made, context.flags & KILN_BACKEND_FLUSHES_DENORMALS);
    for (const Launch &launch : made.launches) {
      std::string why;
      if (!checkLaunch(judge, part, launch, worst, why))
        fail(row, why + describe(launch));
      ++row.checks;
    }
    row.worst = worst.ulps;
    row.share = worst.share;
    return row;
  }

private:
  Context &context;
  Session &session;
  const KernelProgram &program;
  kiln_executable *executable;

  bool checkLaunch(Judge &judge, size_t part, const Launch &launch, Distance &worst, std::string &why) {
    Case &made = program.made(part);
    const Kernel &kernel = *made.kernel;
    std::vector<Bytes> operands = judge.operands(launch);
    Expected expected;
    if (!judge.expect(launch, operands, expected, why)) {
      why = "the kit's kernel is wrong: " + why;
      return false;
    }
    std::vector<Bytes> arguments = operands;
    std::vector<size_t> home; // of each output, among the arguments
    for (size_t i = 0; i < kernel.outputs().size(); ++i) {
      bool placed = launch.inPlace && kernel.alias()[i] >= 0;
      home.push_back(placed ? static_cast<size_t>(kernel.alias()[i]) : arguments.size());
      if (!placed)
        arguments.emplace_back(static_cast<size_t>(expected.values[i].size() * sdk::byteSize(expected.values[i].dtype)),
                               unwritten);
    }
    std::vector<Bytes> again = arguments;
    kiln_status status, second;
    uint32_t entry = program.entry(part, launch.inPlace);
    if (!session.run(executable, entry, program.arena(part), arguments, launch.extents, status, why, guardBytes))
      return false;
    for (size_t i = 0; i < home.size(); ++i)
      if (!judge.compare(expected, i, arguments[home[i]], worst, why))
        return false;
    for (size_t i = 0; i < operands.size(); ++i)
      if (std::find(home.begin(), home.end(), i) == home.end() && arguments[i] != operands[i]) {
        why = "it wrote to its operand " + std::to_string(i);
        return false;
      }
    if (made.reports && !judge.compareStatus(expected, status, why))
      return false;
    if (!made.reports && status.kind != KILN_OK) {
      why = "the status record reports an error of kind " + std::to_string(status.kind) + " where there is none";
      return false;
    }
    bool exact = context.flags & KILN_BACKEND_DETERMINISTIC;
    if (!exact && !(context.flags & KILN_BACKEND_HOST_MEMORY))
      return true;
    How other;
    other.poison = 0x3C; // small numbers: what a comparison or a maximum takes from there is other than before
    other.walled = true;
    if (!session.run(executable, entry, program.arena(part), again, launch.extents, second, why, guardBytes, other))
      return false;
    if (!exact || arguments == again)
      return true;
    why = "a second execution, with other bytes around its operands, gave other bits, and the backend says that it is "
          "deterministic: is something read beside an operand?";
    return false;
  }
};

class OpsCheck {
public:
  explicit OpsCheck(Context &context) : context(context), answers(*context.backend, context.target) {}

  void run() {
    std::string error;
    Row opening{"ops", "open a device", {}, {}, Outcome::Failure, {}, 0, 0, 1};
    if (!context.report.begins(opening, /*needed=*/true))
      return; // it crashed
    session = Session::open(*context.backend, context.options.device, 1, error, context.options.runSettings);
    if (!session) {
      opening.reason = error;
      context.report.add(opening);
      return;
    }
    cases = allCases(
        context.options.full, context.options.seed, context.options.edges, [this](Case &made) { return takes(made); },
        namesLoops());
    cases.insert(cases.end(), context.options.whole.begin(), context.options.whole.end());
    std::vector<KernelProgram::Part> parts;
    for (Case &made : cases) {
      int64_t scratch;
      if (context.report.begins(rowOf(made)) && claimed(made, scratch)) {
        parts.push_back({&made, scratch});
        Case *other = asArranged(made);
        if (other && context.report.begins(rowOf(*other)) && claimed(*other, scratch))
          parts.push_back({other, scratch});
      }
      if (parts.size() >= 64) {
        check(parts);
        parts.clear();
      }
    }
    if (!parts.empty())
      check(parts);
  }

private:
  Context &context;
  std::unique_ptr<Session> session;
  std::vector<Case> cases;
  std::deque<Case> arranged; ///< more of them, as their backend asked
  CaseAnswers answers;

  bool namesLoops() const {
    host::Capabilities says;
    std::string why; // it is told elsewhere
    return context.backend->capabilities(context.target, says, why) &&
           std::find(says.composites.begin(), says.composites.end(), "scan") != says.composites.end();
  }

  bool takes(Case &made) {
    Row row = rowOf(made);
    if (context.report.watcher.fatal && context.report.watcher.fatal(row))
      return true; // or the processes that follow would try others
    if (!context.report.wants(row))
      return true; // it is not asked, nor tried
    if (context.report.watcher.begins && !(context.report.watcher.done && context.report.watcher.done(row)))
      context.report.watcher.begins({row});
    return answers.of(made).whole;
  }

  /// The kernel with its operands as its backend asked for them; null where it asked for nothing.
  Case *asArranged(Case &made) {
    const auto &layouts = answers.of(made).answer.parts.front().layouts;
    if (layouts.empty() || made.definition || made.asked)
      return nullptr;
    Case &other = arranged.emplace_back(made);
    other.kernel = made.kernel->arranged(layouts);
    other.variant += ", arranged";
    other.asked = true;
    for (Launch &launch : other.launches)
      launch.inPlace = false;
    return &other;
  }

  bool claimed(Case &made, int64_t &scratch) {
    Row row = rowOf(made);
    const auto &[answer, error, whole] = answers.of(made);
    if (!error.empty()) {
      fail(row, error);
    } else if (!whole && made.asked) {
      fail(row, "it asked for operands that lie so, and refuses the kernel that has them: " + answer.reason());
    } else if (!whole) {
      row.outcome = Outcome::Refused;
      row.reason = answer.parts.empty() ? answer.reason() : "it takes this in parts";
      if (answer.parts.empty() && (answer.refusals.empty() || answer.refusals.front().reason.empty()))
        fail(row, "it refuses and gives no reason");
    } else {
      scratch = answer.parts.front().scratchBytes;
      return true;
    }
    context.report.add(row);
    return false;
  }

  void checkEach(const std::vector<KernelProgram::Part> &parts) {
    for (const KernelProgram::Part &part : parts)
      check({part});
  }

  void check(const std::vector<KernelProgram::Part> &parts) {
    std::vector<Row> rows;
    for (const KernelProgram::Part &part : parts)
      rows.push_back(rowOf(*part.made));
    if (context.report.watcher.begins && !context.report.watcher.begins(rows))
      return checkEach(parts);
    KernelProgram program(parts);
    Artifact artifact;
    std::string error;
    Session::Executable executable(nullptr, nullptr);
    if (compile(*context.backend, context.linker, context.target, program.program(), artifact, error))
      executable = session->load(program.program(), artifact, error);
    if (!executable) {
      if (parts.size() > 1)
        return checkEach(parts); // which of them is it?
      Row row = rowOf(*parts[0].made);
      fail(row, "it claimed this kernel and then: " + error);
      context.report.add(row);
      return;
    }
    Batch batch(context, *session, program, executable.get());
    for (size_t i = 0; i < parts.size(); ++i)
      if (context.report.begins(rows[i]))
        context.report.add(batch.check(i));
  }
};

} // namespace

void checkOps(Context &context) { OpsCheck(context).run(); }

} // namespace kiln::conformance
