// How texts, names and columns become numbers, as the metadata of weights have it.
#include "runtime/data/Coding.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>

namespace kiln {

void Normalisation::apply(std::vector<float> &values) const {
  for (size_t i = 0; i < values.size(); ++i) {
    size_t column = i % means.size();
    values[i] = static_cast<float>((values[i] - means[column]) / deviations[column]);
  }
}

Codings codingsIn(const std::map<std::string, std::string> &metadata) {
  Codings codings;
  for (const auto &entry : metadata)
    for (const char *prefix : {vocabularyPrefix, classesPrefix, normalisationPrefix})
      if (entry.first.starts_with(prefix))
        codings.insert(entry);
  return codings;
}

/// A text of the weights, or null.
static const std::string *find(const SourceContext &context, const char *prefix, const std::string &field,
                               std::string &key) {
  if (!context.given)
    return nullptr;
  key = prefix + context.spec->name + "." + field;
  auto found = context.given->find(key);
  key = "the weights' " + key;
  return found == context.given->end() ? nullptr : &found->second;
}

std::optional<Vocabulary> givenVocabulary(const SourceContext &context, const std::string &field, Vocabulary::Kind kind,
                                          size_t limit) {
  std::string key;
  const std::string *text = find(context, vocabularyPrefix, field, key);
  if (!text)
    return std::nullopt;
  Vocabulary given = Vocabulary::deserialise(*text, key);
  if (given.kind() == kind && (limit == 0 || given.size() <= limit))
    return given;
  std::fprintf(stderr, "note: data '%s': the weights' vocabulary has %zu %s, the recipe's %s: it is made anew\n",
               context.spec->name.c_str(), given.size(), nameOf(given.kind()),
               given.kind() == kind ? std::to_string(limit).c_str() : nameOf(kind));
  return std::nullopt;
}

std::optional<std::vector<std::string>> givenClasses(const SourceContext &context, const std::string &field,
                                                     const std::set<std::string> &found) {
  std::string key;
  const std::string *text = find(context, classesPrefix, field, key);
  if (!text)
    return std::nullopt;
  Json names = Json::parse(*text, key);
  std::vector<std::string> given;
  for (const Json &name : names.array())
    given.push_back(name.string());
  auto other = std::find_if(found.begin(), found.end(), [&](const std::string &name) {
    return std::find(given.begin(), given.end(), name) == given.end();
  });
  if (other == found.end() || !context.trains)
    return given;
  std::fprintf(stderr, "note: data '%s': '%s' is none of the weights' %zu classes: they are numbered anew\n",
               context.spec->name.c_str(), other->c_str(), given.size());
  return std::nullopt;
}

std::optional<Normalisation> givenNormalisation(const SourceContext &context, const std::string &field, size_t width) {
  std::string key;
  const std::string *text = find(context, normalisationPrefix, field, key);
  if (!text)
    return std::nullopt;
  Json json = Json::parse(*text, key);
  Normalisation given;
  for (const Json &mean : json.at("mean").array())
    given.means.push_back(mean.number());
  for (const Json &deviation : json.at("deviation").array())
    given.deviations.push_back(deviation.number());
  if (given.means.empty() || given.means.size() != given.deviations.size())
    fail("%s: %zu means and %zu deviations", key.c_str(), given.means.size(), given.deviations.size());
  if (std::any_of(given.deviations.begin(), given.deviations.end(), [](double d) { return !(d > 0); }))
    fail("%s: a deviation that is not above 0", key.c_str());
  if (given.means.size() == width)
    return given;
  std::fprintf(stderr, "note: data '%s': the weights have means of %zu columns, the recipe %zu: they are taken anew\n",
               context.spec->name.c_str(), given.means.size(), width);
  return std::nullopt;
}

template <typename T, typename Text> static std::string listOf(const std::vector<T> &items, Text text) {
  std::string all = "[";
  for (const T &item : items)
    all += (all.size() > 1 ? "," : "") + text(item);
  return all + "]";
}

std::string textOf(const std::vector<std::string> &classes) {
  return listOf(classes, [](const std::string &name) { return jsonQuote(name); });
}

std::string textOf(const Normalisation &normalisation) {
  auto numbers = [](const std::vector<double> &of) { return listOf(of, [](double x) { return jsonNumber(x); }); };
  return "{\"mean\":" + numbers(normalisation.means) + ",\"deviation\":" + numbers(normalisation.deviations) + "}";
}

} // namespace kiln
