// What a module's body declares: parameters, states, initialisers, Sequential, frozen parts; and norms of parameters.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Parts.h"

#include <cmath>

namespace kiln::language {

//===-- Initialisers ---------------------------------------------------------------------------------------------===//

/// Inputs and outputs of a unit, by PyTorch's rule.
static bool fans(BoundCall &call, const TypeInfo &type, double &in, double &out) {
  if (type.dims.size() < 2) {
    call.e.error(call.range,
                 "this initialiser needs a parameter of at least two axes; this is " + typeText(type.dtype, type.dims));
    return false;
  }
  double rest = 1;
  for (size_t i = 2; i < type.dims.size(); ++i)
    rest *= static_cast<double>(*type.dims[i].constant());
  in = static_cast<double>(*type.dims[1].constant()) * rest;
  out = static_cast<double>(*type.dims[0].constant()) * rest;
  return true;
}

static bool setInit(BoundCall &call, size_t index, Value init, Variable &variable) {
  if (init.isNone())
    return true;
  if (init.kind == Value::Kind::Builtin) {
    if (init.builtin->space == Space::Init) {
      init = call.e.callBuiltin(*init.builtin, {}, call.ranges[index]);
      if (init.isError())
        return false;
    } else if (init.builtin->name == "zeros" || init.builtin->name == "ones" || init.builtin->name == "eye") {
      variable.initKind = std::string(init.builtin->name);
      return true;
    }
  }
  if (init.isNumber() && init.asDouble()) {
    variable.initKind = "constant";
    variable.initFields = {{"value", *init.asDouble()}};
    return true;
  }
  if (init.kind != Value::Kind::Record || !init.record) {
    call.e.error(call.ranges[index], "this is no initialiser: " + describe(init))
        .withHelp("the initialisers are zeros, ones, constant, uniform, normal, truncated_normal, xavier_uniform, "
                  "xavier_normal, kaiming_uniform, kaiming_normal, orthogonal, zero_row and eye");
    return false;
  }
  const Record &record = *init.record;
  if (record.kind == "zero_row") {
    const std::vector<Dim> &dims = variable.type.dims;
    std::optional<int64_t> rows = dims.empty() ? std::nullopt : dims[0].constant(),
                           row = record.fields[1].second.asInteger();
    if (!rows || !row || *row < -*rows || *row >= *rows) {
      call.e.error(call.ranges[index], "there is no row " + describe(record.fields[1].second) + " in " +
                                           typeText(variable.type.dtype, dims));
      return false;
    }
    if (!setInit(call, index, record.fields[0].second, variable))
      return false;
    variable.initFields.emplace_back("zero_row", static_cast<double>(*row < 0 ? *row + *rows : *row));
    return true;
  }
  auto field = [&](size_t i) { return record.fields[i].second.asDouble().value_or(0); };
  double in = 0, out = 0;
  const std::string &kind = record.kind;
  if (kind == "xavier_uniform" || kind == "xavier_normal" || kind == "kaiming_uniform" || kind == "kaiming_normal") {
    if (!fans(call, variable.type, in, out))
      return false;
    bool xavier = kind[0] == 'x', uniform = kind.find("uniform") != std::string::npos;
    double std = xavier ? field(0) * std::sqrt(2.0 / (in + out)) : std::sqrt(2.0 / ((1 + field(0) * field(0)) * in));
    double bound = std::sqrt(3.0) * std;
    variable.initKind = uniform ? "uniform" : "normal";
    variable.initFields = uniform ? std::vector<std::pair<std::string, double>>{{"low", -bound}, {"high", bound}}
                                  : std::vector<std::pair<std::string, double>>{{"mean", 0.0}, {"std", std}};
    return true;
  }
  variable.initKind = kind;
  for (const auto &[name, value] : record.fields)
    variable.initFields.emplace_back(name, value.asDouble().value_or(0));
  if (kind == "truncated_normal") {
    variable.initFields.emplace_back("low", field(0) - 2 * field(1));
    variable.initFields.emplace_back("high", field(0) + 2 * field(1));
  }
  return true;
}

static Value initialiser(BoundCall &call) {
  for (size_t i = 0; i < call.values.size(); ++i)
    if (!call.number(i))
      return Value::error();
  return makeRecord(call);
}

/// Another initialiser, and then zeros in one row: the padding of a table.
static Value zeroRow(BoundCall &call) { return call.integer(1) ? makeRecord(call) : Value::error(); }

//===-- Parameters and states ------------------------------------------------------------------------------------===//

/// parameter(512, 64), state((3, 4), …), parameter(normal(512, 64)), normal(512, 64) in a function: dimensions, or what
/// a tensor begins with, where a type is expected, as with PyTorch's torch.randn(512, 64). True after an error.
bool reportDimensions(Elaborator &e, const Builtin &builtin, const Arguments &arguments) {
  std::vector<Value> given = arguments.positional;
  if (!given.empty() && given[0].isList() && !given[0].names)
    given = *given[0].items;
  size_t count = 0;
  std::string dims;
  for (; count < given.size() && given[count].isNumeral() && given[count].asInteger(); ++count)
    dims += (count ? ", " : "") + std::to_string(*given[count].asInteger());
  auto range = [&] { return arguments.ranges[0].to(arguments.ranges[std::min(count, arguments.ranges.size()) - 1]); };
  std::string name(builtin.name);
  if (builtin.space == Space::Init && (name == "normal" || name == "uniform") && count >= 2 && e.entry()) {
    e.error(range(), name + " is what a parameter begins with, as in parameter(f32[" + dims + "], init=" + name + "())")
        .withHelp("random_" + name + "(" + dims + ") draws a tensor of these dimensions");
    return true;
  }
  if (name == "buffer" && count >= 2) {
    e.error(range(), "a buffer is declared by its contents; these are dimensions")
        .withHelp("write buffer(zeros(" + dims + ")), for example");
    return true;
  }
  if (name != "parameter" && name != "state")
    return false;
  const char *rest = name == "state" ? ", persistent" : ", init=zeros";
  if (!given.empty() && given[0].kind == Value::Kind::Record) {
    const std::string &kind = given[0].record->kind;
    e.error(arguments.ranges[0], name + " begins with a type, as in f32[out, inp]; this is " + describe(given[0]))
        .withHelp("what it begins with is named: " + name + "(f32[out, inp]" + (name == "state" ? ", persistent" : "") +
                  ", init=" + kind + "(…))");
    return true;
  }
  if (count == 0)
    return false;
  e.error(range(), name + " begins with a type; these are dimensions alone")
      .withHelp("write " + name + "(f32[" + dims + "]" + rest + ")");
  return true;
}

static std::shared_ptr<Variable> declare(BoundCall &call, bool symbolic) {
  if (call.e.entry()) {
    call.e.error(call.range, std::string(call.builtin.name) + "(…) stands in a module's body, not in a function");
    return nullptr;
  }
  const Value &type = call.values[0];
  auto variable = std::make_shared<Variable>();
  if (type.kind == Value::Kind::Dtype) {
    variable->type.dtype = type.dtype;
    variable->type.range = call.ranges[0];
  } else if (type.kind == Value::Kind::Type) {
    variable->type = *type.type;
  } else {
    call.e.error(call.ranges[0], std::string(call.builtin.name) + " begins with a type, as in f32[out, inp]; this is " +
                                     describe(type));
    return nullptr;
  }
  if (isClass(variable->type.dtype)) {
    call.e.error(call.ranges[0],
                 std::string(dtypeName(variable->type.dtype)) + " is a class of dtypes; choose one, such as f32");
    return nullptr;
  }
  for (const Dim &dim : variable->type.dims)
    if (!symbolic && !dim.isConstant()) {
      call.e.error(call.ranges[0],
                   "the dimension " + dim.str() + " of a " + std::string(call.builtin.name) + " has to be a number");
      return nullptr;
    }
  variable->range = call.range;
  return variable;
}

static Value variableValue(std::shared_ptr<Variable> variable) {
  Value value = Value::of(Value::Kind::Variable);
  value.variable = std::move(variable);
  return value;
}

static Value parameter(BoundCall &call) {
  std::shared_ptr<Variable> variable = declare(call, false);
  std::optional<bool> trainable = call.boolean(2);
  if (!variable || !trainable || !setInit(call, 1, call.values[1], *variable))
    return Value::error();
  if (!isFloat(elementType(variable->type.dtype, call.e.context()))) {
    call.e
        .error(call.ranges[0],
               "a parameter is of a float dtype; this is " + typeText(variable->type.dtype, variable->type.dims))
        .withHelp("what is not trained is a state: state(i32[n], persistent)");
    return Value::error();
  }
  variable->trainable = *trainable;
  if (call.given(3)) {
    std::optional<std::string> name = call.string(3);
    if (!name)
      return Value::error();
    variable->lastName = *name;
  }
  return variableValue(std::move(variable));
}

static Value state(BoundCall &call) {
  std::optional<std::string> kind = call.string(1);
  if (!kind)
    return Value::error();
  if (*kind != "persistent" && *kind != "session") {
    call.e.error(call.ranges[1], "a state is persistent or session; this is \"" + *kind + "\"");
    return Value::error();
  }
  std::shared_ptr<Variable> variable = declare(call, *kind == "session");
  std::optional<int64_t> batch = call.integer(3);
  if (!variable || !batch || !setInit(call, 2, call.values[2], *variable))
    return Value::error();
  variable->kind = *kind == "session" ? Variable::Kind::Session : Variable::Kind::Persistent;
  variable->batchAxis = *batch;
  variable->trainable = false;
  int64_t rank = static_cast<int64_t>(variable->type.dims.size());
  if (*kind == "session" && (*batch < 0 || *batch >= std::max<int64_t>(rank, 1))) {
    call.e.error(call.ranges[3], "the batch axis " + std::to_string(*batch) + " is outside of " +
                                     typeText(variable->type.dtype, variable->type.dims));
    return Value::error();
  }
  if (call.given(4)) {
    std::optional<std::string> name = call.string(4);
    if (!name)
      return Value::error();
    variable->lastName = *name;
  }
  return variableValue(std::move(variable));
}

/// The type of a parameter, state or tensor: state(like(p), persistent).
static Value like(BoundCall &call) {
  const Value &x = call.values[0];
  Value value = Value::of(Value::Kind::Type);
  if (x.kind == Value::Kind::Variable) {
    value.type = std::make_shared<TypeInfo>(x.variable->type);
    return value;
  }
  if (!x.isTensor()) {
    call.e.error(call.ranges[0], "like(x) is the type of a parameter, a state or a tensor; this is " + describe(x));
    return Value::error();
  }
  value.type = std::make_shared<TypeInfo>();
  value.type->dtype = dtypeOf(x.tensorType().getElementType());
  llvm::append_range(value.type->dims, dimsOf(x.tensor));
  value.type->origins.resize(value.type->dims.size());
  value.type->range = call.range;
  return value;
}

static Value frozen(BoundCall &call) {
  std::vector<std::shared_ptr<Variable>> variables;
  call.e.collect(call.values[0], variables);
  if (variables.empty()) {
    call.e.error(call.ranges[0], "there is nothing to freeze in " + describe(call.values[0]));
    return Value::error();
  }
  for (const std::shared_ptr<Variable> &variable : variables)
    variable->trainable = false;
  return call.values[0];
}

/// Another part like this one, with parameters and states of its own: in a module's body, as frozen.
static Value copy(BoundCall &call) {
  std::optional<bool> trainable = call.boolean(1);
  std::vector<std::shared_ptr<Variable>> variables;
  call.e.collect(call.values[0], variables);
  if (call.e.entry())
    call.e.error(call.range, "copy(…) stands in a module's body, not in a function")
        .withHelp("a recipe gives the copy new values: its blocks begin, after and end assign them");
  else if (call.values[0].kind != Value::Kind::Instance || variables.empty())
    call.e.error(call.ranges[0], "copy takes a module with parameters; this is " + describe(call.values[0]));
  else if (trainable)
    return copyPart(call.e, call.values[0], *trainable);
  return Value::error();
}

static bool setInference(const Value &value) {
  bool any = false;
  if (value.isList())
    for (const Value &item : *value.items)
      any |= setInference(item);
  if (value.kind != Value::Kind::Instance || value.instance->inference)
    return any || value.kind == Value::Kind::Instance;
  value.instance->inference = true;
  for (const Value &item : value.instance->items)
    setInference(item);
  for (const auto &[name, attribute] : value.instance->attributes)
    setInference(attribute);
  return true;
}

/// A part, or a list of parts, in inference mode: in a module's body, as frozen.
static Value inference(BoundCall &call) {
  if (call.e.entry()) {
    call.e.error(call.range, "inference(…) stands in a module's body, not in a function");
    return Value::error();
  }
  if (!setInference(call.values[0])) {
    call.e.error(call.ranges[0], "inference takes a module, or a list of them; this is " + describe(call.values[0]));
    return Value::error();
  }
  return call.values[0];
}

/// Where it stands as it may, the parser has made a function of it.
static Value buffer(BoundCall &call) {
  call.e.error(call.range, "a buffer is declared alone on a line of a module's body: NAME = buffer(value)");
  return Value::error();
}

static Value sequential(BoundCall &call) {
  std::vector<Value> items = call.rest.size() == 1 && call.rest[0].isList() ? *call.rest[0].items : call.rest;
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].kind != Value::Kind::Instance && items[i].kind != Value::Kind::Function &&
        items[i].kind != Value::Kind::Builtin) {
      Diagnostic &diagnostic = call.e.error(items.size() == call.restRanges.size() ? call.restRanges[i] : call.range,
                                            "Sequential holds modules and functions; this is " + describe(items[i]));
      if (items[i].kind == Value::Kind::Module)
        diagnostic.withHelp("write " + items[i].declaration->name + "()");
      return Value::error();
    }
  Value value = Value::of(Value::Kind::Instance);
  value.instance = std::make_shared<Instance>();
  value.instance->sequential = true;
  value.instance->underConstruction = false;
  value.instance->items = std::move(items);
  value.instance->range = call.range;
  return value;
}

