// One function as a model of ONNX: its signature, its weights, its ops in order.
#include "frontend/export/Onnx.h"

#include "frontend/export/Ops.h"
#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Simplify/Simplify.h"
#include "runtime/support/Tensor.h"

#include "absl/strings/str_cat.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <set>

namespace kiln::exported {

//===-- Ops ------------------------------------------------------------------------------------------------------===//

const std::vector<Op> &ops() {
  static const auto *all = [] {
    auto *table = new std::vector<Op>();
    for (const auto &part : {elementwiseOps(), layoutOps(), productOps(), reductionOps(), indexOps(), controlOps()})
      table->insert(table->end(), part.begin(), part.end());
    return table;
  }();
  return *all;
}

std::vector<std::string> wholeOps(int opset) {
  std::vector<std::string> out = {
#define KILN_ONNX(name, onnx, opset) "kiln." name,
#include "ir/Ops.inc"
      "kiln.softmax", "kiln.log_softmax", "kiln.layer_norm", "kiln.attention", "kiln.capped_attention"};
  if (opset >= 20)
    out.emplace_back("kiln.gelu");
  return out;
}

static const Op *findOp(mlir::Operation *op) {
  llvm::StringRef name = op->getName().stripDialect();
  auto found = std::find_if(ops().begin(), ops().end(), [&](const Op &known) { return name == known.name; });
  return found == ops().end() ? nullptr : &*found;
}

void writeOps(Graph &graph, mlir::Operation *first, mlir::Operation *end) {
  for (mlir::Operation *op = first; op && op != end && graph.problem.empty(); op = op->getNextNode()) {
    graph.current = op;
    if (const Op *known = findOp(op))
      known->write(graph, op);
    else if (llvm::isa<DecomposableOpInterface>(op))
      writeParts(graph, op);
    else
      graph.fail(op, "has no counterpart in ONNX");
  }
}

void writeParts(Graph &graph, mlir::Operation *op) {
  mlir::OpBuilder builder(op);
  mlir::Operation *before = op->getPrevNode();
  llvm::SmallVector<mlir::Value> results = llvm::cast<DecomposableOpInterface>(op).decompose(builder);
  writeOps(graph, before ? before->getNextNode() : &op->getBlock()->front(), op);
  for (auto [own, value] : llvm::zip(op->getResults(), results))
    if (value)
      graph.set(own, graph.held(value));
}

void writeBlock(Graph &graph, mlir::Block &block) { writeOps(graph, &block.front(), block.getTerminator()); }

std::string opsTable() {
  std::vector<Op> sorted = ops();
  std::sort(sorted.begin(), sorted.end(), [](const Op &a, const Op &b) { return std::string_view(a.name) < b.name; });
  std::string out = "| op | is written |\n|---|---|\n";
  for (const Op &op : sorted)
    out += absl::StrCat("| `", op.name, "` | ", *op.written ? op.written : "refused", " |\n");
  return out;
}

namespace {

//===-- The model ------------------------------------------------------------------------------------------------===//

class Exporter {
public:
  Exporter(mlir::ModuleOp module, const Safetensors &weights, const Options &options)
      : module_(module), weights_(weights), options_(options), graph_(options.opset) {}

  absl::StatusOr<File> run();

private:
  absl::Status findFunction();
  absl::Status prepare();
  absl::Status arguments();
  absl::Status weight(mlir::Value argument, const std::string &name);
  absl::Status results();
  std::string textOf(unsigned index, llvm::StringRef name, bool result);

