// How a call's arguments find their parameters.
#include "frontend/language/Bind.h"

#include "frontend/language/Elaborate.h"
#include "frontend/language/Hints.h"

#include <charconv>

namespace kiln::language {

/// The parts between commas that stand in no brackets.
static std::vector<std::string_view> splitParts(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (text[i] != ',' || depth > 0 || text.substr(i, 2) != ", ")
      continue;
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 2;
  }
  if (begin < text.size())
    parts.push_back(text.substr(begin));
  return parts;
}

static Value parseDefault(std::string_view text) {
  if (text == "None")
    return Value::none();
  if (text == "True" || text == "False")
    return Value::booleanOf(text == "True");
  if (text.front() == '"')
    return Value::stringOf(std::string(text.substr(1, text.size() - 2)));
  if (text.front() == '(') {
    std::vector<Value> items;
    for (std::string_view part : splitParts(text.substr(1, text.size() - 2)))
      items.push_back(parseDefault(part));
    return Value::listOf(std::move(items));
  }
  if (std::optional<Dtype> dtype = dtypeByName(text)) {
    Value value = Value::of(Value::Kind::Dtype);
    value.dtype = *dtype;
    return value;
  }
  if (text.find_first_of(".e") == std::string_view::npos) {
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return Value::integerOf(number);
  }
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return Value::floatOf(number);
}

Signature Signature::parse(std::string_view text) {
  Signature signature;
  signature.text = std::string(text);
  for (std::string_view part : splitParts(text)) {
    if (part.substr(0, 2) == "**") {
      signature.named = true;
    } else if (part.front() == '*') {
      signature.rest = true;
      signature.afterRest = signature.slots.size();
    } else if (size_t equals = part.find('='); equals != std::string_view::npos) {
      signature.slots.push_back({std::string(part.substr(0, equals)), true, parseDefault(part.substr(equals + 1))});
    } else {
      signature.slots.push_back({std::string(part)});
    }
  }
  if (!signature.rest)
    signature.afterRest = signature.slots.size();
  return signature;
}

namespace {
class Binder {
public:
  Binder(Elaborator &e, const Signature &signature, const Arguments &arguments, Range call)
      : e_(e), signature_(signature), arguments_(arguments), call_(call) {}

  std::optional<BoundArguments> run() {
    bound_.values.resize(signature_.slots.size());
    bound_.ranges.assign(signature_.slots.size(), call_);
    bound_.given.assign(signature_.slots.size(), false);
    takePositional();
    for (size_t n = 0; n < arguments_.named.size(); ++n)
      takeNamed(n);
    for (size_t i = 0; i < signature_.slots.size() && ok_; ++i)
      if (!bound_.given[i] && !signature_.slots[i].optional)
        explain(e_.error(call_, signature_.what + " wants an argument '" + signature_.slots[i].name + "'"),
                signature_.slots[i].range);
    return ok_ ? std::optional(std::move(bound_)) : std::nullopt;
  }

private:
  /// Says where the parameters are to be seen, behind what may have been meant.
  void explain(Diagnostic &diagnostic, Range declared, std::string help = "") {
    ok_ = false;
    if (declared)
      diagnostic.note(declared, "it is declared here");
    else
      help += (help.empty()         ? ""
               : help.back() == '?' ? " "
                                    : "; ") +
              ("it is " + signature_.what + "(" + signature_.text + ")");
    diagnostic.withHelp(help);
  }

  void take(size_t slot, const Value &value, Range range) {
    bound_.values[slot] = value;
    bound_.ranges[slot] = range;
    bound_.given[slot] = true;
  }

  void takePositional() {
    size_t most = signature_.afterRest;
    bool optional = false;
    for (size_t i = 0; i < arguments_.positional.size(); ++i) {
      if (i < most) {
        take(i, arguments_.positional[i], arguments_.ranges[i]);
        optional |= signature_.slots[i].optional;
      } else if (signature_.rest) {
        bound_.rest.push_back(arguments_.positional[i]);
        bound_.restRanges.push_back(arguments_.ranges[i]);
      } else {
        explain(e_.error(arguments_.ranges[i], signature_.what + " takes " + (optional ? "at most " : "") +
                                                   std::to_string(most) + " argument" + (most == 1 ? "" : "s") +
                                                   ", found " + std::to_string(arguments_.positional.size())),
                signature_.declared);
        return;
      }
    }
  }

  void takeNamed(size_t n) {
    const auto &[key, value] = arguments_.named[n];
    size_t i = 0;
    while (i < signature_.slots.size() && signature_.slots[i].name != key)
      ++i;
    if (i == signature_.slots.size() && signature_.named) {
      bound_.named.emplace_back(key, value);
    } else if (i == signature_.slots.size()) {
      std::vector<std::string> names;
      for (const Slot &slot : signature_.slots)
        names.push_back(slot.name);
      std::string hint = keywordHint(key, names), near = hint.empty() ? nearest(key, names) : "";
      explain(e_.error(arguments_.nameRanges[n], signature_.what + " has no argument '" + key + "'"),
              signature_.declared, near.empty() ? hint : "did you mean '" + near + "'?");
    } else if (bound_.given[i]) {
      explain(e_.error(arguments_.nameRanges[n], signature_.what + "'s argument '" + key + "' is given twice"),
              signature_.declared);
    } else {
      take(i, value, arguments_.namedRanges[n]);
    }
  }

  Elaborator &e_;
  const Signature &signature_;
  const Arguments &arguments_;
  Range call_;
  BoundArguments bound_;
  bool ok_ = true;
};
} // namespace

std::optional<BoundArguments> bindArguments(Elaborator &e, const Signature &signature, const Arguments &arguments,
                                            Range call) {
  return Binder(e, signature, arguments, call).run();
}

} // namespace kiln::language
