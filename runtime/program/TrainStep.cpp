// Rows of a batch cut into shards, and what comes of them added up.

#include "runtime/program/TrainStep.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln {

std::vector<BatchInput> batchInputs(Call &call) {
  std::vector<BatchInput> inputs;
  for (int input : call.inputs())
    inputs.push_back({&call.entry().arguments[static_cast<size_t>(input)], call.data(input), &call.shape(input)});
  return inputs;
}

struct TrainStep::Cut {
  int64_t shards = 0;
  struct Field { ///< of the whole batch
    Memory memory;
    std::vector<int64_t> shape;
  };
  std::map<std::string, Field> fields;
  std::vector<Call *> totals, gradients; ///< by device; totals: none where the loss has none
  Call *update = nullptr;
  std::vector<Sum> totalSums, gradientSums;
  double loss = 0;
  uint32_t seed = 0; ///< of the step that was started
  int64_t step = 0;
  int64_t first = 0, next = 0; ///< the shards that were begun last, and the one behind them
};

static const EntrySpec &stepOf(const Manifest &manifest) {
  const EntrySpec *entry = manifest.findEntry("train_step" + manifest.suffix);
  if (!entry)
    fail("this program has no function 'train_step%s'; it has: %s", manifest.suffix.c_str(),
         manifest.entryNames().c_str());
  return *entry;
}

[[noreturn]] static void failDamaged(const std::string &what) {
  fail("the program's manifest is damaged: %s", what.c_str());
}

TrainStep::TrainStep(Program &program) : program_(program), entry_(stepOf(program.manifest())) {
  const Manifest &manifest = program.manifest();
  if (manifest.shards() == 0) {
    whole_ = &program.call(entry_.name);
    return;
  }
  cut_ = std::make_unique<Cut>();
  cut_->shards = manifest.shards();
  for (const ArgumentSpec &argument : entry_.arguments)
    if (argument.role == Role::Input) {
      Cut::Field &field = cut_->fields[argument.name];
      field.memory = Memory(static_cast<size_t>(argument.bytes));
      for (const Dim &dim : argument.type.shape)
        field.shape.push_back(dim.constant().value_or(0));
    }
  auto devices = static_cast<uint32_t>(std::min<size_t>(program.homes(), static_cast<size_t>(cut_->shards)));
  bool totals = manifest.findEntry("shard.totals" + manifest.suffix) != nullptr;
  for (uint32_t device = 0; device < devices; ++device) {
    if (totals)
      cut_->totals.push_back(&program.call("shard.totals" + manifest.suffix, device));
    cut_->gradients.push_back(&program.call("shard.gradients" + manifest.suffix, device));
  }
  cut_->update = &program.call("shard.update" + manifest.suffix, 0);
  const std::vector<ArgumentSpec> &results = cut_->gradients[0]->entry().arguments;
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].role == Role::Gradient)
      cut_->gradientSums.push_back({i, cut_->update->input("gradient." + results[i].name), {}});
  for (size_t i = 0; totals && i < cut_->totals[0]->entry().arguments.size(); ++i)
    if (const ArgumentSpec &result = cut_->totals[0]->entry().arguments[i]; result.role == Role::Output)
      cut_->totalSums.push_back({i, cut_->gradients[0]->input("total." + result.name), {}});
  auto fits = [](const std::vector<Sum> &sums, const EntrySpec &from, const EntrySpec &to) {
    return std::all_of(sums.begin(), sums.end(), [&](const Sum &sum) {
      if (sum.to < 0)
        return false;
      const ArgumentSpec &given = from.arguments[sum.from], &taken = to.arguments[static_cast<size_t>(sum.to)];
      return given.type.dtype == taken.type.dtype && given.bytes == taken.bytes;
    });
  };
  const EntrySpec &gradients = cut_->gradients[0]->entry();
  if (!fits(cut_->gradientSums, gradients, cut_->update->entry()) ||
      (totals && !fits(cut_->totalSums, cut_->totals[0]->entry(), gradients)))
    failDamaged("what the shards of a batch give is not what '" + cut_->update->entry().name + "' takes");
}

TrainStep::~TrainStep() = default;

std::vector<BatchInput> TrainStep::inputs() {
  if (whole_)
    return batchInputs(*whole_);
  std::vector<BatchInput> inputs;
  for (const ArgumentSpec &argument : entry_.arguments)
    if (argument.role == Role::Input) {
      Cut::Field &field = cut_->fields.at(argument.name);
      inputs.push_back({&argument, field.memory.data(), &field.shape});
    }
  return inputs;
}

/// A shard's rows of each input, and its number where it is asked for. (Totals are there: add() put them into each.)
void TrainStep::fill(Call &call, int64_t shard) {
  for (int input : call.inputs()) {
    const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
    if (argument.name == "shard") {
      auto number = static_cast<uint32_t>(shard);
      std::memcpy(call.data(input), &number, sizeof number);
      continue;
    }
    auto found = cut_->fields.find(argument.name);
    if (found == cut_->fields.end()) // a total
      continue;
    const Cut::Field &field = found->second;
    std::vector<int64_t> &shape = call.shape(input);
    shape = field.shape;
    if (shape.empty() || shape[0] % cut_->shards != 0)
      failDamaged("'" + argument.name + "' has no rows that " + std::to_string(cut_->shards) + " shards could share");
    shape[0] /= cut_->shards;
    size_t bytes = static_cast<size_t>(countElements(shape).value_or(0)) * dtypeSize(argument.type.dtype);
    if (bytes > static_cast<size_t>(argument.bytes) || bytes * static_cast<size_t>(cut_->shards) > field.memory.size())
      failDamaged("'" + argument.name + "' of a shard is larger than its place");
    std::memcpy(call.data(input), field.memory.data() + static_cast<size_t>(shard) * bytes, bytes);
  }
}

