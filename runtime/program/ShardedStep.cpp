// Rows of a batch cut into shards, and what comes of them put together.

#include "runtime/program/TrainStep.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln {

namespace {

/// Where the program was built with shards (`kiln build --shards N`), a batch's rows are cut into N equal blocks. Of
/// each, `shard.gradients` gives its part of the loss and of the gradients, which add up; `shard.update` takes their
/// sums. Of a state that the loss changes a shard gives what adds up to the new one (`sum.NAME`), its rows of it
/// (`rows.NAME`, which it also takes), or what any shard does (`same.NAME`). Shards go to the program's devices in
/// turn; the sums are taken in the shards' order, so that the bits are the same on any number of devices.
class ShardedStep : public TrainStep {
public:
  ShardedStep(Program &program, const EntrySpec &whole);

  const EntrySpec &entry() const override { return entry_; }
  std::vector<BatchInput> inputs() override;
  void start(uint32_t seed, int64_t step) override;
  bool goesOn() const override { return pending_; }
  void take(size_t, Call::Numbers &numbers) override { take(numbers); }
  void take(Call::Numbers &numbers) override;
  const std::vector<Call::Metric> &metrics() const override { return update_->metrics(); }
  void finish() override;
  std::string findNotFinite(uint32_t seed, int64_t step) override;

private:
  enum class Joined : uint8_t { Added, Rows, Same };
  /// What a shard gives, put together over them.
  struct Sum {
    size_t from = 0; ///< a result of the shard's entry
    int to = -1;     ///< the argument that takes it: of `shard.gradients` for totals, of `shard.update` for all else
    Joined joined = Joined::Added;
    std::vector<float> wide = {}; ///< of a narrow float, until all are there
  };
  struct Field { ///< of the whole batch
    Memory memory;
    std::vector<int64_t> shape;
  };
  void connect();
  void giveTotal(int from, Call &to);
  Sum stateOf(size_t from) const;
  void fillState(Call &call, int input, int64_t shard);
  void beginSome(const std::vector<Call *> &calls);
  void addSome(const std::vector<Call *> &calls, std::vector<Sum> &sums, Call &to);
  void runTotals();
  void fill(Call &call, int64_t shard);
  void add(Call &from, std::vector<Sum> &sums, Call &to, int64_t shard);
  void addNumbers(Call &from, Sum &sum, Call &to, bool first, bool last);

  Program &program_;
  const EntrySpec &entry_;
  int64_t shards_;
  std::map<std::string, Field> fields_;
  /// Sums over all rows that are made of rows and of those of lower levels.
  struct Totals {
    std::vector<Call *> calls; ///< by device
    std::vector<Sum> sums;     ///< taken by `shard.gradients` of the first device
  };
  std::vector<Totals> totals_;    ///< by level; none where the loss has none
  std::vector<Call *> gradients_; ///< by device
  Call *update_ = nullptr;
  std::vector<Sum> gradientSums_;
  double loss_ = 0;
  uint32_t seed_ = 0; ///< of the step that was started
  int64_t step_ = 0;
  int64_t first_ = 0, next_ = 0; ///< the shards that were begun last, and the one behind them
  bool pending_ = false;         ///< the gradients of a step that was started
};

[[noreturn]] void failDamaged(const std::string &what) { fail("the program's manifest is damaged: %s", what.c_str()); }

ShardedStep::ShardedStep(Program &program, const EntrySpec &whole)
    : program_(program), entry_(whole), shards_(program.manifest().shards()) {
  const Manifest &manifest = program.manifest();
  for (const ArgumentSpec &argument : entry_.arguments)
    if (argument.role == Role::Input) {
      Field &field = fields_[argument.name];
      field.memory = Memory(static_cast<size_t>(argument.bytes));
      for (const Dim &dim : argument.type.shape)
        field.shape.push_back(dim.constant().value_or(0));
    }
  auto devices = static_cast<uint32_t>(std::min<size_t>(program.homes(), static_cast<size_t>(shards_)));
  for (;;) {
    std::string name = "shard.totals" + (totals_.empty() ? "" : std::to_string(totals_.size())) + manifest.suffix;
    if (!manifest.findEntry(name))
      break;
    Totals &level = totals_.emplace_back();
    for (uint32_t device = 0; device < devices; ++device)
      level.calls.push_back(&program.call(name, device));
  }
  for (uint32_t device = 0; device < devices; ++device)
    gradients_.push_back(&program.call("shard.gradients" + manifest.suffix, device));
  update_ = &program.call("shard.update" + manifest.suffix, 0);
  connect();
}

/// Which result of a shard is summed in which argument.
void ShardedStep::connect() {
  const std::vector<ArgumentSpec> &results = gradients_[0]->entry().arguments;
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].role == Role::Gradient)
      gradientSums_.push_back({i, update_->input("gradient." + results[i].name)});
    else if (results[i].role == Role::Output)
      gradientSums_.push_back(stateOf(i));
  for (Totals &level : totals_)
    for (const ArgumentSpec &result : level.calls[0]->entry().arguments)
      if (result.role == Role::Output)
        level.sums.push_back({static_cast<size_t>(&result - level.calls[0]->entry().arguments.data()),
                              gradients_[0]->input("total." + result.name)});
  auto fits = [this](const std::vector<Sum> &sums, const EntrySpec &from, const EntrySpec &to) {
    return std::all_of(sums.begin(), sums.end(), [&](const Sum &sum) {
      if (sum.to < 0)
        return false;
      const ArgumentSpec &given = from.arguments[sum.from], &taken = to.arguments[static_cast<size_t>(sum.to)];
      int64_t parts = sum.joined == Joined::Rows ? shards_ : 1;
      return given.type.dtype == taken.type.dtype && given.bytes * parts == taken.bytes;
    });
  };
  const EntrySpec &gradients = gradients_[0]->entry();
  bool all = fits(gradientSums_, gradients, update_->entry());
  for (const Totals &level : totals_)
    all &= fits(level.sums, level.calls[0]->entry(), gradients);
  if (!all)
    failDamaged("what the shards of a batch give is not what '" + update_->entry().name + "' takes");
}

