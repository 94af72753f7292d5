// Calls: binding arguments to parameters, functions, modules and built-in functions.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Limits.h"

namespace kiln::language {

/// Which built-in functions a keyword argument's names belong to.
static Space spaceOf(std::string_view keyword, Space outer) {
  if (keyword == "init")
    return Space::Init;
  return outer;
}

Elaborator::Arguments Elaborator::evalArguments(const Expr &call, Frame &frame) {
  Arguments arguments;
  // state(f32[B, n], session): the names of its type may be new dimensions.
  const Expr *callee = call.children.empty() ? nullptr : call.children[0].get();
  bool isState = callee && callee->kind == ExprKind::Name && callee->text == "state";
  Space outer = frame.space;
  for (const Argument &argument : call.arguments) {
    bool savedFree = frame.freeDims;
    frame.freeDims = isState && argument.name.empty() && arguments.positional.empty();
    frame.space = spaceOf(argument.name, outer == Space::Reader || outer == Space::Draw ? Space::General : outer);
    Value value = eval(*argument.value, frame);
    frame.freeDims = savedFree;
    frame.space = outer;
    arguments.failed |= value.isError();
    // A number bound to a name is where its dimension comes from.
    if (value.isInteger())
      value.origin = argument.value->range;
    if (argument.star) {
      std::optional<std::vector<Value>> items = iterate(value, argument.value->range);
      arguments.failed |= !items;
      for (Value &item : items ? *items : std::vector<Value>()) {
        arguments.positional.push_back(std::move(item));
        arguments.ranges.push_back(argument.value->range);
      }
    } else if (argument.name.empty()) {
      arguments.positional.push_back(std::move(value));
      arguments.ranges.push_back(argument.value->range);
    } else {
      arguments.named.emplace_back(argument.name, std::move(value));
      arguments.namedRanges.push_back(argument.value->range);
      arguments.nameRanges.push_back(argument.nameRange);
    }
  }
  return arguments;
}

bool Elaborator::bindParameters(const Stmt &callee, const Arguments &arguments, Range range, std::vector<Binding> &out,
                                std::vector<bool> &given, const std::string &what) {
  Signature signature;
  signature.what = what;
  signature.declared = callee.nameRange;
  for (const Parameter &parameter : callee.parameters)
    if (parameter.rest)
      signature.rest = true;
    else
      signature.slots.push_back({parameter.name, parameter.initial != nullptr, std::nullopt, parameter.range});
  signature.afterRest = signature.slots.size();
  std::optional<BoundArguments> bound = bindArguments(*this, signature, arguments, range);
  if (!bound)
    return false;
  out.clear();
  for (size_t i = 0; i < signature.slots.size(); ++i)
    out.push_back({std::move(bound->values[i]), bound->ranges[i]});
  given = std::move(bound->given);
  if (signature.rest) { // the last one
    out.push_back({Value::listOf(std::move(bound->rest)), range});
    given.push_back(true);
  }
  return true;
}

/// f32(x) of a tensor or number; int(x) and float(x) of numbers that the text knows.
Value Elaborator::callDtype(const Value &callee, const Arguments &all, Range range) {
  // The class of all dtypes shares its name with a reduction.
  if (callee.dtype == Dtype::any)
    return callBuiltin(*findBuiltin("any", Space::General), all, range);
  // int(x) and float(x) are for compile-time numbers, f32(x) and the like for tensors.
  if (callee.dtype == Dtype::anyInt && all.positional.size() == 1 && all.positional[0].isInteger())
    return all.positional[0]; // a dimension is one
  if (isClass(callee.dtype) && all.positional.size() == 1 && all.positional[0].asDouble()) {
    double number = *all.positional[0].asDouble();
    if (callee.dtype == Dtype::anyFloat)
      return Value::floatOf(number);
    if (callee.dtype == Dtype::anyInt && std::abs(number) < 9e18)
      return Value::integerOf(static_cast<int64_t>(number), range);
  }
  if (all.positional.size() == 1 && all.positional[0].isTensor() && isClass(callee.dtype)) {
    bool whole = callee.dtype == Dtype::anyInt;
    error(range, std::string(dtypeName(callee.dtype)) + "(x) converts a number of the text; this is " +
                     describe(all.positional[0]))
        .withHelp(
            std::string("a tensor's elements are converted by ") + (whole ? "i32(x)" : "f32(x)") +
            (whole && all.positional[0].rank() == 0 ? "; B // 2 and 5 * B // 4 are numbers of the text, as B is" : ""));
    return Value::error();
  }
  if (all.positional.size() != 1 || !all.named.empty() || isClass(callee.dtype)) {
    error(range, std::string(dtypeName(callee.dtype)) + "(x) converts one tensor or number");
    return Value::error();
  }
  std::optional<Value> tensor = toTensor(all.positional[0], all.ranges[0]);
  return tensor ? convert(*tensor, elementType(callee.dtype, &context_), range) : Value::error();
}

Value Elaborator::call(const Value &callee, const Arguments &arguments, Range range, Frame &frame) {
  // x.f(...): the tensor comes first.
  Arguments bound;
  const Arguments *all = &arguments;
  if (callee.items && (callee.kind == Value::Kind::Builtin || callee.kind == Value::Kind::Function)) {
    bound = arguments;
    bound.positional.insert(bound.positional.begin(), callee.items->front());
    bound.ranges.insert(bound.ranges.begin(), callee.origin);
    all = &bound;
  }
  switch (callee.kind) {
  case Value::Kind::Builtin:
    // PyTorch's x.max(1), which speaks of an axis.
    if ((callee.builtin->name == "max" || callee.builtin->name == "min") && callee.items &&
        arguments.positional.size() == 1 && arguments.named.empty() && arguments.positional[0].isInteger()) {
      std::string name(callee.builtin->name);
      error(range, "x." + name + "(n) is no reduction: a second value is compared with each element")
          .withHelp("along an axis: " + name + "(x, axis=n), and arg" + name +
                    "(x, n) for the indices; with a number: " + name + "(x, n)");
      return Value::error();
    }
    return callBuiltin(*callee.builtin, *all, range);
  case Value::Kind::Module:
    // In an optimizer's own body it is a part of that one.
    if (frame.space == Space::Rate && isOptimizer(*callee.declaration) &&
        !(frame.self && isOptimizer(*frame.self->module)))
      return optimizerRecord(*callee.declaration, *all, range);
    return instantiate(*callee.declaration, *all, range);
  case Value::Kind::Function:
    return callFunction(*callee.declaration, callee.instance, *all, range, &frame, nullptr, callee.captured);
  case Value::Kind::Dtype:
    return callDtype(callee, *all, range);
  case Value::Kind::Instance: {
    const std::shared_ptr<Instance> &instance = callee.instance;
    if (instance->sequential) {
      if (all->positional.size() != 1 || !all->named.empty()) {
        error(range, "a Sequential is called with one value");
        return Value::error();
      }
      Arguments one = *all;
      for (const Value &item : instance->items) {
        Value result = call(item, one, range, frame);
        if (result.isError())
          return result;
        one.positional[0] = std::move(result);
        one.ranges[0] = range;
      }
      return one.positional[0];
    }
    for (const StmtPtr &statement : instance->module->body)
      if (statement->kind == StmtKind::Def && statement->name == "forward")
        return callFunction(*statement, instance, *all, range, &frame);
    error(range, "the module " + instance->module->name + " has no forward, so it cannot be called")
        .note(instance->module->nameRange, "it is declared here");
    return Value::error();
  }
  default:
    error(range, describe(callee) + " cannot be called");
    return Value::error();
  }
}

/// What a call of a model's function shows about the extents of its dimensions.
void Elaborator::noteUse(const Stmt &function, const Frame &frame) {
  entry_->calls.insert(&function);
  for (const auto &[name, dim] : frame.dims) {
    std::optional<int64_t> extent = dim.value.integer.constant();
    if (auto bound = entry_->bounds.find(dim.value.integer.str()); !extent && bound != entry_->bounds.end())
      extent = bound->second.value;
    if (!extent)
      continue;
    int64_t &known = uses_[&function][name];
    known = std::max(known, *extent);
  }
}

std::string Elaborator::calleeName(const Stmt &function, const Instance *self) {
  if (self && self->module)
    return self->module->name + "." + function.name;
  return function.name;
}

// `self` by value: it has to outlive the frames that the call makes.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Value Elaborator::callFunction(const Stmt &function, std::shared_ptr<Instance> self, const Arguments &arguments,
                               Range range, Frame *caller, Frame *keep, Captured *captured) {
  std::string what = calleeName(function, self.get());
  if (self && self->underConstruction) {
    error(range, "'" + function.name + "' is called while its module is being built")
        .withHelp("a module's body declares; tensors are computed in functions");
    return Value::error();
  }
  if (callSites_.size() > maxCalls) {
    error(range, "calls are nested more than " + std::to_string(maxCalls) + " deep here")
        .withHelp("does a function call itself without an end?");
    return Value::error();
  }
  std::vector<Binding> values;
  std::vector<bool> given;
  if (!bindParameters(function, arguments, range, values, given, what))
    return Value::error();
  Frame frame;
  frame.mode = Frame::Mode::Function;
  frame.self = self;
  frame.caller = caller;
  frame.space = optimizing_ ? Space::Rate : Space::General;
  frame.function = &function;
  frame.captured = captured;
  callSites_.push_back(range);
  for (size_t i = 0; i < values.size(); ++i)
    if (!given[i])
      values[i] = captured ? captured->defaults[i] : Binding{eval(*function.parameters[i].initial, frame), range};
  callSites_.pop_back();
  for (const Binding &binding : values)
    if (binding.value.isError())
      return Value::error();
  for (size_t i = 0; scheduleSteps_ && i < values.size(); ++i)
    if (std::optional<int64_t> steps = values[i].value.asInteger(); steps && function.parameters[i].name == "steps")
      *scheduleSteps_ = std::max(*scheduleSteps_, *steps);
  if (!bindSignature(function, values, frame, what))
    return Value::error();
  if (self && self == model_ && entry_ && !captured)
    noteUse(function, frame);
  const Stmt *grad = nullptr;
  if (!keep && !captured && !llvm::is_contained(owning_, &function) && isCustom(function, self.get(), grad))
    return callCustom(function, grad, {self, std::move(values), range, caller});
  Depth inference(inference_, self && self->inference ? 1 : 0);
  callSites_.push_back(range);
  // What could not be parsed is not looked at; neither is what lacks a part of it.
  frame.mayReturn = true;
  if (!function.broken)
    execute(function.body, frame);
  frame.mayReturn = false;
  if (!frame.returned) {
    bool failed = function.broken;
    for (const auto &[name, binding] : frame.locals)
      failed |= binding.value.isError();
    frame.result = failed ? Value::error() : Value::none();
  }
  closeIfs(frame, 0);
  if (function.result && !frame.result.isError()) {
    Binding result{frame.result, frame.returnExpr ? frame.returnExpr->range : function.nameRange};
    if (!bindType(*function.result, result, frame, "the result of " + what, true))
      result.value = Value::error();
    frame.result = result.value;
  }
  if (frame.result.isError() && function.result && entry_) {
    // The caller goes on with what the signature promises, so that its own errors show too.
    entry_->failed = true;
    frame.result = placeholder(*function.result, frame);
  }
  callSites_.pop_back();
  endFrame(frame);
  Value result = frame.result;
  if (keep)
    *keep = std::move(frame);
  return result;
}

