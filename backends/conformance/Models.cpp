// Whole programs of small models beside the same programs on the reference.
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Judge.h"

#include "backends/reference/compile/Compile.h"
#include "runtime/backend/Tree.h"

#include <cmath>
#include <random>

namespace kiln::conformance {

using reference::Tensor;

namespace {

/// What the program's launches say of its arguments: their dtypes (KILN_QUANTIZED where none tells).
std::vector<kiln_dtype> argumentTypes(const kiln_program &program, const EntryRow &entry) {
  std::vector<kiln_dtype> types(entry.argument_count, KILN_QUANTIZED);
  forEachLaunch(entry.root, [&](const kiln_node &launch) {
    for (size_t i = 0; i < launch.place_count; ++i)
      if (launch.places[i].space == KILN_SPACE_ARGUMENT)
        types[launch.places[i].argument] = valueAt(program.kernels[launch.kernel], i).dtype;
  });
  return types;
}

std::vector<Bytes> argumentsOf(const EntryRow &entry, const std::vector<kiln_dtype> &types, uint32_t seed) {
  std::vector<Bytes> arguments;
  std::mt19937_64 engine(seed);
  // Positive, so that second moments are; small, so that nothing saturates. Indices 0 and 1 are in every range.
  std::uniform_real_distribution<double> real(0.01, 0.3);
  std::uniform_int_distribution<int64_t> whole(0, 1);
  for (size_t i = 0; i < entry.argument_count; ++i) {
    Bytes &bytes = arguments.emplace_back(static_cast<size_t>(entry.argument_bytes[i]));
    if (types[i] == KILN_QUANTIZED)
      continue;
    Tensor tensor{types[i], {static_cast<int64_t>(bytes.size()) / sdk::byteSize(types[i])}, {}, {}};
    tensor.allocate();
    for (double &value : tensor.floats)
      value = real(engine);
    for (int64_t &value : tensor.integers)
      value = whole(engine);
    tensor.store(bytes.data());
  }
  return arguments;
}

bool execute(const host::Backend &backend, const Context &context, const Model::Built &model, int steps, bool judge,
             std::vector<Bytes> &arguments, std::string &why) {
  const kiln_program &program = judge ? *model.judge : *model.program;
  const EntryRow &entry = program.entries[model.entry];
  Artifact artifact;
  kiln_target target = context.target;
  const SettingList none;
  if (judge) { // device profiles and options are the other backend's
    target.device = {};
    none.giveTo(target);
  }
  std::unique_ptr<Session> session =
      Session::open(backend, judge ? 0 : context.options.device, 1, why, judge ? none : context.options.runSettings);
  if (!session || !compile(backend, context.linker, target, program, artifact, why))
    return false;
  Session::Executable executable = session->load(program, artifact, why);
  std::vector<int64_t> extents(entry.extent_count + entry.loop_slot_count, 1);
  if (entry.extent_bounds)
    std::copy_n(entry.extent_bounds, entry.extent_count, extents.begin());
  kiln_status status;
  for (int step = 0; executable && step < steps; ++step)
    if (!session->run(executable.get(), model.entry, entry.arena_bytes, arguments, extents, status, why))
      return false;
  return executable != nullptr;
}

/// Relative to the tensor's largest element: 2e-5 for f32 (float32 models part by some 1e-6 a step), by the dtypes'
/// digits for others.
bool near(kiln_dtype dtype, const Bytes &want, const Bytes &have, double &share, std::string &why) {
  Tensor w{dtype, {static_cast<int64_t>(want.size()) / sdk::byteSize(dtype)}, {}, {}}, h = w;
  w.load(want.data());
  h.load(have.data());
  if (w.integers != h.integers)
    return why = "integers differ", false;
  double largest = 0, tolerance = 170 * ulpOf(dtype, 1);
  for (double value : w.floats)
    largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < w.floats.size(); ++i) {
    double error = std::fabs(w.floats[i] - h.floats[i]);
    if (std::isnan(w.floats[i]) && std::isnan(h.floats[i]))
      continue;
    if (!(error <= tolerance * largest + 1e-37))
      return why = "element " + std::to_string(i) + ": " + std::to_string(h.floats[i]) + ", the reference has " +
                   std::to_string(w.floats[i]),
             false;
    share = std::max(share, error / (tolerance * largest + 1e-37));
  }
  return true;
}

Row check(const Context &context, const Model &model, Row row) {
  std::string error, why;
  std::shared_ptr<host::Backend> judge = host::Backend::create(kiln_reference_backend, "built in", error);
  auto say = [&](Outcome outcome, std::string reason) {
    row.outcome = outcome;
    row.reason = std::move(reason);
    return row;
  };
  Model::Built built = model.build();
  if (built.kernelByKernel) {
    built.kernelByKernel(row);
    return row;
  }
  if (!built.program || !built.judge)
    return say(built.otherwise, built.why);
  const EntryRow &entry = built.program->entries[built.entry], &judged = built.judge->entries[built.entry];
  if (!std::equal(entry.argument_bytes, entry.argument_bytes + entry.argument_count, judged.argument_bytes,
                  judged.argument_bytes + judged.argument_count))
    return say(Outcome::Refused, "its plan takes other arguments than the reference's");
  std::vector<kiln_dtype> types = argumentTypes(*built.program, entry);
  std::vector<Bytes> want = argumentsOf(entry, types, context.options.seed), have = want;
  if (!judge || !execute(*judge, context, built, model.steps, true, want, why))
    return say(Outcome::Refused, "the reference cannot judge it: " + (judge ? why : error));
  if (!execute(*context.backend, context, built, model.steps, false, have, why))
    return say(Outcome::Failure, why);
  for (size_t i = 0; i < want.size(); ++i)
    if (types[i] != KILN_QUANTIZED && !near(types[i], want[i], have[i], row.share, why))
      return say(Outcome::Failure,
                 "argument " + std::to_string(i) + " after " + std::to_string(model.steps) + " steps: " + why);
  return row;
}

} // namespace

void checkModels(Context &context) {
  for (const Model &model : context.options.models) {
    Row row{"models", model.name, {}, {}, Outcome::Pass, {}, 0, 0, model.steps};
    if (context.report.begins(row))
      context.report.add(check(context, model, row));
  }
}

} // namespace kiln::conformance