/// Sum of |w| or w² over the trainable parameters of a part of the model, or over a tensor.
template <bool squares> static Value norm(BoundCall &call) {
  if (!call.e.inFunction(call.range, "a norm"))
    return Value::error();
  std::vector<Value> tensors;
  if (call.values[0].isTensor()) {
    tensors.push_back(call.values[0]);
  } else if (call.values[0].isList() && isOfParts(call.e.entry(), call.values[0])) {
    tensors = *call.values[0].items; // of a part, by its gradient or by arithmetic
  } else {
    std::vector<std::shared_ptr<Variable>> variables;
    call.e.collect(call.values[0], variables);
    for (const std::shared_ptr<Variable> &variable : variables)
      if (variable->trainable)
        tensors.push_back(call.e.read(variable, nullptr, call.range));
  }
  if (tensors.empty()) {
    call.e.error(call.ranges[0], "there are no trainable parameters in " + describe(call.values[0]));
    return Value::error();
  }
  Emit emit = call.e.emit(call.range);
  mlir::Value total;
  for (const Value &tensor : tensors) {
    if (tensor.isError())
      return tensor;
    if (!tensor.isTensor() || tensor.tensorType().getElementType().isInteger(1)) {
      call.e.error(call.ranges[0], std::string(call.builtin.name) + " does not apply to " + describe(tensor))
          .withHelp("convert it: x.to(f32)");
      return Value::error();
    }
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < tensor.rank(); ++i)
      axes.push_back(i);
    mlir::Value x = tensor.tensor;
    mlir::Value part = emit.reduceSum(squares ? emit.mul(x, x) : emit.op<AbsOp>(x), axes);
    total = total ? emit.add(total, part) : part;
  }
  return Value::tensorOf(total);
}