/// A value of the declared type, in place of one that could not be computed.
Value Elaborator::placeholder(const Expr &type, Frame &frame) {
  if (type.kind == ExprKind::Tuple || type.kind == ExprKind::List) {
    std::vector<Value> items;
    for (const ExprPtr &child : type.children) {
      items.push_back(placeholder(*child, frame));
      if (items.back().isError())
        return Value::error();
    }
    return Value::listOf(std::move(items));
  }
  const Expr &base = type.kind == ExprKind::Index ? type.child(0) : type;
  std::optional<Dtype> dtype = base.kind == ExprKind::Name ? dtypeByName(base.text) : std::nullopt;
  if (!dtype || isClass(*dtype))
    return Value::error();
  std::vector<Dim> dims;
  Origins origins;
  for (size_t i = 1; type.kind == ExprKind::Index && i < type.children.size(); ++i) {
    if (type.child(i).kind == ExprKind::Ellipsis) {
      if (!frame.ellipsis)
        return Value::error();
      dims.insert(dims.end(), frame.ellipsis->begin(), frame.ellipsis->end());
      origins.insert(origins.end(), frame.ellipsisOrigins.begin(), frame.ellipsisOrigins.end());
      continue;
    }
    Value written = knownDim(type.child(i), frame);
    for (const Value &dim : written.isList() ? *written.items : std::vector<Value>{written}) {
      if (!dim.isInteger())
        return Value::error();
      dims.push_back(dim.integer);
      origins.push_back({dim.origin ? dim.origin : type.child(i).range});
    }
  }
  mlir::Type tensor = tensorType(dims, elementType(*dtype, &context_));
  return Value::tensorOf(emit(type.range).splat(tensor, 0), std::make_shared<Origins>(std::move(origins)));
}

