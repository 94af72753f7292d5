#include "tests/fuzz/Stored.h"

#include "backends/host/Kernel.h"
#include "ir/Kiln.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Pipelines.h"

#include "absl/status/status.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"

#include <random>

namespace kiln::test {

namespace {

/// The declared parameters by name.
std::map<std::string, mlir::RankedTensorType> parametersOf(mlir::ModuleOp module) {
  std::map<std::string, mlir::RankedTensorType> types;
  if (auto all = module->getAttrOfType<mlir::ArrayAttr>("kiln.parameters"))
    for (auto one : all.getAsRange<mlir::DictionaryAttr>())
      types[one.getAs<mlir::StringAttr>("name").str()] =
          llvm::cast<mlir::RankedTensorType>(one.getAs<mlir::TypeAttr>("type").getValue());
  return types;
}

BlockForm drawForm(std::mt19937_64 &random, mlir::RankedTensorType matrix) {
  auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  BlockForm form;
  form.size = 8 << below(5);
  form.columns = below(3) == 0;
  form.wideScales = below(2);
  if (below(3) == 0)
    form.coding = static_cast<Coding>(1 + below(6));
  form.minimums = form.coding == Coding::None && below(2);
  form.halves = form.coding == Coding::None ? below(2) == 1 : bitsOf(form.coding) == 4;
  form.ordered = below(8) == 0;
  int64_t width = matrix.getDimSize(form.columns ? 0 : 1);
  while (form.size > 8 && !form.fits(width))
    form.size /= 2;
  return form;
}

struct Plain {
  kiln_dtype dtype;
  std::vector<int64_t> shape;
};

/// The forms that matrices have been given, by their names.
StoredForms formsIn(mlir::ModuleOp stored) {
  std::map<std::string, Plain> plain;
  for (const auto &[name, type] : parametersOf(stored))
    plain[name] = {host::dtypeOf(type.getElementType()), type.getShape().vec()};
  StoredForms forms;
  auto find = [&](const std::string &name) {
    auto found = plain.find(name);
    return found == plain.end() ? nullptr : &found->second;
  };
  for (const auto &[name, its] : plain)
    if (std::optional<BlockForm> form = blockFormOf(name, find))
      forms[name] = *form;
  return forms;
}

/// A function that gives a matrix, as it is read: its arguments are what the matrix is stored as.
mlir::OwningOpRef<mlir::ModuleOp> readerOf(mlir::MLIRContext *context, const std::string &name,
                                           mlir::RankedTensorType type) {
  mlir::OpBuilder b(context);
  mlir::Location loc = b.getUnknownLoc();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  b.setInsertionPointToEnd(module->getBody());
  auto function = b.create<mlir::func::FuncOp>(loc, "read", b.getFunctionType(type, type));
  b.setInsertionPointToStart(function.addEntryBlock());
  b.create<mlir::func::ReturnOp>(loc, function.getArgument(0));
  function.setArgAttr(0, "kiln.parameter", b.getStringAttr(name));
  auto zeros = b.getDictionaryAttr(b.getNamedAttr("kind", b.getStringAttr("zeros")));
  auto parameter =
      b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(name)),
                           b.getNamedAttr("type", mlir::TypeAttr::get(type)), b.getNamedAttr("init", zeros)});
  (*module)->setAttr("kiln.parameters", b.getArrayAttr(parameter));
  return module;
}

} // namespace

void chooseForms(mlir::ModuleOp module, uint64_t seed, CompileOptions &options) {
  std::mt19937_64 random(seed);
  static const char *const common[] = {"q8", "q4", "bf16"};
  uint64_t which = random() % 6;
  if (which < 3)
    options.weightsAs = common[which];
  if (which == 2 || which > 3 || random() % 2) // what comes in blocks keeps them
    for (const auto &[name, type] : parametersOf(module))
      if (type.getRank() == 2 && type.getElementType().isF32() && random() % 4)
        options.storedForms[name] = drawForm(random, type);
}

bool storeWeights(mlir::ModuleOp module, const CompileOptions &options) {
  mlir::PassManager passes(module.getContext());
  StoreWeightsOptions store;
  store.as = options.weightsAs;
  passes.addPass(createStoreWeights(store, options.storedForms));
  return mlir::succeeded(passes.run(module));
}

void drawStored(mlir::ModuleOp stored, std::map<std::string, HostTensor> &arguments) {
  for (const auto &[name, form] : formsIn(stored)) {
    if (form.coding == Coding::E5M2) // no infinities
      for (int64_t &code : arguments[name].integers)
        code &= 0xbf;
    double most = form.coding == Coding::E4M3                                 ? 480
                  : form.coding == Coding::None || form.coding == Coding::IQ4 ? 127
                                                                              : 4;
    HostTensor &scales = arguments[name + form.scalesEnd()];
    for (double &scale : scales.floats)
      scale *= 16 / most;
    scales.roundToElement();
  }
}

absl::StatusOr<std::map<std::string, HostTensor>> widenStored(mlir::ModuleOp module, mlir::ModuleOp stored,
                                                              const std::map<std::string, HostTensor> &arguments) {
  std::map<std::string, HostTensor> widened = arguments;
  CompileOptions options;
  options.storedForms = formsIn(stored);
  for (const auto &[name, type] : parametersOf(module)) {
    auto numbers = arguments.find(name);
    if (numbers == arguments.end() || numbers->second.element == type.getElementType())
      continue;
    if (numbers->second.isFloat()) { // bf16, which is f32 as it is
      widened[name].element = type.getElementType();
      continue;
    }
    mlir::OwningOpRef<mlir::ModuleOp> reader = readerOf(module.getContext(), name, type);
    if (!storeWeights(*reader, options))
      return absl::InternalError("no reader of " + name);
    auto function = reader->lookupSymbol<mlir::func::FuncOp>("read");
    std::vector<HostTensor> parts;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      parts.push_back(arguments.at(function.getArgAttrOfType<mlir::StringAttr>(i, "kiln.parameter").str()));
    absl::StatusOr<Interpreted> read = interpret(function, parts);
    if (!read.ok())
      return read.status();
    widened[name] = read->results[0];
  }
  return widened;
}

} // namespace kiln::test