  mlir::ModuleOp module_;
  const Safetensors &weights_;
  const Options &options_;
  mlir::func::FuncOp function_;
  Graph graph_;
  std::vector<Message> inputs_, outputs_, initializers_;
  uint64_t offset_ = 0; // in the external file
  File file_;
};

std::string Exporter::textOf(unsigned index, llvm::StringRef name, bool result) {
  auto found = result ? function_.getResultAttrOfType<mlir::StringAttr>(index, name)
                      : function_.getArgAttrOfType<mlir::StringAttr>(index, name);
  return found ? found.str() : "";
}

absl::Status Exporter::findFunction() {
  std::string known;
  for (auto function : module_.getOps<mlir::func::FuncOp>()) {
    if (function.isPrivate() || function.getName().contains('.'))
      continue;
    known += (known.empty() ? "'" : ", '") + function.getName().str() + "'";
    if (function.getName() == options_.entry)
      function_ = function;
  }
  if (!function_)
    return absl::NotFoundError(absl::StrCat("the model has no function '", options_.entry, "'; ",
                                            known.empty() ? "it has none that can be exported" : "it has " + known));
  return absl::OkStatus();
}

/// The function alone, its composites as far as ONNX has them.
absl::Status Exporter::prepare() {
  for (auto function : llvm::make_early_inc_range(module_.getOps<mlir::func::FuncOp>()))
    if (function != function_)
      function.erase();
  mlir::PassManager passes(module_->getContext());
  DecomposeOptions decompose;
  std::vector<std::string> whole = wholeOps(options_.opset);
  decompose.keep = whole;
  passes.addPass(createDecompose(decompose));
  passes.addPass(createSimplify());
  if (mlir::failed(passes.run(module_)))
    return absl::InternalError(absl::StrCat("the function '", options_.entry, "' cannot be prepared"));
  return absl::OkStatus();
}

/// A tensor of the model's weights, with the type that is declared.
absl::Status Exporter::weight(mlir::Value argument, const std::string &name) {
  auto type = llvm::cast<mlir::RankedTensorType>(argument.getType());
  const TensorView *found = weights_.find(name);
  if (!found)
    return absl::NotFoundError(
        absl::StrCat("the weights have no tensor '", name, "', which the function uses; --weights FILE gives them"));
  kiln_dtype wanted = dtypeOf(type.getElementType()).value();
  auto misfit = [&](const std::string &why) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensor '", name, "' of the weights does not fit the model: expected ",
                     describeType(wanted, type.getShape()), ", found ", describeType(found->dtype, found->shape),
                     why.empty() ? "" : ": ", why));
  };
  if (!llvm::equal(found->shape, type.getShape()) || isFloat(found->dtype) != isFloat(wanted))
    return misfit("");
  Tensor converted;
  MadeBytes made(*found);
  TensorView view = made.view;
  if (found->dtype != wanted) {
    converted = Tensor(name, wanted, found->shape);
    if (std::string why;
        !convertElements(found->dtype, view.data, wanted, converted.memory.data(), converted.count(), why))
      return misfit(why);
    view = converted.view();
  }
  std::string_view bytes(reinterpret_cast<const char *>(view.data), view.bytes);
  bool outside = !options_.externalFile.empty() && view.data == made.view.data && view.bytes >= 1024;
  initializers_.push_back(tensor(name, dataTypeOf(type.getElementType()), view.shape, bytes,
                                 outside ? options_.externalFile : std::string(), offset_));
  if (outside) {
    file_.external.push_back(*found);
    offset_ += (view.bytes + kExternalAlignment - 1) / kExternalAlignment * kExternalAlignment;
  }
  graph_.set(argument, name);
  return absl::OkStatus();
}