/// Adds, or begins with, `count` numbers of floats.
template <typename To, typename From> static void addFloats(To *sums, const From *given, int64_t count, bool first) {
  for (int64_t i = 0; i < count; ++i)
    sums[i] = first ? static_cast<To>(given[i]) : sums[i] + static_cast<To>(given[i]);
}

/// Adds what a shard has given to the sums, which stand in the inputs of `to`: those of narrow floats at the end alone.
void TrainStep::add(Call &from, std::vector<Sum> &sums, Call &to, bool first, bool last) {
  for (Sum &sum : sums) {
    const ArgumentSpec &argument = from.entry().arguments[sum.from];
    kiln_dtype dtype = argument.type.dtype;
    const void *given = from.result(static_cast<int>(sum.from));
    void *place = to.data(sum.to);
    const std::vector<int64_t> &shape = from.resultShape(static_cast<int>(sum.from));
    int64_t count = countElements(shape).value_or(0);
    bool narrow = dtype == KILN_BF16 || dtype == KILN_F16;
    if (narrow)
      sum.wide.resize(static_cast<size_t>(count));
    program_.pool().forRange(count, [&](int64_t begin, int64_t end) {
      if (dtype == KILN_F32)
        return addFloats(static_cast<float *>(place) + begin, static_cast<const float *>(given) + begin, end - begin,
                         first);
      if (dtype == KILN_F64)
        return addFloats(static_cast<double *>(place) + begin, static_cast<const double *>(given) + begin, end - begin,
                         first);
      for (int64_t i = begin; i < end; ++i) {
        double value = loadNumber(dtype, given, i);
        if (narrow)
          addFloats(&sum.wide[static_cast<size_t>(i)], &value, 1, first);
        else
          storeNumber(dtype, place, i, value + (first ? 0 : loadNumber(dtype, place, i)));
        if (narrow && last)
          storeNumber(dtype, place, i, static_cast<double>(sum.wide[static_cast<size_t>(i)]));
      }
    });
    to.shape(sum.to) = shape;
  }
}

/// As many of the shards that are left as there are devices, each given to one. The first device is the last: what it
/// has changed the others are brought from it, which would come behind its shard.
void TrainStep::beginSome(const std::vector<Call *> &calls) {
  cut_->first = cut_->next;
  cut_->next = std::min(cut_->next + static_cast<int64_t>(calls.size()), cut_->shards);
  for (int64_t shard = cut_->next; shard-- > cut_->first;) {
    Call &call = *calls[static_cast<size_t>(shard - cut_->first)];
    fill(call, shard);
    call.start(cut_->seed, cut_->step);
  }
}

void TrainStep::addSome(const std::vector<Call *> &calls, std::vector<Sum> &sums, Call &to) {
  for (int64_t shard = cut_->first; shard < cut_->next; ++shard) {
    Call &call = *calls[static_cast<size_t>(shard - cut_->first)];
    if (call.hasLoss())
      cut_->loss += call.loss();
    add(call, sums, to, shard == 0, shard + 1 == cut_->shards);
  }
}

/// Sums over the whole batch that all shards read: how many tokens count, say.
void TrainStep::runTotals() {
  if (cut_->totals.empty())
    return;
  Call &first = *cut_->gradients[0];
  for (cut_->next = 0; cut_->next < cut_->shards;) {
    beginSome(cut_->totals);
    addSome(cut_->totals, cut_->totalSums, first);
  }
  for (Call *other : cut_->gradients)
    for (const Sum &sum : cut_->totalSums)
      if (other != &first) {
        other->shape(sum.to) = first.shape(sum.to);
        std::memcpy(other->data(sum.to), first.data(sum.to),
                    static_cast<size_t>(first.entry().arguments[static_cast<size_t>(sum.to)].bytes));
      }
}

void TrainStep::start(uint32_t seed, int64_t step) {
  if (whole_)
    return whole_->start(seed, step);
  finish();
  cut_->seed = seed;
  cut_->step = step;
  runTotals();
  cut_->loss = 0;
  cut_->next = 0;
  beginSome(cut_->gradients);
  pending_ = true;
  if (cut_->next < cut_->shards || !cut_->gradients[0]->goesOn())
    finish(); // others read the batch still, or there is nothing to wait for
}

/// The rest of a step that was started: its other shards, the sums, the update.
void TrainStep::finish() {
  if (!pending_)
    return;
  pending_ = false;
  addSome(cut_->gradients, cut_->gradientSums, *cut_->update);
  while (cut_->next < cut_->shards) {
    beginSome(cut_->gradients);
    addSome(cut_->gradients, cut_->gradientSums, *cut_->update);
  }
  cut_->update->start(cut_->seed, cut_->step);
}

void TrainStep::take(Call::Numbers &numbers) {
  if (whole_)
    return whole_->take(numbers);
  finish();
  cut_->update->take(numbers);
  numbers.loss = cut_->loss;
}

const std::vector<Call::Metric> &TrainStep::metrics() const { return (whole_ ? whole_ : cut_->update)->metrics(); }

std::string TrainStep::findNotFinite(uint32_t seed, int64_t step) {
  if (whole_)
    return whole_->findNotFinite(seed, step);
  cut_->seed = seed;
  cut_->step = step;
  runTotals();
  for (int64_t shard = 0; shard < cut_->shards; ++shard) {
    Call &call = *cut_->gradients[0];
    fill(call, shard);
    if (std::string found = call.findNotFinite(seed, step); !found.empty())
      return found + format(" (in shard %lld of the batch)", static_cast<long long>(shard));
  }
  return "";
}

} // namespace kiln