/// Where a result `HOW.NAME` goes.
ShardedStep::Sum ShardedStep::stateOf(size_t from) const {
  const std::string &name = gradients_[0]->entry().arguments[from].name;
  size_t dot = name.find('.');
  std::string how = name.substr(0, dot);
  if (dot == std::string::npos || (how != "sum" && how != "rows" && how != "same"))
    failDamaged("a shard gives '" + name + "'");
  Joined joined = how == "sum" ? Joined::Added : how == "rows" ? Joined::Rows : Joined::Same;
  return {from, update_->input("state." + name.substr(dot + 1)), joined};
}

std::vector<BatchInput> ShardedStep::inputs() {
  std::vector<BatchInput> inputs;
  for (const ArgumentSpec &argument : entry_.arguments)
    if (argument.role == Role::Input) {
      Field &field = fields_.at(argument.name);
      inputs.push_back({&argument, field.memory.data(), &field.shape});
    }
  return inputs;
}

/// A shard's rows of each input, and its number where it is asked for. (Totals are there: add() put them into each.)
void ShardedStep::fill(Call &call, int64_t shard) {
  for (int input : call.inputs()) {
    const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
    if (argument.name == "shard") {
      auto number = static_cast<uint32_t>(shard);
      std::memcpy(call.data(input), &number, sizeof number);
      continue;
    }
    auto found = fields_.find(argument.name);
    if (found == fields_.end() && argument.name.starts_with("rows."))
      fillState(call, input, shard);
    if (found == fields_.end()) // or a total
      continue;
    const Field &field = found->second;
    std::vector<int64_t> &shape = call.shape(input);
    shape = field.shape;
    if (shape.empty() || shape[0] % shards_ != 0)
      failDamaged("'" + argument.name + "' has no rows that " + std::to_string(shards_) + " shards could share");
    shape[0] /= shards_;
    size_t bytes = static_cast<size_t>(countElements(shape).value_or(0)) * dtypeSize(argument.type.dtype);
    if (bytes > static_cast<size_t>(argument.bytes) || bytes * static_cast<size_t>(shards_) > field.memory.size())
      failDamaged("'" + argument.name + "' of a shard is larger than its place");
    std::memcpy(call.data(input), field.memory.data() + static_cast<size_t>(shard) * bytes, bytes);
  }
}