llvm::ArrayRef<Builtin> declarationBuiltins() {
  static const Builtin builtins[] = {
      // A trained tensor of a module, in its body. torch.nn.Parameter.
      {"parameter", "type, init=None, trainable=True, name=None", parameter},
      // A tensor that is kept and updated: `persistent` (saved) or `session` (reset with each sequence).
      // torch.nn.Module.register_buffer.
      {"state", "type, kind, init=None, batch=0, name=None", state},
      // The type of a parameter, state or tensor, as a state's is written: state(like(p), persistent).
      {"like", "x", like},
      // A part that takes part and is not trained. torch.nn.Module.requires_grad_(False).
      {"frozen", "x", frozen},
      // Another part like this one, whose parameters and states are its own and begin as this one's; not trained unless
      // it says so. copy.deepcopy.
      {"copy", "part, trainable=False", copy},
      // A part, or a list of parts, in inference mode throughout: batch norms by their running statistics, which stay,
      // and no dropout; it is trained unless it is frozen. torch.nn.Module.eval.
      {"inference", "x", inference},
      // Contents that are computed where they are used, not saved and not trained: NAME = buffer(value), in a module.
      // torch.nn.Module.register_buffer(persistent=False).
      {"buffer", "value", buffer},
      // Modules and functions one after the other. torch.nn.Sequential.
      {"Sequential", "*layers", sequential},
      // The sum of |w| over the trainable parameters of a part.
      {"l1", "x", norm<false>},
      // The sum of w² over them.
      {"l2", "x", norm<true>},
      // Initialiser: a number. torch.nn.init.constant_.
      {"constant", "value", initialiser, Space::Init},
      // Initialiser: between low and high. torch.nn.init.uniform_.
      {"uniform", "low=0.0, high=1.0", initialiser, Space::Init},
      // Initialiser: normal. torch.nn.init.normal_.
      {"normal", "mean=0.0, std=1.0", initialiser, Space::Init},
      // Initialiser: normal within two deviations. torch.nn.init.trunc_normal_.
      {"truncated_normal", "mean=0.0, std=1.0", initialiser, Space::Init},
      // Initialiser: uniform within gain √(6 / (in + out)). torch.nn.init.xavier_uniform_.
      {"xavier_uniform", "gain=1.0", initialiser, Space::Init},
      // Initialiser: normal with deviation gain √(2 / (in + out)). torch.nn.init.xavier_normal_.
      {"xavier_normal", "gain=1.0", initialiser, Space::Init},
      // Initialiser: uniform within √(6 / ((1 + a²) in)); the default is what nn.Linear and nn.Conv2d begin with.
      // torch.nn.init.kaiming_uniform_.
      {"kaiming_uniform", "a=2.23606797749979", initialiser, Space::Init},
      // Initialiser: normal with deviation √(2 / ((1 + a²) in)). torch.nn.init.kaiming_normal_.
      {"kaiming_normal", "a=0.0", initialiser, Space::Init},
      // Initialiser: rows or columns at right angles. torch.nn.init.orthogonal_.
      {"orthogonal", "gain=1.0", initialiser, Space::Init},
      // Initialiser: another one, with zeros in one row.
      {"zero_row", "init, row", zeroRow, Space::Init},
  };
  return builtins;
}

} // namespace kiln::language
