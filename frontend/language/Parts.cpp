// Parts of a model as values: their weights read, computed with and assigned, all at once.
#include "frontend/language/Parts.h"

#include "llvm/ADT/StringExtras.h"

namespace kiln::language {

bool assignsParts(const Entry *entry) { return entry && entry->name.starts_with("stage."); }

bool isPart(const Value &value) {
  return value.kind == Value::Kind::Instance || (value.isList() && value.names && !value.items->empty());
}

namespace {

/// What stands at a path: a variable, or the tensor that with_parameters has put in its place.
struct Place {
  std::string path;
  std::shared_ptr<Variable> variable;
  Value tensor; // an error value where it is the variable's own
};
using Variables = std::vector<Place>;

/// Parameters and persistent states by their paths within the part, as a state_dict has them; what is tied comes once.
void pathsIn(const Value &value, const std::string &path, const std::string &modulePath, Variables &out,
             std::vector<const Instance *> &seen) {
  auto join = [](const std::string &of, const std::string &name) { return of.empty() ? name : of + "." + name; };
  if ((value.kind == Value::Kind::Variable || value.isTensor()) && value.variable &&
      value.variable->kind != Variable::Kind::Session) {
    for (const Place &other : out)
      if (other.variable == value.variable)
        return;
    const std::string &last = value.variable->lastName;
    out.push_back(
        {last.empty() ? path : join(modulePath, last), value.variable, value.isTensor() ? value : Value::error()});
  }
  if (value.isList())
    for (size_t i = 0; i < value.items->size(); ++i)
      pathsIn((*value.items)[i], join(path, value.names ? (*value.names)[i] : std::to_string(i)), modulePath, out,
              seen);
  if (value.kind != Value::Kind::Instance || std::find(seen.begin(), seen.end(), value.instance.get()) != seen.end())
    return;
  seen.push_back(value.instance.get());
  for (size_t i = 0; i < value.instance->items.size(); ++i)
    pathsIn(value.instance->items[i], join(path, std::to_string(i)), path, out, seen);
  for (const auto *list : {&value.instance->attributes, &value.instance->arguments})
    for (const auto &[name, attribute] : *list)
      pathsIn(attribute, join(path, name), path, out, seen);
}

/// Within functions, where states go on by themselves, of its parameters alone.
Variables variablesOf(Elaborator &e, const Value &part) {
  Variables out;
  std::vector<const Instance *> seen;
  pathsIn(part, "", "", out, seen);
  if (!assignsParts(e.entry()))
    std::erase_if(out, [](const Place &place) { return place.variable->kind != Variable::Kind::Parameter; });
  return out;
}

/// Do all parts have the same parameters? What one lacks is an error.
bool agree(Elaborator &e, const Value &a, const Value &b, Range range) {
  for (auto [one, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    for (const std::string &name : *one->names)
      if (std::find(other->names->begin(), other->names->end(), name) == other->names->end()) {
        e.error(range, "these parts do not have the same parameters: '" + name + "' is in one of them alone")
            .withHelp("a part like another one is made by copy(part)");
        return false;
      }
  return true;
}

const Value &itemOf(const Value &part, const std::string &name) {
  auto found = std::find(part.names->begin(), part.names->end(), name);
  return (*part.items)[static_cast<size_t>(found - part.names->begin())];
}

/// A result for each tensor of the parts among `values`, which `run` makes of them in their order.
Value forEach(Elaborator &e, std::vector<Value> values, const std::vector<Range> &ranges, Range range,
              const std::function<Value(const std::vector<Value> &)> &run) {
  const Value *first = nullptr;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!isPart(values[i]))
      continue;
    values[i] = partTensors(e, values[i], ranges[i]);
    if (values[i].isError() || (first && !agree(e, *first, values[i], range)))
      return Value::error();
    first = first ? first : &values[i];
  }
  Value out = Value::listOf({});
  out.names = first->names;
  for (const std::string &name : *first->names) {
    std::vector<Value> items;
    for (const Value &value : values)
      items.push_back(isPart(value) ? itemOf(value, name) : value);
    // A number in a higher precision, as the step is, does not lift the weights to it.
    mlir::Type element = itemOf(*first, name).tensorType().getElementType();
    for (size_t i = 0; i < items.size(); ++i)
      if (!isPart(values[i]) && items[i].isTensor() && items[i].rank() == 0 && isFloat(element) &&
          isFloat(items[i].tensorType().getElementType()))
        items[i] = e.convert(items[i], element, ranges[i]);
    out.items->push_back(run(items));
    if (out.items->back().isError())
      return Value::error();
  }
  return out;
}

} // namespace

Value partTensors(Elaborator &e, const Value &part, Range range, bool parametersAlone) {
  if (part.kind != Value::Kind::Instance)
    return part;
  Value tensors = Value::listOf({});
  tensors.names = std::make_shared<std::vector<std::string>>();
  for (const Place &place : variablesOf(e, part)) {
    if (parametersAlone && place.variable->kind != Variable::Kind::Parameter)
      continue;
    tensors.names->push_back(place.path);
    tensors.items->push_back(place.tensor.isTensor() ? place.tensor : e.read(place.variable, nullptr, range));
    if (tensors.items->back().isError())
      return Value::error();
  }
  if (tensors.items->empty()) {
    e.error(range, "there are no parameters in " + describe(part));
    return Value::error();
  }
  return tensors;
}

bool isOfParts(const Entry *entry, llvm::ArrayRef<Value> values) {
  return llvm::any_of(values, [&](const Value &value) {
    return isPart(value) && (assignsParts(entry) || (entry && value.isList() && value.items->front().isTensor()));
  });
}

Value partsBinary(Elaborator &e, std::string_view op, const Value &left, const Value &right, Range range,
                  Range leftRange, Range rightRange) {
  for (const Value *value : {&left, &right})
    if (!isPart(*value) && !value->isNumber() && !(value->isTensor() && value->rank() == 0)) {
      e.error(range, "'" + std::string(op) + "' does not apply to " + describe(left) + " and " + describe(right))
          .withHelp(
              "the weights of a part take part in arithmetic with those of another one like it, and with numbers");
      return Value::error();
    }
  return forEach(e, {left, right}, {leftRange, rightRange}, range, [&](const std::vector<Value> &items) {
    return e.binary(op, items[0], items[1], range, leftRange, rightRange);
  });
}

bool appliesToParts(const Entry *entry, const Builtin &builtin, const Arguments &arguments) {
  bool any = isOfParts(entry, arguments.positional);
  bool numbers = builtin.name == "where";
  for (const Builtin &one : elementwiseBuiltins())
    numbers |= &one == &builtin;
  return any && numbers;
}

Value partsCall(Elaborator &e, const Builtin &builtin, const Arguments &arguments, Range range) {
  return forEach(e, arguments.positional, arguments.ranges, range, [&](const std::vector<Value> &items) {
    Arguments each = arguments;
    each.positional = items;
    return e.callBuiltin(builtin, each, range);
  });
}

bool assignPart(Elaborator &e, const Expr &target, const Value &place, const Value &value, Range valueRange) {
  if (place.kind == Value::Kind::Variable) {
    if (!value.isError())
      e.write(place.variable, value, valueRange);
    return true;
  }
  if (place.isList() && !place.names && !place.items->empty() && isPart(place.items->front())) {
    if (!value.isList() || value.names || value.items->size() != place.items->size()) {
      if (!value.isError())
        e.error(target.range, "this is a list of " + std::to_string(place.items->size()) +
                                  " parts; a list of as many is expected, this is " + describe(value));
      return true;
    }
    for (size_t i = 0; i < place.items->size(); ++i)
      assignPart(e, target, (*place.items)[i], (*value.items)[i], valueRange);
    return true;
  }
  if (place.kind != Value::Kind::Instance)
    return false;
  if (value.isError())
    return true;
  if (!isPart(value)) {
    e.error(valueRange,
            "this is a part of the model; another one like it, or arithmetic on such, is expected, this is " +
                describe(value));
    return true;
  }
  Value from = partTensors(e, value, valueRange), to = partTensors(e, place, target.range);
  if (from.isError() || to.isError())
    return true;
  // What is made of parameters(part) has no states: they stay.
  Variables places = variablesOf(e, place);
  auto stays = [&](const Place &each) {
    return value.isList() && each.variable->kind != Variable::Kind::Parameter &&
           !llvm::is_contained(*from.names, each.path);
  };
  if (llvm::any_of(places, stays)) {
    std::erase_if(places, stays);
    to = partTensors(e, place, target.range, true);
  }
  if (!agree(e, from, to, valueRange))
    return true;
  for (const Place &each : places)
    e.write(each.variable, itemOf(from, each.path), valueRange);
  return true;
}

//===-- Copies ---------------------------------------------------------------------------------------------------===//

class Copier {
public:
  Copier(Elaborator &e, bool trainable) : e_(e), trainable_(trainable) {}
  /// Tensors take the place of these variables; all others stay as they are.
  Copier(Elaborator &e, std::map<const Variable *, Value> tensors)
      : e_(e), trainable_(true), tensors_(std::move(tensors)) {}