/// How a tensor's rows lie in the whole's: so many pieces, each of so many bytes.
struct Pieces {
  Pieces(const std::vector<int64_t> &part, const std::vector<int64_t> &whole, kiln_dtype dtype) {
    size_t axis = 0;
    while (axis < part.size() && part[axis] == whole[axis])
      ++axis;
    axis = axis < part.size() ? axis : 0; // one shard has all rows
    bytes = dtypeSize(dtype);
    for (size_t d = 0; d < part.size(); ++d)
      (d < axis ? count : bytes) *= static_cast<size_t>(part[d]);
  }
  /// From the whole to a shard's part, or back.
  void copy(uint8_t *whole, uint8_t *part, int64_t shard, int64_t shards, bool back) const {
    for (size_t i = 0; i < count; ++i) {
      uint8_t *there = whole + (i * static_cast<size_t>(shards) + static_cast<size_t>(shard)) * bytes;
      uint8_t *here = part + i * bytes;
      std::memcpy(back ? there : here, back ? here : there, bytes);
    }
  }
  size_t count = 1, bytes;
};

/// The rows of a state that the last step has left.
void ShardedStep::fillState(Call &call, int input, int64_t shard) {
  const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
  std::string name = argument.name.substr(std::strlen("rows."));
  Tensor *state = program_.state(name, Session::Training);
  if (!state)
    state = program_.state(name, Session::Sequence); // no session's
  const std::vector<int64_t> &part = call.shape(input);
  std::vector<int64_t> whole = part;
  if (int to = update_->input("state." + name); to >= 0)
    whole = update_->shape(to);
  Pieces pieces(part, whole, argument.type.dtype);
  if (!state || state->dtype != argument.type.dtype || whole.size() != part.size() ||
      pieces.count * pieces.bytes * static_cast<size_t>(shards_) > state->memory.size())
    failDamaged("a shard's rows of the state '" + name + "' are not of it");
  pieces.copy(state->memory.data(), static_cast<uint8_t *>(call.data(input)), shard, shards_, /*back=*/false);
}

/// Adds, or begins with, `count` numbers of floats.
template <typename To, typename From> void addFloats(To *sums, const From *given, int64_t count, bool first) {
  for (int64_t i = 0; i < count; ++i)
    sums[i] = first ? static_cast<To>(given[i]) : sums[i] + static_cast<To>(given[i]);
}

/// The same of whole numbers: a sum that leaves their range goes on from its other end, as it does where no batch is
/// cut.
template <typename Bits> void addBits(void *sums, const void *given, int64_t begin, int64_t end, bool first) {
  for (int64_t i = begin; i < end; ++i) {
    Bits value, sum = 0;
    std::memcpy(&value, static_cast<const Bits *>(given) + i, sizeof value);
    if (!first)
      std::memcpy(&sum, static_cast<const Bits *>(sums) + i, sizeof sum);
    sum = static_cast<Bits>(sum + value);
    std::memcpy(static_cast<Bits *>(sums) + i, &sum, sizeof sum);
  }
}

void addIntegers(size_t size, void *sums, const void *given, int64_t begin, int64_t end, bool first) {
  switch (size) {
  case 1:
    return addBits<uint8_t>(sums, given, begin, end, first);
  case 2:
    return addBits<uint16_t>(sums, given, begin, end, first);
  case 4:
    return addBits<uint32_t>(sums, given, begin, end, first);
  default:
    return addBits<uint64_t>(sums, given, begin, end, first);
  }
}

/// Adds what a shard has given to a sum, which stands in an input of `to`: that of narrow floats at the end alone.
void ShardedStep::addNumbers(Call &from, Sum &sum, Call &to, bool first, bool last) {
  kiln_dtype dtype = from.entry().arguments[sum.from].type.dtype;
  const void *given = from.result(static_cast<int>(sum.from));
  void *place = to.data(sum.to);
  int64_t count = countElements(from.resultShape(static_cast<int>(sum.from))).value_or(0);
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
    if (!narrow)
      return addIntegers(dtypeSize(dtype), place, given, begin, end, first);
    for (int64_t i = begin; i < end; ++i) {
      double value = loadNumber(dtype, given, i);
      addFloats(&sum.wide[static_cast<size_t>(i)], &value, 1, first);
      if (last)
        storeNumber(dtype, place, i, static_cast<double>(sum.wide[static_cast<size_t>(i)]));
    }
  });
}

