// How texts, names and columns become numbers, as the metadata of weights have it.
#include "runtime/data/Coding.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cmath>

namespace kiln {

void Normalisation::fill(std::vector<float> &values) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (std::isnan(values[i]))
      values[i] = static_cast<float>(means[i % means.size()]);
}

void Normalisation::apply(std::vector<float> &values) const {
  for (size_t i = 0; i < values.size(); ++i) {
    size_t column = i % means.size();
    values[i] = static_cast<float>((values[i] - means[column]) / deviations[column]);
  }
}

void Normalisation::undo(std::vector<float> &values) const {
  for (size_t i = 0; i < values.size(); ++i) {
    size_t column = i % means.size();
    values[i] = static_cast<float>(values[i] * deviations[column] + means[column]);
  }
}

Normalisation Normalisation::of(const SourceSpec &spec, const std::vector<size_t> &columns,
                                const std::vector<int32_t> &rows, const std::vector<float> &values) {
  Normalisation result;
  for (size_t c = 0; c < columns.size(); ++c) {
    double sum = 0, squares = 0, count = 0;
    auto each = [&](auto take) {
      for (int32_t row : rows)
        if (float value = values[static_cast<size_t>(row) * columns.size() + c]; !std::isnan(value))
          take(static_cast<double>(value));
    };
    each([&](double value) { sum += value, count += 1; });
    double mean = sum / count;
    each([&](double value) { squares += (value - mean) * (value - mean); });
    double deviation = std::sqrt(squares / count);
    if (!std::isfinite(mean) || !std::isfinite(deviation))
      fail("data '%s': column %zu has no mean and deviation: no row that is trained on has a number in it",
           spec.name.c_str(), columns[c] + 1);
    result.means.push_back(mean);
    result.deviations.push_back(deviation > 0 ? deviation : 1.0);
  }
  return result;
}

Codings codingsIn(const std::map<std::string, std::string> &metadata) {
  Codings codings;
  for (const auto &entry : metadata)
    for (const char *prefix : {vocabularyPrefix, classesPrefix, normalisationPrefix})
      if (entry.first.starts_with(prefix))
        codings.insert(entry);
  return codings;
}

std::vector<std::string> classesIn(const std::string &text, const std::string &key) {
  std::vector<std::string> names;
  Json list = Json::parse(text, key);
  std::set<std::string_view> once;
  for (size_t i = 0; list.isArray() && i < list.array().size(); ++i)
    if (const Json &name = list.array()[i]; !name.isString())
      fail("%s: %s is no name of a class", key.c_str(), name.str().c_str());
    else if (!once.insert(name.string()).second)
      fail("%s: the class '%s' stands twice", key.c_str(), name.string().c_str());
    else
      names.push_back(name.string());
  if (names.empty())
    fail("%s: a list of the classes' names is expected", key.c_str());
  return names;
}

static std::optional<CodedNumbers> numbersOf(const Vocabulary &vocabulary) {
  if (vocabulary.kind() == Vocabulary::Kind::Subwords)
    return std::nullopt;
  return CodedNumbers{vocabulary.size(), nameOf(vocabulary.kind())};
}

std::optional<CodedNumbers> numbersOf(const Codings &codings, const std::string &input) {
  if (auto text = codings.find(vocabularyPrefix + input); text != codings.end())
    return numbersOf(Vocabulary::deserialise(text->second, text->first));
  if (auto text = codings.find(classesPrefix + input); text != codings.end() && !text->second.empty())
    return CodedNumbers{classesIn(text->second, text->first).size(), "classes"};
  return std::nullopt;
}

std::optional<CodedNumbers> numbersOf(const Source &source, const std::string &field) {
  std::map<std::string, const Vocabulary *> all = source.vocabularies();
  if (auto found = all.find(field); found != all.end())
    return numbersOf(*found->second);
  return numbersOf(source.codings(), source.spec().name + "." + field);
}

void note(const SourceContext &context, const std::string &text) {
  if (!context.quiet)
    std::fprintf(stderr, "note: %s\n", text.c_str());
}