  Value copy(const Value &value) {
    Value out = value;
    if ((value.kind == Value::Kind::Variable || (value.isTensor() && value.variable)) && !tensors_.empty()) {
      auto tensor = tensors_.find(value.variable.get());
      return tensor == tensors_.end() ? value : tensor->second;
    }
    if (value.kind == Value::Kind::Variable) {
      std::shared_ptr<Variable> &made = variables_[value.variable.get()];
      if (!made) {
        made = std::make_shared<Variable>(*value.variable);
        made->trainable &= trainable_;
        made->original = value.variable;
      }
      out.variable = made;
    } else if (value.isList()) {
      out.items = std::make_shared<std::vector<Value>>();
      for (const Value &item : *value.items)
        out.items->push_back(copy(item));
    } else if (value.kind == Value::Kind::Function && value.instance) {
      out.instance = instance(value.instance);
    } else if (value.kind == Value::Kind::Instance) {
      out.instance = instance(value.instance);
    }
    return out;
  }

private:
  std::shared_ptr<Instance> instance(const std::shared_ptr<Instance> &from) {
    if (from->underConstruction) // the module that the copy stands in
      return from;
    std::shared_ptr<Instance> &made = instances_[from.get()];
    if (made)
      return made;
    made = std::make_shared<Instance>(*from);
    std::shared_ptr<Instance> out = made;
    e_.instances_.push_back(out);
    for (Value &item : out->items)
      item = copy(item);
    for (auto *list : {&out->attributes, &out->arguments})
      for (auto &[name, attribute] : *list)
        attribute = copy(attribute);
    return out;
  }

