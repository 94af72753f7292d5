// The five models through the frontend, differentiation and the reference interpreter, beside PyTorch: no code is
// generated here, so that a mistake found is one of the language, of a derivative, or of an optimizer.
#include "frontend/language/Load.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Pipelines.h"
#include "tests/e2e/Fixture.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kiln::test {
namespace {

using Tensors = std::map<std::string, Values>;

struct Case {
  const char *name;
  int steps; ///< the interpreter is no fast one
};

class ReferenceTest : public testing::Test {
protected:
  void open(const std::string &name) {
    fixture = Fixture::open(name);
    context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
    LoadOptions options;
    options.model = fixture.model;
    options.set = fixture.settings;
    Diagnostics diagnostics;
    module = loadModel(context, fixture.source, options, diagnostics);
    ASSERT_TRUE(module) << diagnostics.render();
    initial = readTensors(fixture.folder + "/init.safetensors");
    batches = readTensors(fixture.data + "/batches.safetensors");
  }

  void runPasses() {
    mlir::PassManager passes(&context);
    PipelineOptions options;
    options.until = "train-step";
    buildCompilePipeline(passes, options);
    ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  }

  static llvm::StringRef nameOf(mlir::DictionaryAttr attributes, llvm::StringRef key) {
    auto attribute = attributes ? attributes.getAs<mlir::StringAttr>(key) : mlir::StringAttr();
    return attribute ? attribute.getValue() : llvm::StringRef();
  }

  /// Row `step` of a field of the batches.
  Values field(llvm::StringRef name, int step) const {
    auto place = batches.find(name.rsplit('.').second.empty() ? name.str() : name.rsplit('.').second.str());
    if (place == batches.end())
      return {};
    Values row;
    row.shape.assign(place->second.shape.begin() + 1, place->second.shape.end());
    size_t count = place->second.data.size() / place->second.shape[0];
    row.data.assign(place->second.data.begin() + step * count, place->second.data.begin() + (step + 1) * count);
    return row;
  }

  static HostTensor toHost(mlir::Type element, const Values &values) {
    if (llvm::isa<mlir::FloatType>(element))
      return HostTensor::ofFloats(element, values.shape, values.data);
    return HostTensor::ofIntegers(element, values.shape, {values.data.begin(), values.data.end()});
  }

  static Values toValues(const HostTensor &tensor) {
    Values values;
    values.shape = tensor.shape;
    if (tensor.isFloat())
      values.data = tensor.floats;
    else
      values.data.assign(tensor.integers.begin(), tensor.integers.end());
    return values;
  }

  /// Calls a function on a batch (or on `inputs`); parameters and states come from `memory` (states not there start at
  /// zero, with a batch of one).
  std::vector<Values> call(llvm::StringRef name, int step, const Tensors &memory, const Tensors &inputs = {}) {
    auto function = module->lookupSymbol<mlir::func::FuncOp>(name);
    if (!function) {
      ADD_FAILURE() << "there is no function " << name.str();
      return {};
    }
    std::vector<HostTensor> arguments;
    for (mlir::BlockArgument argument : function.getArguments()) {
      mlir::DictionaryAttr attributes = function.getArgAttrDict(argument.getArgNumber());
      auto type = llvm::cast<mlir::RankedTensorType>(argument.getType());
      mlir::Type element = type.getElementType();
      if (llvm::StringRef input = nameOf(attributes, "kiln.input"); !input.empty()) {
        auto given = inputs.find(input.str());
        arguments.push_back(toHost(element, given == inputs.end() ? field(input, step) : given->second));
        continue;
      }
      llvm::StringRef kept = nameOf(attributes, "kiln.parameter");
      if (kept.empty())
        kept = nameOf(attributes, "kiln.state");
      if (!kept.empty()) {
        auto place = memory.find(kept.str());
        std::vector<int64_t> shape(type.getShape().begin(), type.getShape().end());
        std::replace(shape.begin(), shape.end(), mlir::ShapedType::kDynamic, int64_t{1});
        arguments.push_back(place == memory.end() ? HostTensor::zeros(element, shape) : toHost(element, place->second));
        continue;
      }
      bool counts = attributes && attributes.contains("kiln.step");
      arguments.push_back(HostTensor::ofIntegers(element, {}, {counts ? step : 1}));
    }
    absl::StatusOr<Interpreted> result = interpret(function, arguments);
    if (!result.ok()) {
      ADD_FAILURE() << name.str() << ": " << result.status().ToString();
      return {};
    }
    std::vector<Values> values;
    for (const HostTensor &tensor : result->results)
      values.push_back(toValues(tensor));
    return values;
  }

  Tensors gradients() {
    std::vector<Values> results = call("grad", 0, initial);
    Tensors gradients;
    for (size_t i = 0; i < results.size(); ++i)
      if (llvm::StringRef name = nameOf(resultAttributes("grad", i), "kiln.gradient"); !name.empty())
        gradients[name.str()] = results[i];
    return gradients;
  }

