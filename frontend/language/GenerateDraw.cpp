// What is drawn by: the settings of greedy, sample and beam, against what a program takes, and whose words they are.
#include "frontend/language/Recipe.h"

#include <algorithm>
#include <limits>

namespace kiln::language {

static bool isToken(const Value &value) {
  std::optional<int64_t> token = value.isNumeral() ? value.asInteger() : std::nullopt;
  return token && *token >= 0 && *token <= INT32_MAX;
}

static bool areTokens(const std::vector<Value> &values) { return std::all_of(values.begin(), values.end(), isToken); }

void checkDraw(Elaborator &e, const Record &record, size_t i) {
  const auto &[name, value] = record.fields[i];
  auto expect = [&](bool ok, const char *what) {
    if (!ok)
      e.error(record.ranges[i], record.kind + "'s '" + name + "' is " + describe(value) + "; " + what + " is expected");
  };
  std::optional<int64_t> whole = value.isNumeral() ? value.asInteger() : std::nullopt;
  std::optional<double> number = value.isNumeral() ? value.asDouble() : std::nullopt;
  if (name == "temperature")
    expect(number && *number >= 0 && *number <= std::numeric_limits<double>::max(), "a number that is not negative");
  else if (name == "top_p")
    expect(number && *number > 0 && *number <= 1, "a number above 0, up to 1,");
  else if (name == "min_p")
    expect(number && *number >= 0 && *number <= 1, "a number from 0 to 1");
  else if (name == "repetition_penalty")
    expect(number && *number > 0 && *number <= std::numeric_limits<double>::max(), "a number above 0");
  else if (name == "until" && !value.isNone()) {
    std::vector<Value> ends = value.isList() ? *value.items : std::vector<Value>{value};
    expect(!ends.empty() && std::all_of(ends.begin(), ends.end(),
                                        [](const Value &end) {
                                          return isToken(end) || (end.kind == Value::Kind::String && !end.text.empty());
                                        }),
           "a token, a text, or a list of those that end a sequence,");
  } else if (((name == "from" || name == "last") && value.isList()) || name == "suppress_first") {
    expect((value.isList() && (name == "suppress_first" || !value.items->empty()) && areTokens(*value.items)) ||
               value.isNone(),
           "a list of tokens");
  } else if (name == "suppress") {
    expect(value.isNone() || (value.isList() && std::all_of(value.items->begin(), value.items->end(),
                                                            [](const Value &word) {
                                                              return isToken(word) ||
                                                                     (word.isList() && !word.items->empty() &&
                                                                      areTokens(*word.items));
                                                            })),
           "a list of tokens, or of lists of those that are not drawn one behind the other,");
  } else if (name == "renormalise") {
    expect(value.kind == Value::Kind::Boolean || value.isNone(), "True or False");
  } else if (name == "early_stopping") {
    bool isNever = value.kind == Value::Kind::String && value.text == "never";
    expect(isNever || value.kind == Value::Kind::Boolean || value.isNone(), "True, False, \"never\" or None");
  } else if (name == "length_penalty")
    expect(number.has_value(), "a number");
  else if (name == "width")
    expect(whole && *whole >= 1 && *whole <= 1024, "a whole number from 1 to 1024");
  else if (name == "time_step")
    expect(number && *number > 0 && *number <= 3600, "a number of seconds above 0");
  else if ((name == "longest" || name == "shortest" || name == "min_tokens" || name == "no_repeat_ngram" ||
            name == "no_copy_ngram" || name == "times" || name == "previous") &&
           !value.isNone())
    expect(whole && *whole >= 1 && *whole <= INT32_MAX, "a whole number from 1 to 2147483647");
  else if (!value.isNone() || name == "top_k") // from, last, tokens
    expect(whole && *whole >= 0 && *whole <= INT32_MAX, "a whole number from 0 to 2147483647");
}

std::string wordsOf(Elaborator &e, mlir::Attribute data, const Expr *named) {
  std::vector<std::string> sources;
  if (auto list = llvm::dyn_cast_or_null<mlir::ArrayAttr>(data))
    for (auto source : list.getAsRange<mlir::DictionaryAttr>())
      sources.push_back(source.getAs<mlir::StringAttr>("name").str());
  if (named) {
    const Expr &expr = *named;
    if (expr.kind != ExprKind::Name) {
      e.error(expr.range, "'data' names a data source of the recipe");
    } else if (std::find(sources.begin(), sources.end(), expr.text) == sources.end() && e.diagnostics().size() == 0) {
      std::string near = nearest(expr.text, sources);
      e.error(expr.range, "the recipe has no data source '" + expr.text + "'")
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
    }
    return expr.text;
  }
  return sources.empty() ? "" : sources.front();
}

} // namespace kiln::language
