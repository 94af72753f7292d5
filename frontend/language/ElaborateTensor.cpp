// Tensors: promotion, broadcasting, operators, subscripts, states.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

#include <cmath>

namespace kiln::language {

Range Elaborator::userRange(Range range) const {
  if (range.file && range.file->isLibrary())
    for (auto site = callSites_.rbegin(); site != callSites_.rend(); ++site)
      if (site->file && !site->file->isLibrary())
        return *site;
  return range;
}

mlir::Location Elaborator::location(Range range) const {
  range = userRange(range);
  if (!range.file)
    return mlir::UnknownLoc::get(&context_);
  uint32_t line = range.file->line(range.begin);
  return mlir::FileLineColLoc::get(&context_, range.file->place(line), line, range.file->column(range.begin));
}

bool Elaborator::inFunction(Range range, const char *what) {
  if (entry_)
    return true;
  std::string_view name = what;
  bool fills = name == "zeros" || name == "ones" || name == "full" || name == "eye";
  bool draws = name == "random_normal" || name == "random_uniform";
  Diagnostic &diagnostic = error(range, std::string(what) + " makes a tensor; tensors are computed in functions");
  if (fills || draws)
    diagnostic.withHelp("a parameter begins with its type, as in parameter(f32[3, 4], init=" +
                        std::string(draws            ? name.substr(7)
                                    : name == "full" ? "constant"
                                                     : name) +
                        (draws            ? "()"
                         : name == "full" ? "(v)"
                                          : "") +
                        "), a state likewise, and a buffer is computed: NAME = buffer(" + std::string(what) + "(…))");
  else
    diagnostic.withHelp("move it into a def; a module's body and constants hold compile-time values");
  return false;
}

Value Elaborator::read(const std::shared_ptr<Variable> &variable, Frame *frame, Range range) {
  if (!inFunction(range, "a parameter's value"))
    return Value::error();
  if (auto found = entry_->values.find(variable.get()); found != entry_->values.end())
    return found->second;
  if (variable->index < 0) {
    error(range, "this parameter belongs to no module of the model").note(variable->range, "it is declared here");
    return Value::error();
  }
  bool isParameter = variable->kind == Variable::Kind::Parameter;
  auto &table = isParameter ? entry_->parameters : entry_->states;
  // A session state follows the dimensions of the function that uses it.
  std::vector<Dim> dims = variable->type.dims;
  if (variable->kind == Variable::Kind::Session)
    for (Dim &dim : dims) {
      std::map<std::string, Dim> values;
      for (const std::string &symbol : dim.symbols())
        for (Frame *at = frame; at; at = at->caller)
          if (auto found = at->dims.find(symbol); found != at->dims.end()) {
            values[symbol] = found->second.value.integer;
            break;
          }
      dim = dim.substitute(values);
      for (const std::string &symbol : dim.symbols())
        entry_->symbols.try_emplace(symbol, variable->range);
    }
  auto found = table.find(variable->index);
  if (found == table.end()) {
    // Arguments stand in the order: inputs, parameters, states, seed, step.
    size_t position = entry_->inputs + (isParameter ? 0 : entry_->parameters.size()) + table.size();
    if (auto next = table.upper_bound(variable->index); next != table.end())
      position = next->second.second.getArgNumber();
    mlir::Type type = tensorType(dims, elementType(variable->type.dtype, &context_));
    mlir::BlockArgument argument =
        entry_->block->insertArgument(static_cast<unsigned>(position), type, location(variable->range));
    found = table.emplace(variable->index, std::pair(variable, argument)).first;
  }
  Value value = Value::tensorOf(found->second.second, std::make_shared<Origins>(variable->type.origins));
  if (!isParameter)
    entry_->values[variable.get()] = value;
  return value;
}

/// What a buffer holds: computed where it is used, and no gradient flows back.
Value Elaborator::bufferContents(const Value &buffer, Frame &frame, Range range) {
  Value value = callFunction(*buffer.declaration, buffer.instance, {}, range, &frame);
  if (value.isError())
    return value;
  std::optional<Value> contents = toTensor(value, buffer.declaration->range);
  if (!contents)
    return Value::error();
  return Value::tensorOf(emit(range).stopGradient(contents->tensor), contents->origins);
}

void Elaborator::write(const std::shared_ptr<Variable> &variable, const Value &value, Range range) {
  Value old = read(variable, nullptr, range);
  if (old.isError())
    return;
  mlir::RankedTensorType wanted = old.tensorType();
  std::optional<Value> tensor = toTensor(value, range, wanted.getElementType());
  if (!tensor)
    return;
  if (entry_->update)
    tensor = asScalarOf(*tensor, wanted, range);
  if (tensor->tensor.getType() != wanted) {
    std::string what = variable->kind == Variable::Kind::Parameter ? "the parameter" : "the state";
    Diagnostic &diagnostic =
        error(range, what + " is " + typeName(wanted) + ", and its new value " + typeName(tensor->tensor.getType()));
    diagnostic.note(variable->range, what + " is declared here");
    return;
  }
  entry_->values[variable.get()] = *tensor;
  if (std::find(entry_->changed.begin(), entry_->changed.end(), variable.get()) == entry_->changed.end())
    entry_->changed.push_back(variable.get());
}

Value Elaborator::asScalarOf(const Value &value, mlir::RankedTensorType wanted, Range range) {
  bool scalars = wanted.getRank() == 0 && value.isTensor() && value.rank() == 0;
  return scalars && isFloat(value.tensorType().getElementType()) ? convert(value, wanted.getElementType(), range)
                                                                 : value;
}

std::optional<Value> Elaborator::toTensor(const Value &value, Range range, mlir::Type element) {
  if (value.isTensor()) {
    return value;
  }
  if (value.isError())
    return std::nullopt;
  if (!value.isNumber()) {
    Diagnostic &diagnostic = error(range, "a tensor is expected; this is " + describe(value));
    if (value.isNone())
      diagnostic.withHelp("is it a part that was left out? test it: `x if x is not None else y`");
    return std::nullopt;
  }
  if (!inFunction(range, "this"))
    return std::nullopt;
  if (!element)
    element = value.kind == Value::Kind::Float     ? mlir::Type(builder_.getF32Type())
              : value.kind == Value::Kind::Boolean ? mlir::Type(builder_.getI1Type())
                                                   : mlir::Type(builder_.getI32Type());
  Emit emit = this->emit(range);
  mlir::RankedTensorType type = kiln::tensorType({}, element);
  if (value.isInteger() && !value.integer.isConstant())
    return Value::tensorOf(emit.extent(value.integer, element));
  if (isFloat(element))
    return Value::tensorOf(emit.splat(type, *value.asDouble()));
  if (value.kind == Value::Kind::Float) {
    error(range, "the number " + std::string(range.text()) + " is no integer, but one is needed here");
    return std::nullopt;
  }
  int64_t number = *value.asInteger();
  unsigned width = element.getIntOrFloatBitWidth();
  bool fits = width == 64 || (element.isUnsignedInteger() || width == 1
                                  ? number >= 0 && number < (1ll << width)
                                  : number >= -(1ll << (width - 1)) && number < (1ll << (width - 1)));
  if (!fits) {
    error(range, "the number " + std::to_string(number) + " does not fit " + dtypeName(dtypeOf(element)));
    return std::nullopt;
  }
  return Value::tensorOf(emit.splatInt(type, number));
}

Value Elaborator::convert(const Value &value, mlir::Type element, Range range) {
  return Value::tensorOf(emit(range).convertTo(value.tensor, element), value.origins);
}

/// The type both operands go to, as PyTorch promotes: bool, integers by width, floats by width; of one kind, a scalar
/// takes the other's type.
static mlir::Type promoted(const Value &left, const Value &right) {
  mlir::Type a = left.tensorType().getElementType(), b = right.tensorType().getElementType();
  if (a == b)
    return a;
  auto rank = [](mlir::Type type) { return isFloat(type) ? 2 : type.isInteger(1) ? 0 : 1; };
  if (rank(a) != rank(b))
    return rank(a) > rank(b) ? a : b;
  if ((left.rank() == 0) != (right.rank() == 0))
    return left.rank() == 0 ? b : a;
  unsigned wa = a.getIntOrFloatBitWidth(), wb = b.getIntOrFloatBitWidth();
  if (wa != wb)
    return wa > wb ? a : b;
  mlir::Builder builder(a.getContext());
  if (rank(a) == 2)
    return builder.getF32Type(); // f16 with bf16
  // Signed with unsigned of one width: the next wider signed type.
  return builder.getIntegerType(std::min(64u, wa * 2));
}

bool Elaborator::unify(Value &left, Value &right, Range range, Range leftRange, Range rightRange, bool promote) {
  // A number takes the tensor's type; a float number with an integer tensor gives f32.
  auto number = [&](Value &number, Value &tensor, Range at) {
    mlir::Type element = tensor.tensorType().getElementType();
    if (!isFloat(element) && number.kind == Value::Kind::Float) {
      element = builder_.getF32Type();
      tensor = convert(tensor, element, range);
    } else if (element.isInteger(1) && number.isInteger()) {
      element = builder_.getI32Type();
      tensor = convert(tensor, element, range);
    }
    std::optional<Value> scalar = toTensor(number, at, element);
    if (scalar)
      number = *scalar;
    return scalar.has_value();
  };
  if (left.isTensor() && right.isNumber() && !number(right, left, rightRange))
    return false;
  if (right.isTensor() && left.isNumber() && !number(left, right, leftRange))
    return false;
  for (auto [value, at] : {std::pair(&left, leftRange), std::pair(&right, rightRange)}) {
    std::optional<Value> tensor = toTensor(*value, at);
    if (!tensor)
      return false;
    *value = *tensor;
  }
  if (promote) {
    mlir::Type element = promoted(left, right);
    left = convert(left, element, range);
    right = convert(right, element, range);
  }
  std::vector<Value> both = {left, right};
  if (!broadcastAll(both, {leftRange, rightRange}, range))
    return false;
  left = both[0];
  right = both[1];
  return true;
}

bool Elaborator::broadcastAll(std::vector<Value> &values, const std::vector<Range> &ranges, Range range) {
  size_t rank = 0;
  std::vector<llvm::SmallVector<Dim>> shapes;
  for (const Value &value : values) {
    shapes.push_back(dimsOf(value.tensor));
    rank = std::max(rank, shapes.back().size());
  }
  std::vector<Dim> result(rank, Dim(1));
  Origins origins(rank);
  std::vector<size_t> owner(rank, 0);
  for (size_t v = 0; v < values.size(); ++v)
    for (size_t i = 0; i < shapes[v].size(); ++i) {
      size_t axis = rank - shapes[v].size() + i;
      const Dim &dim = shapes[v][i];
      Range origin = values[v].originOf(i);
      if (result[axis] == Dim(1)) {
        result[axis] = dim;
        origins[axis] = {origin};
        owner[axis] = v;
      } else if (dim != Dim(1) && dim != result[axis]) {
        size_t o = owner[axis];
        Diagnostic &diagnostic = error(range, "the shapes " + typeName(values[o].tensor.getType()) + " and " +
                                                  typeName(values[v].tensor.getType()) +
                                                  " do not agree: " + result[axis].str() + " is not " + dim.str());
        diagnostic.note(ranges[o], "this is " + typeName(values[o].tensor.getType()));
        diagnostic.note(ranges[v], "this is " + typeName(values[v].tensor.getType()));
        noteDim(diagnostic, result[axis], origins[axis].range);
        noteDim(diagnostic, dim, origin);
        return false;
      } else if (dim == result[axis] && !origins[axis].range) {
        origins[axis] = {origin};
      }
    }
  auto shared = std::make_shared<Origins>(std::move(origins));
  Emit emit = this->emit(range);
  for (Value &value : values)
    value = Value::tensorOf(emit.broadcastTrailing(value.tensor, result), shared);
  return true;
}

//===-- States of the random generator ---------------------------------------------------------------------------===//

mlir::Value Elaborator::seed(Range range) {
  if (!entry_->seed)
    entry_->seed =
        entry_->block->insertArgument(static_cast<unsigned>(entry_->block->getNumArguments() - (entry_->step ? 1 : 0)),
                                      kiln::tensorType({}, builder_.getIntegerType(32, false)), location(range));
  return entry_->seed;
}

mlir::Value Elaborator::stepCounter(Range range) {
  if (!entry_->step)
    entry_->step = entry_->block->addArgument(kiln::tensorType({}, builder_.getI32Type()), location(range));
  return entry_->step;
}

std::vector<mlir::Value> Elaborator::counters(Range range) {
  std::vector<mlir::Value> counters = {stepCounter(range)};
  for (mlir::Value loop : entry_->loops)
    counters.push_back(loop);
  if (counters.size() > 3) {
    error(range, "random numbers are drawn within more than two nested scans");
    counters.resize(3);
  }
  return counters;
}

} // namespace kiln::language