absl::Status Exporter::arguments() {
  std::set<std::string> sessions;
  if (auto states = module_->getAttrOfType<mlir::ArrayAttr>("kiln.states"))
    for (mlir::Attribute state : states)
      if (auto entry = llvm::dyn_cast<mlir::DictionaryAttr>(state))
        if (auto kind = entry.getAs<mlir::StringAttr>("kind"); kind && kind.getValue() == "session")
          sessions.insert(entry.getAs<mlir::StringAttr>("name").str());
  for (mlir::BlockArgument argument : function_.getArguments()) {
    unsigned index = argument.getArgNumber();
    std::string input = textOf(index, "kiln.input", false), parameter = textOf(index, "kiln.parameter", false);
    std::string state = textOf(index, "kiln.state", false);
    if (!input.empty()) {
      graph_.reserve(input);
      graph_.set(argument, input);
      inputs_.push_back(graph_.info(input, argument.getType()));
      llvm::SmallVector<Dim> dims = dimsOf(argument);
      for (size_t axis = 0; axis < dims.size(); ++axis)
        graph_.symbolFrom(input, axis, dims[axis]);
      continue;
    }
    if (argument.use_empty())
      continue;
    if (sessions.count(state))
      return absl::UnimplementedError(absl::StrCat("the function '", options_.entry, "' works on the session state '",
                                                   state, "', which an ONNX file has none of"));
    std::string name = parameter.empty() ? state : parameter;
    if (name.empty()) {
      graph_.fail(*argument.user_begin(),
                  function_.getArgAttr(index, "kiln.seed")
                      ? "draws random numbers, which would be others in ONNX: export a function "
                        "without them"
                      : "reads the step of a run, which an ONNX file has none of");
      return absl::OkStatus();
    }
    graph_.reserve(name);
    if (absl::Status status = weight(argument, name); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

absl::Status Exporter::results() {
  mlir::Operation *last = function_.front().getTerminator();
  graph_.current = nullptr;
  bool single = llvm::count_if(llvm::seq(0u, last->getNumOperands()),
                               [&](unsigned i) { return !textOf(i, "kiln.output", true).empty(); }) == 1;
  for (unsigned i = 0; i < last->getNumOperands(); ++i) {
    mlir::Value value = last->getOperand(i);
    std::string name = textOf(i, "kiln.output", true), state = textOf(i, "kiln.state", true);
    if (name.empty()) {
      auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
      if (argument && textOf(argument.getArgNumber(), "kiln.state", false) == state)
        continue; // a state that stays as it is
      return absl::UnimplementedError(absl::StrCat("the function '", options_.entry, "' changes the state '", state,
                                                   "', which an ONNX file has none of"));
    }
    if (name.find_first_not_of("0123456789") == std::string::npos)
      name = single ? "output" : "output_" + name;
    while (graph_.isReserved(name))
      name += "_out";
    graph_.rename(graph_.full(value), name);
    outputs_.push_back(graph_.info(name, value.getType()));
  }
  return absl::OkStatus();
}

absl::StatusOr<File> Exporter::run() {
  if (absl::Status status = findFunction(); !status.ok())
    return status;
  if (absl::Status status = prepare(); !status.ok())
    return status;
  if (absl::Status status = arguments(); !status.ok())
    return status;
  if (graph_.problem.empty())
    writeBlock(graph_, function_.front());
  if (graph_.problem.empty())
    if (absl::Status status = results(); !status.ok())
      return status;
  if (!graph_.problem.empty())
    return absl::UnimplementedError(graph_.problem);
  std::string name = module_.getSymName().value_or("model").str();
  // ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8 (domain 1, version 2). IR version 8 has
  // opset 17.
  Message model;
  model.integer(1, 8).bytes(2, "kiln");
  model.message(7, graph_.finish(name, inputs_, outputs_, std::move(initializers_)));
  model.message(8, Message().integer(2, options_.opset));
  // ONNX has no word for how large a dimension has to be: a note for `kiln import` (field 14, metadata_props).
  for (const auto &[name, least] : leastOf(function_))
    model.message(14, Message().bytes(1, "kiln.least." + name).bytes(2, std::to_string(least)));
  file_.model = model.text();
  return std::move(file_);
}

} // namespace

absl::StatusOr<File> exportOnnx(mlir::ModuleOp module, const Safetensors &weights, const Options &options) {
  return Exporter(module, weights, options).run();
}

} // namespace kiln::exported
