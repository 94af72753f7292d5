// What has changed in a recipe since a checkpoint was written.
#include "runtime/cli/RecipeChanges.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <map>

namespace kiln {

namespace {

/// "optimizer.lr.base": "0.001", and so on for everything that is no object.
void flatten(const Json &json, const std::string &path, std::map<std::string, std::string> &leaves) {
  if (json.isNull())
    return;
  if (!json.isObject()) {
    leaves[path] = json.str();
    return;
  }
  for (const Json &member : json.object())
    flatten(member, path.empty() ? member.key() : path + "." + member.key(), leaves);
}

/// Does `path` stand at `key` or under it?
bool isUnder(const std::string &path, std::string_view key) {
  return path.starts_with(key) && (path.size() == key.size() || path[key.size()] == '.');
}

bool isFree(const std::string &path) {
  static constexpr std::string_view keys[] = {"train.steps", "train.epochs", "train.log", "train.checkpoint"};
  return std::any_of(std::begin(keys), std::end(keys), [&](std::string_view key) { return isUnder(path, key); });
}

} // namespace

std::string recipeText(const Manifest &manifest) {
  std::string data;
  for (const SourceSpec &source : manifest.data)
    data += (data.empty() ? "" : ",") + jsonQuote(source.name) + ":{\"reader\":" + jsonQuote(source.reader) +
            ",\"path\":" + jsonQuote(source.path) + ",\"options\":" + source.options.str() + "}";
  return "{\"train\":" + manifest.train.str() + ",\"data\":{" + data + "}}";
}

RecipeChanges changesSince(const std::string &was, const Manifest &manifest, const std::string &what) {
  std::map<std::string, std::string> before, now;
  flatten(Json::parse(was, what), "", before);
  flatten(Json::parse(recipeText(manifest), "the program's recipe"), "", now);
  RecipeChanges changes;
  auto note = [&](const std::string &path, const std::string &old, const std::string &fresh) {
    if (isFree(path))
      return;
    std::string name = path.starts_with("train.") ? path.substr(6) : path;
    bool kind = name == "optimizer.kind" || name == "optimizers";
    (kind ? changes.refused : changes.told).push_back(name + ": " + old + ", now " + fresh);
    changes.otherMetric |= name == "early_stopping.metric" || name == "early_stopping.best";
  };
  for (const auto &[path, value] : before)
    if (auto found = now.find(path); found == now.end() || found->second != value)
      note(path, value, found == now.end() ? "not there" : found->second);
  for (const auto &[path, value] : now)
    if (!before.contains(path))
      note(path, "not there", value);
  return changes;
}

} // namespace kiln