/// Puts what a shard has given to what the others have.
void ShardedStep::add(Call &from, std::vector<Sum> &sums, Call &to, int64_t shard) {
  for (Sum &sum : sums) {
    const std::vector<int64_t> &shape = from.resultShape(static_cast<int>(sum.from));
    kiln_dtype dtype = from.entry().arguments[sum.from].type.dtype;
    if (sum.joined == Joined::Rows) { // whose whole has a shape of its own
      Pieces(shape, to.shape(sum.to), dtype)
          .copy(static_cast<uint8_t *>(to.data(sum.to)),
                static_cast<uint8_t *>(const_cast<void *>(from.result(static_cast<int>(sum.from)))), shard, shards_,
                /*back=*/true);
      continue;
    }
    if (sum.joined == Joined::Added)
      addNumbers(from, sum, to, shard == 0, shard + 1 == shards_);
    else if (shard == 0)
      std::memcpy(to.data(sum.to), from.result(static_cast<int>(sum.from)),
                  static_cast<size_t>(countElements(shape).value_or(0)) * dtypeSize(dtype));
    to.shape(sum.to) = shape;
  }
}

/// As many of the shards that are left as there are devices, each given to one. The first device is the last: what it
/// has changed the others are brought from it, which would come behind its shard.
void ShardedStep::beginSome(const std::vector<Call *> &calls) {
  first_ = next_;
  next_ = std::min(next_ + static_cast<int64_t>(calls.size()), shards_);
  for (int64_t shard = next_; shard-- > first_;) {
    Call &call = *calls[static_cast<size_t>(shard - first_)];
    fill(call, shard);
    call.start(seed_, step_);
  }
}

void ShardedStep::addSome(const std::vector<Call *> &calls, std::vector<Sum> &sums, Call &to) {
  for (int64_t shard = first_; shard < next_; ++shard) {
    Call &call = *calls[static_cast<size_t>(shard - first_)];
    if (call.hasLoss())
      loss_ += call.loss();
    add(call, sums, to, shard);
  }
}

/// A total that stands in an input of the first device's `shard.gradients` is brought where it is read, too.
void ShardedStep::giveTotal(int from, Call &to) {
  Call &first = *gradients_[0];
  const ArgumentSpec &total = first.entry().arguments[static_cast<size_t>(from)];
  int input = to.input(total.name);
  if (input < 0 || &to == &first)
    return;
  if (to.entry().arguments[static_cast<size_t>(input)].bytes != total.bytes)
    failDamaged("'" + total.name + "' is not the same everywhere");
  to.shape(input) = first.shape(from);
  std::memcpy(to.data(input), first.data(from), static_cast<size_t>(total.bytes));
}

/// Sums over the whole batch that all shards read: how many tokens count, say.
void ShardedStep::runTotals() {
  for (Totals &level : totals_) {
    for (next_ = 0; next_ < shards_;) {
      beginSome(level.calls);
      addSome(level.calls, level.sums, *gradients_[0]);
    }
    for (const Sum &sum : level.sums) {
      for (Call *reader : gradients_)
        giveTotal(sum.to, *reader);
      for (Totals &higher : totals_)
        for (Call *reader : higher.calls)
          giveTotal(sum.to, *reader);
    }
  }
}

void ShardedStep::start(uint32_t seed, int64_t step) {
  finish();
  seed_ = seed;
  step_ = step;
  runTotals();
  loss_ = 0;
  next_ = 0;
  beginSome(gradients_);
  pending_ = true;
  if (next_ < shards_ || !gradients_[0]->goesOn())
    finish(); // others read the batch still, or there is nothing to wait for
}

/// The rest of a step that was started: its other shards, the sums, the update.
void ShardedStep::finish() {
  if (!pending_)
    return;
  pending_ = false;
  addSome(gradients_, gradientSums_, *update_);
  while (next_ < shards_) {
    beginSome(gradients_);
    addSome(gradients_, gradientSums_, *update_);
  }
  update_->start(seed_, step_);
}

void ShardedStep::take(Call::Numbers &numbers) {
  finish();
  update_->take(numbers);
  numbers.loss = loss_;
}

std::string ShardedStep::findNotFinite(uint32_t seed, int64_t step) {
  seed_ = seed;
  step_ = step;
  runTotals();
  for (int64_t shard = 0; shard < shards_; ++shard) {
    Call &call = *gradients_[0];
    fill(call, shard);
    if (std::string found = call.findNotFinite(seed, step); !found.empty())
      return found + format(" (in shard %lld of the batch)", static_cast<long long>(shard));
  }
  return "";
}

} // namespace

extern "C" TrainStep *kiln_sharded_step(Program &program, const EntrySpec &whole) {
  return new ShardedStep(program, whole);
}

} // namespace kiln