/// A text of the weights, or null.
static const std::string *find(const SourceContext &context, const char *prefix, const std::string &field,
                               std::string &key) {
  if (!context.given)
    return nullptr;
  std::string plain = prefix + context.spec->name + "." + field;
  key = ownCoding(plain, context.recipe);
  auto found = context.given->find(key);
  if (found == context.given->end())
    found = context.given->find(key = plain);
  key = "the weights' " + key;
  return found == context.given->end() ? nullptr : &found->second;
}

std::optional<Vocabulary> givenVocabulary(const SourceContext &context, const std::string &field, Vocabulary::Kind kind,
                                          size_t limit, bool exact) {
  std::string key;
  const std::string *text = find(context, vocabularyPrefix, field, key);
  if (!text)
    return std::nullopt;
  Vocabulary given = Vocabulary::deserialise(*text, key);
  if (given.kind() == kind && (limit == 0 || given.size() == limit || (!exact && given.size() < limit)))
    return given;
  note(context, format("data '%s': the weights' vocabulary has %zu %s, the recipe's %s: it is made anew",
                       context.spec->name.c_str(), given.size(), nameOf(given.kind()),
                       given.kind() == kind ? std::to_string(limit).c_str() : nameOf(kind)));
  return std::nullopt;
}

std::vector<std::string> givenNames(const SourceContext &context, const std::string &field) {
  std::string key;
  const std::string *text = find(context, classesPrefix, field, key);
  return text ? classesIn(*text, key) : std::vector<std::string>();
}

