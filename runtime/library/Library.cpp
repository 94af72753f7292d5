// The functions of library.h over the program that this library carries. `kiln build --emit shared` gives them the
// model's name and leaves nothing else visible.
#include "runtime/library/library.h"

#include "runtime/cli/Checkpoint.h"
#include "runtime/cli/Diagnose.h"
#include "runtime/data/Coding.h"
#include "runtime/files/Safetensors.h"
#include "runtime/program/TrainStep.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"

#include <cstring>
#include <exception>
#include <new>
#include <optional>

using namespace kiln;

constexpr bool sameNumber(int ours, kiln_dtype theirs) { return ours == static_cast<int>(theirs); }
static_assert(sameNumber(KILN_TENSOR_F32, KILN_F32) && sameNumber(KILN_TENSOR_F64, KILN_F64) &&
              sameNumber(KILN_TENSOR_BF16, KILN_BF16) && sameNumber(KILN_TENSOR_F16, KILN_F16) &&
              sameNumber(KILN_TENSOR_I8, KILN_I8) && sameNumber(KILN_TENSOR_U8, KILN_U8) &&
              sameNumber(KILN_TENSOR_I32, KILN_I32) && sameNumber(KILN_TENSOR_U32, KILN_U32) &&
              sameNumber(KILN_TENSOR_I64, KILN_I64) && sameNumber(KILN_TENSOR_BOOL, KILN_BOOL));

struct kiln_library_model {
  kiln_library_model(unsigned threads, uint32_t device) : program(kiln_image, threads, {device}) {}

  Program program;
  Position position;
  Call *train = nullptr; ///< the step, once it was asked for; of a batch that is cut:
  std::unique_ptr<TrainStep> sharded;
  std::vector<BatchInput> batch; ///< its inputs
  Call::Numbers numbers = {};
  /// What a loaded file said of words: kept for the file that is saved.
  Codings codings;
};

