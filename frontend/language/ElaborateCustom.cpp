// Functions that become one op: `op NAME(…)`, and a module's forward beside a grad of its own.
#include "frontend/language/Elaborate.h"

#include "ir/Classes.h"

namespace kiln::language {

static const Stmt *gradIn(const std::vector<StmtPtr> &body) {
  for (const StmtPtr &statement : body)
    if (statement->kind == StmtKind::Def && statement->name == "grad")
      return statement.get();
  return nullptr;
}

/// `grad`: the gradient of its own, null where it has none.
bool Elaborator::isCustom(const Stmt &function, const Instance *self, const Stmt *&grad) {
  if (function.isOp) {
    grad = gradIn(function.body);
    return true;
  }
  if (self && self->module && function.name == "forward")
    grad = gradIn(self->module->body);
  return grad;
}

/// What an op's declaration shows before anything calls it.
void Elaborator::declareOp(const Stmt &op) {
  for (const char *ending : {"", "_grad"})
    if (mlir::RegisteredOperationName::lookup("kiln." + op.name + ending, &context_))
      error(op.nameRange, "'" + op.name + ending + "' is an op of Kiln's own (docs/ops.md)")
          .withHelp("give yours another name, or write it with def: a function is free to hide a built-in one");
  if (!op.result && !op.broken)
    error(op.nameRange, "the op " + op.name + " does not say what it gives")
        .withHelp("its type stands before the colon: op " + op.name + "(…) -> f32[…]:");
  bool tensors = false;
  for (const Parameter &parameter : op.parameters) {
    tensors |= parameter.type != nullptr;
    if (parameter.rest)
      error(parameter.range, "an op has a fixed number of arguments").withHelp("name each of them");
  }
  if (!tensors && !op.broken)
    error(op.nameRange, "the op " + op.name + " has no argument with a type")
        .withHelp("tensors have types, x: f32[…]; arguments without are numbers, booleans and strings");
}

/// Whether grad returns a gradient of the right type for each float argument.
static bool gradientsFit(Elaborator &e, const Stmt &grad, llvm::ArrayRef<mlir::Value> inputs,
                         mlir::ValueRange gradients) {
  size_t wanted = 0;
  for (mlir::Value input : inputs) {
    if (!isFloat(llvm::cast<mlir::RankedTensorType>(input.getType()).getElementType()))
      continue;
    if (wanted < gradients.size() && gradients[wanted].getType() != input.getType())
      e.error(grad.nameRange, "grad's result " + std::to_string(wanted + 1) + " is " +
                                  describe(Value::tensorOf(gradients[wanted])) +
                                  "; the argument that it belongs to is " + describe(Value::tensorOf(input)));
    ++wanted;
  }
  if (wanted == gradients.size())
    return true;
  e.error(grad.nameRange, "grad returns " + std::to_string(gradients.size()) + " gradients; forward has " +
                              std::to_string(wanted) + " float arguments");
  return false;
}

/// Whether the block computes with its arguments alone.
static bool isIsolated(mlir::Block &block) {
  bool isolated = true;
  block.walk([&](mlir::Operation *op) {
    for (mlir::Value operand : op->getOperands()) {
      mlir::Block *of = operand.getParentBlock();
      while (of && of != &block)
        of = of->getParentOp() ? of->getParentOp()->getBlock() : nullptr;
      isolated &= of == &block;
    }
  });
  return isolated;
}

/// An argument without a type, as the op has it; null after an error, and for None.
mlir::Attribute Elaborator::opAttribute(const Stmt &op, size_t parameter, const Value &value, Range range) {
  const Parameter &declared = op.parameters[parameter];
  bool isFloat = declared.initial && declared.initial->kind == ExprKind::Float;
  switch (value.kind) {
  case Value::Kind::Boolean:
    return builder_.getBoolAttr(value.boolean);
  case Value::Kind::Float:
    return builder_.getF64FloatAttr(value.number);
  case Value::Kind::String:
    return builder_.getStringAttr(value.text);
  case Value::Kind::Integer:
    if (std::optional<int64_t> number = value.asInteger())
      return isFloat ? mlir::Attribute(builder_.getF64FloatAttr(static_cast<double>(*number)))
                     : mlir::Attribute(builder_.getI64IntegerAttr(*number));
    break;
  default:
    break;
  }
  if (!value.isNone() && !value.isError())
    error(range, op.name + "'s argument '" + declared.name + "' is " + describe(value) +
                     "; an argument of an op that has no type is a number, a boolean, a string or None")
        .note(declared.range, "it is declared here")
        .withHelp("a tensor's argument has a type, " + declared.name + ": f32[…]");
  return nullptr;
}

/// The value with others in place of its tensors, each of them the next one.
static Value withTensors(const Value &value, llvm::function_ref<mlir::Value()> next) {
  if (value.isTensor())
    return Value::tensorOf(next());
  if (!value.isList())
    return value;
  Value list = value;
  list.items = std::make_shared<std::vector<Value>>();
  for (const Value &item : *value.items)
    list.items->push_back(withTensors(item, next));
  return list;
}

/// The function's body over tensors of `types` and the other values, as a block of its own that yields the tensors
/// which its result is made of; null after an error.
std::unique_ptr<mlir::Block> Elaborator::customRegion(const Stmt &function, const CustomCall &call,
                                                      llvm::ArrayRef<mlir::Type> types, Value &result) {
  auto block = std::make_unique<mlir::Block>();
  mlir::Location loc = location(call.range);
  Arguments inner;
  auto add = [&](Value value) {
    inner.positional.push_back(std::move(value));
    inner.ranges.push_back(call.range);
  };
  auto next = [&] { return block->addArgument(types[block->getNumArguments()], loc); };
  for (const Binding &binding : call.values)
    add(withTensors(binding.value, next));
  while (block->getNumArguments() < types.size())
    add(Value::tensorOf(next()));
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(block.get());
  Frame scratch;
  result = callFunction(function, call.self, inner, call.range, call.caller, &scratch);
  std::vector<mlir::Value> yielded;
  if (result.isError() || !tensorsOf(result, call.range, yielded)) {
    graveyard_.push_back(std::move(block));
    return nullptr;
  }
  builder_.create<YieldOp>(loc, yielded);
  return block;
}

/// Adds the tensors that the value is, or consists of; false after an error.
bool Elaborator::tensorsOf(Value &value, Range range, std::vector<mlir::Value> &inputs) {
  if (value.isList()) {
    value.items = std::make_shared<std::vector<Value>>(*value.items);
    return llvm::all_of(*value.items, [&](Value &item) { return tensorsOf(item, range, inputs); });
  }
  std::optional<Value> tensor = toTensor(value, range);
  if (tensor)
    inputs.push_back((value = *tensor).tensor);
  return tensor.has_value();
}

/// The tensors among the values, and the attributes that the others make; false after an error.
bool Elaborator::customOperands(const Stmt &function, CustomCall &call, std::vector<mlir::Value> &inputs,
                                std::vector<mlir::NamedAttribute> &fields) {
  bool fits = true;
  for (size_t i = 0; i < call.values.size(); ++i) {
    Binding &binding = call.values[i];
    if (!function.isOp || function.parameters[i].type) {
      fits &= tensorsOf(binding.value, binding.range, inputs);
      continue;
    }
    mlir::Attribute attribute = opAttribute(function, i, binding.value, binding.range);
    if (attribute)
      fields.push_back(builder_.getNamedAttr(function.parameters[i].name, attribute));
    fits &= attribute || binding.value.isNone();
  }
  return fits;
}

/// What it computes and its gradient become the regions of one op; both see nothing but their arguments.
Value Elaborator::callCustom(const Stmt &function, const Stmt *grad, CustomCall call) {
  std::string what = calleeName(function, call.self.get());
  Range range = call.range;
  std::vector<mlir::Value> inputs;
  std::vector<mlir::NamedAttribute> fields;
  if (!inFunction(range, "a call") || !customOperands(function, call, inputs, fields))
    return Value::error();
  bool asked = entry_->asksTraining;
  entry_->asksTraining = false;
  // Each region is built in a block of its own; the op is made last, when the results are known.
  llvm::SmallVector<mlir::Type> types(mlir::ValueRange(inputs).getTypes()), resultTypes;
  Value result, gradients;
  std::unique_ptr<mlir::Block> forward = customRegion(function, call, types, result), backward;
  if (!forward)
    return Value::error();
  llvm::append_range(resultTypes, forward->getTerminator()->getOperandTypes());
  llvm::append_range(types, resultTypes);
  if (grad) {
    owning_.push_back(&function);
    backward = customRegion(*grad, call, types, gradients);
    owning_.pop_back();
    if (!backward)
      return Value::error();
  }
  bool modes = function.isOp && entry_->asksTraining;
  entry_->asksTraining |= asked;
  if (modes || !isIsolated(*forward) || (backward && !isIsolated(*backward))) {
    std::string more = modes ? "whether it is trained" : "a parameter, a state or random numbers";
    error(range, function.isOp ? "the op " + what + " uses more than its arguments: " + more
                               : what + " has a grad of its own and uses " + more)
        .note(grad ? grad->nameRange : function.nameRange, grad ? "the grad is declared here" : "it is declared here")
        .withHelp("pass it as an argument" + std::string(grad ? ", so that grad can return its gradient" : ""));
    graveyard_.push_back(std::move(forward));
    if (backward)
      graveyard_.push_back(std::move(backward));
    return Value::error();
  }
  if (grad && !gradientsFit(*this, *grad, inputs, backward->getTerminator()->getOperands()))
    return Value::error();
  auto op = builder_.create<CustomOp>(location(range), resultTypes, inputs,
                                      function.isOp ? builder_.getStringAttr(function.name) : nullptr,
                                      fields.empty() ? nullptr : builder_.getDictionaryAttr(fields));
  op.getForward().push_back(forward.release());
  if (backward)
    op.getBackward().push_back(backward.release());
  size_t at = 0;
  return withTensors(result, [&]() -> mlir::Value { return op.getResult(at++); });
}

} // namespace kiln::language