static bool isWhole(const std::string &name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

/// The classes that the model names. Those of another size than it has room for are another model's of the file.
static std::vector<std::string> modelClasses(const SourceContext &context, const std::string &field,
                                             const std::set<std::string> &found) {
  if (!context.labels)
    return {};
  const std::vector<std::string> &labels = *context.labels;
  if (context.rooms)
    if (auto room = context.rooms->find(context.spec->name + "." + field);
        room != context.rooms->end() && room->second != labels.size())
      return {};
  bool has = std::all_of(found.begin(), found.end(), [&](const std::string &name) {
    return std::find(labels.begin(), labels.end(), name) != labels.end();
  });
  bool numbered = std::all_of(found.begin(), found.end(), isWhole); // they are numbers as well as names
  return has || !numbered ? labels : std::vector<std::string>();
}

std::optional<ClassOrder> givenClasses(const SourceContext &context, const std::string &field,
                                       const std::set<std::string> &found, size_t limit, bool numbers) {
  ClassOrder given{givenNames(context, field), "the classes that the weights were trained with"};
  bool weights = !given.names.empty();
  if (!weights && !numbers)
    given = {modelClasses(context, field, found), "the model's classes"};
  if (given.names.empty())
    return std::nullopt;
  const std::string &data = context.spec->name;
  if (limit != 0 && given.names.size() > limit) {
    note(context, format("data '%s': the %s %zu classes, the recipe %zu: they are numbered anew", data.c_str(),
                         weights ? "weights have" : "model has", given.names.size(), limit));
    return std::nullopt;
  }
  auto other = std::find_if(found.begin(), found.end(), [&](const std::string &name) { return given.find(name) < 0; });
  if (other == found.end() || !context.trains)
    return given;
  note(context, format("data '%s': '%s' is none of the %s %zu classes: they are numbered anew", data.c_str(),
                       other->c_str(), weights ? "weights'" : "model's", given.names.size()));
  return std::nullopt;
}

std::optional<std::vector<std::string>> recipeClasses(const SourceContext &context, const std::string &field) {
  const Json *classes = context.spec->options.find("classes");
  if (!classes || !classes->isArray())
    return std::nullopt;
  std::vector<std::string> names;
  for (const Json &name : classes->array())
    names.push_back(name.isString() ? name.string() : std::to_string(name.integer()));
  if (std::vector<std::string> given = givenNames(context, field); !given.empty() && given != names)
    note(context,
         format("data '%s' has the recipe's classes; the weights were trained with others, or in another order",
                context.spec->name.c_str()));
  return names;
}

std::string ClassOrder::lacks(const std::string &name) const {
  NearestName nearest(name);
  std::string all;
  for (const std::string &one : names) {
    nearest.consider(one);
    all += (all.empty() ? ": " : ", ") + one;
  }
  return format("is none of %s%s", whose,
                !nearest.hint().empty() ? nearest.hint().c_str()
                : names.size() <= 10    ? all.c_str()
                                        : "");
}

int32_t ClassOrder::find(const std::string &name) const {
  auto place = std::find(names.begin(), names.end(), name);
  return place == names.end() ? -1 : static_cast<int32_t>(place - names.begin());
}

ClassOrder orderClasses(const SourceContext &context, const std::string &field, const std::set<std::string> &found,
                        const char *what) {
  const Json *option = context.spec->options.find("classes");
  size_t most = option && option->isInt() ? static_cast<size_t>(option->integer(1, INT32_MAX)) : 0;
  if (std::optional<std::vector<std::string>> recipes = recipeClasses(context, field))
    return {*recipes, "the recipe's classes"};
  if (std::optional<ClassOrder> given = givenClasses(context, field, found, most))
    return *given;
  if (most != 0 && found.size() > most)
    fail("data '%s' has %zu %s, the recipe %zu classes", context.spec->name.c_str(), found.size(), what, most);
  return {{found.begin(), found.end()}, "the classes of the data"};
}

/// A list of finite numbers.
static std::vector<double> numbersOf(const Json &json, const char *name, const std::string &key) {
  const Json *list = json.isObject() ? json.find(name) : nullptr;
  if (!list || !list->isArray())
    fail("%s: a list '%s' is expected", key.c_str(), name);
  std::vector<double> numbers;
  for (const Json &one : list->array())
    if (one.kind() == Json::Kind::Int || one.kind() == Json::Kind::Float)
      numbers.push_back(one.number());
    else
      fail("%s: '%s' holds %s, which is no number", key.c_str(), name, one.str().c_str());
  return numbers;
}

Normalisation normalisationIn(const std::string &text, const std::string &key) {
  Json json = Json::parse(text, key);
  Normalisation given{numbersOf(json, "mean", key), numbersOf(json, "deviation", key)};
  if (given.means.empty() || given.means.size() != given.deviations.size())
    fail("%s: %zu means and %zu deviations", key.c_str(), given.means.size(), given.deviations.size());
  if (std::any_of(given.deviations.begin(), given.deviations.end(), [](double d) { return !(d > 0); }))
    fail("%s: a deviation that is not above 0", key.c_str());
  return given;
}

std::optional<Normalisation> givenNormalisation(const SourceContext &context, const std::string &field, size_t width) {
  std::string key;
  const std::string *text = find(context, normalisationPrefix, field, key);
  if (!text)
    return std::nullopt;
  Normalisation given = normalisationIn(*text, key);
  if (given.means.size() == width)
    return given;
  note(context, format("data '%s': the weights have means of %zu columns, the recipe %zu: they are taken anew",
                       context.spec->name.c_str(), given.means.size(), width));
  return std::nullopt;
}

std::string normalise(const SourceContext &context, const std::string &field, const std::vector<size_t> &columns,
                      const std::vector<int32_t> &rows, std::vector<float> &values) {
  const Json *missing = context.spec->options.find("missing");
  bool fills = field != "target" && missing && missing->isString() && missing->string() == "mean";
  bool normalises = context.spec->normalises(field);
  if (!fills && !normalises)
    return "";
  std::optional<Normalisation> its = givenNormalisation(context, field, columns.size());
  if (!its)
    its = Normalisation::of(*context.spec, columns, rows, values);
  if (fills)
    its->fill(values);
  if (normalises)
    its->apply(values);
  return textOf(*its);
}

template <typename T, typename Text> static std::string listOf(const std::vector<T> &items, Text text) {
  std::string all = "[";
  for (const T &item : items)
    all += (all.size() > 1 ? "," : "") + text(item);
  return all + "]";
}

std::string textOf(const std::vector<std::string> &classes) {
  return classes.empty() ? "" : listOf(classes, [](const std::string &name) { return jsonQuote(name); });
}

std::string textOf(const Normalisation &normalisation) {
  auto numbers = [](const std::vector<double> &of) { return listOf(of, [](double x) { return jsonNumber(x); }); };
  return "{\"mean\":" + numbers(normalisation.means) + ",\"deviation\":" + numbers(normalisation.deviations) + "}";
}

} // namespace kiln