namespace {

thread_local std::string lastError;
thread_local const char *lastErrorText = "";

void remember(const char *sentence) {
  try {
    lastError = sentence;
    lastErrorText = lastError.c_str();
  } catch (...) {
    lastErrorText = "out of memory";
  }
}

/// Runs a piece of work; false, with the sentence kept, where it throws.
template <typename Work> bool guarded(Work &&work) noexcept {
  try {
    work();
    return true;
  } catch (const std::bad_alloc &) {
    remember("out of memory");
  } catch (const std::exception &error) {
    remember(error.what());
  } catch (...) {
    remember("an unknown error");
  }
  return false;
}

void need(const void *pointer, const char *function, const char *what) {
  if (!pointer)
    fail("%s: the %s is a null pointer", function, what);
}

/// What a call says of a tensor, checked as far as it goes without knowing what is expected. Only what goes wrong
/// builds a sentence (`what` gives its beginning): a step in steady state allocates nothing.
template <typename What> std::span<const int64_t> shapeOf(const kiln_tensor &tensor, What &&what) {
  if (tensor.rank > KILN_TENSOR_MAX_RANK)
    fail("%s has the rank %u; a tensor has at most %d dimensions", what().c_str(), tensor.rank, KILN_TENSOR_MAX_RANK);
  if (tensor.dtype < 0 || tensor.dtype > KILN_TENSOR_BOOL)
    fail("%s has the dtype %d, which is none of KILN_TENSOR_F32 to KILN_TENSOR_BOOL", what().c_str(), tensor.dtype);
  return {tensor.dims, tensor.rank};
}

/// `set` takes the number of the input's argument and what call.setInput does.
template <typename Set> void setInputs(const EntrySpec &entry, const kiln_tensor *inputs, size_t count, Set &&set) {
  size_t next = 0, expected = 0;
  std::string list;
  for (const ArgumentSpec &argument : entry.arguments)
    expected += argument.role == Role::Input && !argument.result;
  if (count != expected) {
    for (const ArgumentSpec &argument : entry.arguments)
      if (argument.role == Role::Input && !argument.result)
        list += (list.empty() ? " (" : ", ") + argument.name + " " + argument.type.str();
    fail("'%s' takes %zu input%s%s; %zu %s given", entry.name.c_str(), expected, expected == 1 ? "" : "s",
         list.empty() ? "" : (list + ")").c_str(), count, count == 1 ? "is" : "are");
  }
  if (count > 0)
    need(inputs, entry.name.c_str(), "array of inputs");
  for (size_t i = 0; i < entry.arguments.size(); ++i) {
    const ArgumentSpec &argument = entry.arguments[i];
    if (argument.role != Role::Input || argument.result)
      continue;
    const kiln_tensor &tensor = inputs[next++];
    std::span<const int64_t> shape = shapeOf(tensor, [&] { return entry.name + ": input '" + argument.name + "'"; });
    if (!tensor.data && countElements(shape).value_or(0) > 0)
      fail("%s: input '%s' has no data", entry.name.c_str(), argument.name.c_str());
    set(static_cast<int>(i), static_cast<kiln_dtype>(tensor.dtype), shape, tensor.data, entry.name.c_str());
  }
}

void setInputs(Call &call, const kiln_tensor *inputs, size_t count) {
  setInputs(call.entry(), inputs, count, [&](auto... given) { call.setInput(given...); });
}

/// A step whose batch is cut into shards, one after another: the loss.
double trainInShards(kiln_library_model &model, const kiln_tensor *inputs, size_t count) {
  if (!model.sharded) {
    model.sharded = makeTrainStep(model.program);
    model.batch = model.sharded->inputs();
  }
  const EntrySpec &entry = model.sharded->entry();
  setInputs(entry, inputs, count, [&](int argument, auto... given) {
    for (const BatchInput &input : model.batch)
      if (input.argument == &entry.arguments[static_cast<size_t>(argument)])
        setBatchInput(entry, input, given...);
  });
  model.sharded->start(model.position.seed, model.position.step);
  model.sharded->take(model.numbers);
  return model.numbers.loss;
}

/// Indices of the arguments that a caller gets, in their order.
std::vector<int> resultsOf(const EntrySpec &entry) {
  std::vector<int> list;
  for (size_t i = 0; i < entry.arguments.size(); ++i) {
    Role role = entry.arguments[i].role;
    if (entry.arguments[i].result &&
        (role == Role::Loss || role == Role::Metric || role == Role::Output || role == Role::Gradient))
      list.push_back(static_cast<int>(i));
  }
  return list;
}

/// Before the run: does each output fit what it will be given?
void checkOutputs(const Call &call, const std::vector<int> &results, const kiln_tensor *outputs, size_t count) {
  const EntrySpec &entry = call.entry();
  if (count > results.size())
    fail("'%s' gives %zu result%s; %zu outputs are given", entry.name.c_str(), results.size(),
         results.size() == 1 ? "" : "s", count);
  if (count > 0)
    need(outputs, entry.name.c_str(), "array of outputs");
  for (size_t i = 0; i < count; ++i) {
    const ArgumentSpec &argument = entry.arguments[static_cast<size_t>(results[i])];
    const std::vector<int64_t> &shape = call.resultShape(results[i]);
    if (shape.size() > KILN_TENSOR_MAX_RANK)
      fail("result '%s' of '%s' has %zu dimensions; a tensor has at most %d", argument.name.c_str(), entry.name.c_str(),
           shape.size(), KILN_TENSOR_MAX_RANK);
    if (!outputs[i].data)
      continue;
    auto what = [&] { return entry.name + ": output " + std::to_string(i) + " ('" + argument.name + "')"; };
    std::span<const int64_t> given = shapeOf(outputs[i], what);
    if (outputs[i].dtype != argument.type.dtype || !std::equal(given.begin(), given.end(), shape.begin(), shape.end()))
      fail("%s is %s; the tensor given for it is %s", what().c_str(), describeType(argument.type.dtype, shape).c_str(),
           describeType(static_cast<kiln_dtype>(outputs[i].dtype), given).c_str());
  }
}

void giveOutputs(Call &call, const std::vector<int> &results, kiln_tensor *outputs, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(results[i])];
    const std::vector<int64_t> &shape = call.resultShape(results[i]);
    if (outputs[i].data) {
      std::memcpy(outputs[i].data, call.result(results[i]),
                  static_cast<size_t>(*countElements(shape)) * dtypeSize(argument.type.dtype));
      continue;
    }
    outputs[i].dtype = argument.type.dtype;
    outputs[i].rank = static_cast<uint32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), outputs[i].dims);
  }
}