  Elaborator &e_;
  bool trainable_;
  std::map<const Variable *, Value> tensors_;
  std::map<const Variable *, std::shared_ptr<Variable>> variables_;
  std::map<const Instance *, std::shared_ptr<Instance>> instances_;
};

Value partWith(Elaborator &e, const Value &part, const Value &values, Range range) {
  Value own = partTensors(e, part, range), given = partTensors(e, values, range);
  if (own.isError() || given.isError())
    return Value::error();
  auto among = [](const Value &values, const std::string &name) { return llvm::is_contained(*values.names, name); };
  for (const std::string &name : *given.names)
    if (!among(own, name)) {
      e.error(range, "there is no parameter '" + name + "' in " + describe(part))
          .withHelp("it has " + llvm::join(*own.names, ", "));
      return Value::error();
    }
  std::map<const Variable *, Value> tensors;
  for (const auto &[path, variable, before] : variablesOf(e, part)) {
    if (!among(given, path)) // it stays, as in torch.func.functional_call
      continue;
    std::optional<Value> tensor = e.toTensor(itemOf(given, path), range);
    if (!tensor)
      return Value::error();
    if (tensor->tensor.getType() != itemOf(own, path).tensor.getType()) {
      e.error(range, "the parameter '" + path + "' is " + describe(itemOf(own, path)) + "; this gives it " +
                         describe(*tensor));
      return Value::error();
    }
    tensor->variable = variable; // its name stays with it
    tensors[variable.get()] = *tensor;
  }
  return Copier(e, std::move(tensors)).copy(part);
}

Value copyPart(Elaborator &e, const Value &value, bool trainable) { return Copier(e, trainable).copy(value); }

} // namespace kiln::language