Value Elaborator::instantiate(const Stmt &module, const Arguments &arguments, Range range) {
  if (callSites_.size() > maxCalls) {
    error(range, "modules are nested more than " + std::to_string(maxCalls) + " deep here")
        .withHelp("does a module hold itself?");
    return Value::error();
  }
  if (module.broken)
    return Value::error();
  std::vector<Binding> values;
  std::vector<bool> given;
  if (!bindParameters(module, arguments, range, values, given, module.name))
    return Value::error();
  auto instance = std::make_shared<Instance>();
  instances_.push_back(instance);
  instance->module = &module;
  instance->range = range;
  Frame frame;
  frame.mode = Frame::Mode::Module;
  frame.self = instance;
  const Space space = optimizing_ ? Space::Rate : Space::General;
  frame.space = space;
  callSites_.push_back(range);
  size_t errorsBefore = diagnostics_.size();
  bool failed = false;
  for (size_t i = 0; i < values.size(); ++i) {
    Value value = values[i].value;
    if (!given[i]) {
      frame.space = module.parameters[i].name == "init" ? Space::Init : space;
      value = eval(*module.parameters[i].initial, frame);
      frame.space = space;
    }
    if (value.isTensor()) {
      error(values[i].range, module.name + "'s argument '" + module.parameters[i].name +
                                 "' is known at compile time; this is " + describe(value));
      value = Value::error();
    }
    if (value.isInteger() && !value.origin)
      value.origin = given[i] ? values[i].range : module.parameters[i].initial->range;
    failed |= value.isError();
    instance->arguments.emplace_back(module.parameters[i].name, std::move(value));
  }
  // Attributes go into the instance as they are assigned, so that later lines see them.
  Entry *outer = entry_;
  entry_ = nullptr;
  if (!failed)
    execute(module.body, frame);
  entry_ = outer;
  callSites_.pop_back();
  instance->underConstruction = false;
  if (failed || (diagnostics_.size() != errorsBefore && instance->attributes.empty()))
    return Value::error();
  Value value = Value::of(Value::Kind::Instance);
  value.instance = std::move(instance);
  return value;
}

} // namespace kiln::language