void load(kiln_library_model &model, const std::string &path) {
  Safetensors file = Safetensors::open(path);
  Codings codings = codingsIn(file.metadata());
  const std::string first = model.program.manifest().stage; // the recipe that a library trains by
  if (file.metadata().contains("kiln.checkpoint") && model.program.manifest().findEntry("train_step"))
    model.position = loadCheckpoint(path, model.program);
  else
    model.program.loadWeights(path);
  if (model.program.manifest().stage != first) { // a run of another recipe: its result is where this one begins
    model.program.chooseStage(first);
    model.position.step = 0;
  }
  model.position.stage = first;
  model.codings = std::move(codings);
}

void save(kiln_library_model &model, const std::string &path) {
  if (std::string tensor = notFiniteTensor(model.program); !tensor.empty())
    fail("the %s is not finite; '%s' was not written. A smaller learning rate or `clip` in the recipe helps",
         tensor.c_str(), path.c_str());
  model.position.stage = model.program.manifest().stage;
  if (model.program.manifest().findEntry("train_step"))
    saveCheckpoint(path, model.program, model.position, model.codings);
  else
    saveWeights(path, model.program, model.codings);
}

} // namespace

const char *kiln_library_last_error(void) { return lastErrorText; }

kiln_library_model *kiln_library_create(uint32_t threads, uint32_t device, uint32_t seed) {
  std::unique_ptr<kiln_library_model> model;
  bool made = guarded([&] {
    model = std::make_unique<kiln_library_model>(
        threads == 0 ? availableProcessors() : checkThreadCount(threads, "create: threads"), device);
    model->position.seed = seed;
    model->program.initialise(seed);
    if (kiln_image.weight_bytes)
      model->codings = codingsIn(OwnWeights(kiln_image).tensors().metadata());
  });
  return made ? model.release() : nullptr;
}

void kiln_library_destroy(kiln_library_model *model) { delete model; }

int kiln_library_load(kiln_library_model *model, const char *path) {
  return guarded([&] {
    need(model, "load", "model");
    need(path, "load", "path");
    load(*model, path);
  });
}

int kiln_library_save(kiln_library_model *model, const char *path) {
  return guarded([&] {
    need(model, "save", "model");
    need(path, "save", "path");
    save(*model, path);
  });
}

int kiln_library_run(kiln_library_model *model, const char *function, const kiln_tensor *inputs, size_t input_count,
                     kiln_tensor *outputs, size_t output_count) {
  return guarded([&] {
    need(model, "run", "model");
    need(function, "run", "function's name");
    if (std::string_view name = function;
        name == "train_step" || name.starts_with("train_step.") || name.starts_with("shard."))
      fail("run: '%s' changes the parameters; there is a function of its own for it", function);
    Call &call = model->program.call(function);
    setInputs(call, inputs, input_count);
    call.bindShapes();
    std::vector<int> results = resultsOf(call.entry());
    checkOutputs(call, results, outputs, output_count);
    call.run(model->position.seed, model->position.step);
    giveOutputs(call, results, outputs, output_count);
  });
}

int kiln_library_train_step(kiln_library_model *model, const kiln_tensor *inputs, size_t input_count, double *loss) {
  return guarded([&] {
    need(model, "train_step", "model");
    double found = 0;
    if (model->program.manifest().shards() > 0) {
      found = trainInShards(*model, inputs, input_count);
    } else {
      if (!model->train)
        model->train = &model->program.call("train_step");
      setInputs(*model->train, inputs, input_count);
      model->train->run(model->position.seed, model->position.step);
      found = model->train->loss();
    }
    ++model->position.step;
    if (loss)
      *loss = found;
  });
}

int64_t kiln_library_step(const kiln_library_model *model) { return model ? model->position.step : 0; }

int kiln_library_reset(kiln_library_model *model) {
  return guarded([&] {
    need(model, "reset", "model");
    model->program.initialiseStates(model->position.seed, /*sessionOnly=*/true);
  });
}