  mlir::DictionaryAttr resultAttributes(llvm::StringRef function, unsigned index) {
    return module->lookupSymbol<mlir::func::FuncOp>(function).getResultAttrDict(index);
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Fixture fixture;
  Tensors initial, batches;
};

class Reference : public ReferenceTest, public testing::WithParamInterface<Case> {
protected:
  void SetUp() override { open(GetParam().name); }
};

TEST_P(Reference, Output) {
  std::vector<Values> results = call("forward", 0, initial);
  ASSERT_FALSE(results.empty());
  EXPECT_EQ(compareValues("output", fixture.expected.at("output.eval"), results[0], 1e-6), "");
}

TEST_P(Reference, Gradients) {
  runPasses();
  EXPECT_EQ(compareGradients(fixture, gradients()), "");
}

TEST_P(Reference, TrainingSteps) {
  runPasses();
  Tensors memory = initial;
  std::vector<double> losses;
  for (int step = 0; step < GetParam().steps; ++step) {
    std::vector<Values> results = call("train_step", step, memory);
    ASSERT_FALSE(results.empty());
    for (size_t i = 0; i < results.size(); ++i) {
      mlir::DictionaryAttr attributes = resultAttributes("train_step", i);
      if (attributes && attributes.contains("kiln.loss"))
        losses.push_back(results[i].data.at(0));
      for (llvm::StringRef key : {"kiln.parameter", "kiln.state"})
        if (llvm::StringRef name = nameOf(attributes, key); !name.empty())
          memory[name.str()] = results[i];
    }
    if (step > 0)
      continue;
    for (const auto &[key, values] : fixture.expected)
      if (key.starts_with("state.")) {
        ASSERT_TRUE(memory.count(key.substr(6))) << key;
        EXPECT_EQ(compareValues(key, values, memory.at(key.substr(6)), 3e-7), "");
      }
  }
  ASSERT_EQ(losses.size(), static_cast<size_t>(GetParam().steps));
  EXPECT_EQ(compareLosses(fixture, losses), "");
}

INSTANTIATE_TEST_SUITE_P(Models, Reference,
                         testing::Values(Case{"softmax", 25}, Case{"iris", 25}, Case{"mnist", 25}, Case{"resnet", 6},
                                         Case{"gpt", 25}, Case{"translate", 25}),
                         [](const auto &info) { return std::string(info.param.name); });

// A session that reads a text part by part gives the logits that forward gives for the whole.
class Session : public ReferenceTest {
protected:
  void SetUp() override { open("gpt"); }

  static Values ids(const std::vector<double> &text, size_t from, size_t to, bool batchAlone = false) {
    Values values;
    values.shape = {1};
    if (!batchAlone)
      values.shape.push_back(static_cast<int64_t>(to - from));
    values.data.assign(text.begin() + from, text.begin() + to);
    return values;
  }
};

TEST_F(Session, GivesTheLogitsOfForward) {
  std::vector<double> text = field("ids", 0).data;
  text.resize(12);
  Tensors memory = initial;
  std::vector<Values> whole = call("forward", 0, initial, {{"ids", ids(text, 0, text.size())}});
  ASSERT_EQ(whole.size(), 1u);
  size_t vocabulary = whole[0].shape.back();
  const size_t prompt = 7;
  for (size_t end = prompt; end <= text.size(); ++end) {
    bool first = end == prompt;
    std::string function = first ? "generate.prefill" : "generate.step";
    Values position;
    position.data = {static_cast<double>(end - 1)};
    Tensors inputs = {{"prompt", ids(text, 0, end)}, {"token", ids(text, end - 1, end, true)}, {"position", position}};
    std::vector<Values> results = call(function, 0, memory, inputs);
    ASSERT_FALSE(results.empty());
    for (size_t i = 0; i < results.size(); ++i) {
      mlir::DictionaryAttr attributes = resultAttributes(function, i);
      if (llvm::StringRef state = nameOf(attributes, "kiln.state"); !state.empty())
        memory[state.str()] = results[i];
      if (nameOf(attributes, "kiln.output") != "logits")
        continue;
      Values expected;
      expected.shape = {1, static_cast<int64_t>(vocabulary)};
      expected.data.assign(whole[0].data.begin() + (end - 1) * vocabulary, whole[0].data.begin() + end * vocabulary);
      EXPECT_EQ(compareValues("logits at " + std::to_string(end - 1), expected, results[i], 1e-9), "");
    }
  }
}

// Every standard module and loss, once: zoo.kiln.
class Zoo : public ReferenceTest, public testing::WithParamInterface<const char *> {
protected:
  void SetUp() override { open("zoo"); }
};

TEST_P(Zoo, Outputs) {
  std::string group = GetParam();
  std::vector<Values> results = call(group, 0, initial);
  size_t count = 0;
  for (const auto &[key, values] : fixture.expected)
    count += key.starts_with(group + ".");
  ASSERT_EQ(results.size(), count);
  for (size_t i = 0; i < results.size(); ++i) {
    std::string key = group + "." + std::to_string(i);
    EXPECT_EQ(compareValues(key, fixture.expected.at(key), results[i], 1e-6), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, Zoo,
                         testing::Values("dense", "activations", "norms", "convolutions", "recurrent", "attending",
                                         "positions", "losses"),
                         [](const auto &info) { return std::string(info.param); });

class ZooTraining : public ReferenceTest {
protected:
  void SetUp() override { open("zoo"); }
};

TEST_F(ZooTraining, LossAndStates) {
  std::vector<Values> results = call("loss.train", 0, initial);
  ASSERT_FALSE(results.empty());
  EXPECT_EQ(compareLosses(fixture, {results[0].data.at(0)}), "");
  for (size_t i = 0; i < results.size(); ++i)
    if (llvm::StringRef name = nameOf(resultAttributes("loss.train", i), "kiln.state"); !name.empty()) {
      ASSERT_TRUE(fixture.expected.count("state." + name.str())) << name.str();
      EXPECT_EQ(compareValues(name.str(), fixture.expected.at("state." + name.str()), results[i], 1e-6), "");
    }
}

TEST_F(ZooTraining, Gradients) {
  runPasses();
  EXPECT_EQ(compareGradients(fixture, gradients()), "");
}

} // namespace
} // namespace kiln::test
