// What a model's config.json says, as the constants of a Kiln text.
#pragma once

#include "runtime/support/Json.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kiln::huggingface {

class Settings {
public:
  /// `what`: the file, for messages. Throws Error where it is no object.
  Settings(Json config, std::string what);

  const Json &config() const { return config_; }
  const std::string &what() const { return what_; }
  /// A setting that other files of the folder say, as Kiln writes it; it goes before config.json's.
  void set(const std::string &key, std::string text) { given_[key] = std::move(text); }
  /// The file's own keys of what config.json would have by other names (a GGUF file's metadata), for messages.
  void setKeys(std::map<std::string, std::string> keys) { keys_ = std::move(keys); }
  /// What a message about these settings says that was written for config.json's: with the file's own keys.
  std::string said(const std::string &message) const;
  /// What the weights allow: no count of layers is above it.
  void limitLayers(size_t most) { mostLayers_ = static_cast<int64_t>(most); }

  /// The value of `key` ("a.b": within an object) as Kiln writes it, `fallback` where it has none. `like`: a template's
  /// value, whose kind it has to be of. Throws Error: of another kind, out of range, an activation that is not known, a
  /// name that could not be written.
  std::string text(const std::string &key, const std::string &fallback, bool isSize, const std::string &like) const;
  /// Whether config.json has the key, and its value is null.
  bool isNull(const std::string &key) const;

private:
  /// "a.b" is b within a; null is not there.
  const Json *find(const std::string &key) const;
  int64_t size(const std::string &key) const;
  /// The key as the file has it.
  const std::string &called(const std::string &key) const;
  void readRotary();
  std::string longer(const Json &parameters, int64_t most) const;
  std::string activation(const Json &value) const;

  Json config_;
  std::string what_;
  std::map<std::string, std::string, std::less<>> given_;
  std::map<std::string, std::string> keys_; ///< empty: they are config.json's
  int64_t mostLayers_ = INT32_MAX;
};

constexpr size_t maxSettingsFile = size_t{1} << 24;
/// The JSON of one of a folder's files. Throws Error, for one that is larger than such files are too.
Json readSettingsFile(const std::string &path, Json::Kind kind = Json::Kind::Object);

/// Any text as a string of a model's text; nothing where it has a control character, for which there is no escape.
std::optional<std::string> stringText(const std::string &text);

/// Any value as Kiln writes it: None, True, 3, 0.5, "text", [1, 2], dict(a=1). Throws Error for what has no such form.
std::string kilnText(const Json &value, const std::string &what);
/// A number with a point.
std::string kilnNumber(double value);

} // namespace kiln::huggingface
