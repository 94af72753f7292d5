// Options found by their names, and values looked at.

#include "runtime/backend/Settings.h"

#include "backends/api/kiln_text.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>

namespace kiln {

namespace {

constexpr uint32_t bothSides = KILN_OPTION_COMPILE | KILN_OPTION_RUN;

/// A plugin's option as this side knows it: what it is too short for is zero.
struct Option {
  std::string name, value, help;
  uint32_t sides = 0;
  int32_t type = KILN_OPTION_TEXT;
  int64_t least = 0, most = 0;
  std::vector<std::string> choices;
};

template <typename T> T part(const kiln_option &option, T kiln_option::*field, size_t end) {
  return option.size >= end ? option.*field : T{};
}
#define KILN_OPTION_PART(option, field)                                                                                \
  part(option, &kiln_option::field, offsetof(kiln_option, field) + sizeof(option.field))

Option optionOf(const kiln_option &from) {
  Option option;
  option.name = toString(KILN_OPTION_PART(from, name));
  option.value = readable(KILN_OPTION_PART(from, value));
  option.help = readable(KILN_OPTION_PART(from, help));
  option.sides = KILN_OPTION_PART(from, sides);
  option.type = KILN_OPTION_PART(from, type);
  option.least = KILN_OPTION_PART(from, least);
  option.most = KILN_OPTION_PART(from, most);
  const kiln_string *choices = KILN_OPTION_PART(from, choices);
  for (size_t i = 0; choices && i < KILN_OPTION_PART(from, choice_count); ++i)
    option.choices.push_back(readable(choices[i]));
  return option;
}

std::vector<Option> optionsOf(const BackendTables &tables) {
  std::vector<Option> options;
  for (size_t i = 0; i < tables.backend.option_count; ++i)
    options.push_back(optionOf(*tables.backend.options[i]));
  return options;
}

std::optional<int64_t> wholeNumber(const std::string &text) {
  int64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::string listOf(const std::vector<std::string> &words) {
  std::string list;
  for (const std::string &word : words)
    list += (list.empty() ? "" : ", ") + word;
  return list;
}

/// "a whole number from 1 to 64"
std::string kindOf(const Option &option) {
  switch (option.type) {
  case KILN_OPTION_INTEGER:
    return "a whole number from " + std::to_string(option.least) + " to " + std::to_string(option.most);
  case KILN_OPTION_FLAG:
    return "true or false";
  case KILN_OPTION_CHOICE:
    return "one of " + listOf(option.choices);
  default:
    return "a text";
  }
}

/// The value as the backend gets it; empty where it does not fit.
std::optional<std::string> valueFor(const Option &option, const std::string &text) {
  if (option.type == KILN_OPTION_INTEGER) {
    std::optional<int64_t> value = wholeNumber(text);
    if (!value || *value < option.least || *value > option.most)
      return std::nullopt;
    return std::to_string(*value);
  }
  if (option.type == KILN_OPTION_FLAG && text != "true" && text != "false")
    return std::nullopt;
  if (option.type == KILN_OPTION_CHOICE &&
      std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end())
    return std::nullopt;
  return text;
}

bool isName(const std::string &name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto other = [](char c) { return (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  constexpr size_t longest = 64;
  return !name.empty() && name.size() <= longest && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || other(c); });
}

/// "[BACKEND.]NAME=VALUE" in its parts.
struct Words {
  std::string backend, name, value;
};

std::optional<Words> wordsOf(const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos)
    return std::nullopt;
  Words words{"", text.substr(0, equals), text.substr(equals + 1)};
  if (size_t dot = words.name.find('.'); dot != std::string::npos) {
    words.backend = words.name.substr(0, dot);
    words.name = words.name.substr(dot + 1);
    if (words.backend.empty())
      return std::nullopt;
  }
  return words.name.empty() ? std::nullopt : std::optional(words);
}

/// Reads one text among the backends that are at work.
class Reader {
public:
  Reader(const std::string &text, const std::vector<const BackendTables *> &backends)
      : backends_(backends), begin_("--backend-option " + text + ": ") {}

  /// The backend's number; -1 with the error.
  int64_t read(const std::string &text, Setting &setting, std::string &error) {
    std::optional<Words> words = wordsOf(text);
    if (!words) {
      error = begin_ + "expected NAME=VALUE or BACKEND.NAME=VALUE";
      return -1;
    }
    for (size_t b = 0; b < backends_.size(); ++b)
      if (words->backend.empty() || words->backend == backends_[b]->name())
        for (Option &option : optionsOf(*backends_[b]))
          if (option.name == words->name)
            found_.emplace_back(b, std::move(option));
    if (found_.size() != 1) {
      error = begin_ + (found_.empty() ? unknown(*words) : several());
      return -1;
    }
    const Option &option = found_.front().second;
    std::optional<std::string> value = valueFor(option, words->value);
    if (!value) {
      NearestName nearest(words->value);
      for (const std::string &choice : option.choices)
        nearest.consider(choice);
      error = begin_ + fullName(found_.front().first, option) + " is " + kindOf(option) + nearest.hint();
      return -1;
    }
    setting = {option.name, *value, option.sides};
    return static_cast<int64_t>(found_.front().first);
  }

private:
  std::string fullName(size_t backend, const Option &option) const {
    return backends_[backend]->name() + "." + option.name;
  }

  std::string several() const {
    std::vector<std::string> names;
    for (const auto &[backend, option] : found_)
      names.push_back(fullName(backend, option));
    return "there are several of that name: " + listOf(names);
  }

  std::string unknown(const Words &words) const {
    std::vector<std::string> names, there;
    NearestName nearest(words.name), nearestBackend(words.backend);
    bool known = words.backend.empty();
    for (size_t b = 0; b < backends_.size(); ++b) {
      names.push_back(backends_[b]->name());
      nearestBackend.consider(names.back());
      if (!words.backend.empty() && words.backend != names.back())
        continue;
      known = true;
      for (const Option &option : optionsOf(*backends_[b])) {
        there.push_back(fullName(b, option));
        nearest.consider(option.name);
      }
    }
    if (!known)
      return "no backend '" + words.backend + "' is at work here" + nearestBackend.hint() +
             "; there is: " + listOf(names);
    std::string who = words.backend.empty() ? listOf(names) : words.backend;
    bool one = !words.backend.empty() || names.size() == 1;
    return (one ? "the backend " + who + " has" : "the backends " + who + " have") + " no option '" + words.name + "'" +
           nearest.hint() + "; there is: " + (there.empty() ? "none" : listOf(there));
  }

  const std::vector<const BackendTables *> &backends_;
  std::string begin_;
  std::vector<std::pair<size_t, Option>> found_;
};

/// What is wrong with one option, as the end of a sentence.
std::string wrongOption(const kiln_option *from) {
  constexpr uint32_t longest = 65536;
  constexpr size_t mostChoices = 1000;
  if (!from)
    return "is at no address";
  if (from->size < offsetof(kiln_option, type) + sizeof from->type || from->size > longest)
    return "states a size of " + std::to_string(from->size) + " bytes";
  for (const kiln_string *string : {&from->name, &from->value, &from->help})
    if (std::string wrong = noString(*string); !wrong.empty())
      return "has a text " + wrong;
  if (from->choice_count > mostChoices || (from->choice_count && !from->choices))
    return "states " + std::to_string(from->choice_count) + " choices" + (from->choices ? "" : " at no address");
  for (size_t i = 0; i < from->choice_count; ++i)
    if (std::string wrong = noString(from->choices[i]); !wrong.empty())
      return "has a choice " + wrong;
  Option option = optionOf(*from);
  if (!isName(option.name))
    return "has the name '" + readable(std::string_view(option.name)) +
           "', which is not up to 64 letters, digits, '-' and '_', a letter first";
  std::string who = "('" + option.name + "') ";
  if (!option.sides || option.sides & ~bothSides)
    return who + "is of the sides " + std::to_string(option.sides);
  if (option.type < KILN_OPTION_TEXT || option.type > KILN_OPTION_CHOICE)
    return who + "has the unknown type " + std::to_string(option.type);
  if (option.type == KILN_OPTION_INTEGER && option.least > option.most)
    return who + "is " + kindOf(option) + ", which none is";
  if (option.type == KILN_OPTION_CHOICE && option.choices.empty())
    return who + "has no choices";
  if (!option.value.empty() && !valueFor(option, option.value))
    return who + "has the default '" + option.value + "', and is " + kindOf(option);
  return "";
}

} // namespace

SettingList::SettingList(const std::vector<Setting> &settings, uint32_t side) {
  for (const Setting &setting : settings)
    if (setting.sides & side)
      texts_.emplace_back(setting.name, setting.value);
  for (const auto &[name, value] : texts_)
    rows_.push_back({text(name), text(value)});
}

std::string wrongOptions(const BackendTables &tables) {
  const kiln_backend &backend = tables.backend;
  constexpr size_t most = 1000;
  if (backend.option_count > most || (backend.option_count && !backend.options))
    return "it states " + std::to_string(backend.option_count) + " options" +
           (backend.options ? "" : " at no address") + ": tell its author";
  std::vector<std::string> names;
  for (size_t i = 0; i < backend.option_count; ++i) {
    if (std::string wrong = wrongOption(backend.options[i]); !wrong.empty())
      return "its option " + std::to_string(i) + " " + wrong + ": tell its author";
    names.push_back(toString(backend.options[i]->name));
    if (std::find(names.begin(), names.end() - 1, names.back()) != names.end() - 1)
      return "it has two options '" + names.back() + "': tell its author";
  }
  return "";
}

std::vector<std::string> describeOptions(const BackendTables &tables, uint32_t sides) {
  std::vector<std::string> lines;
  for (const Option &option : optionsOf(tables)) {
    if (!(option.sides & sides))
      continue;
    std::string line = option.name + (option.value.empty() ? "" : "=" + option.value) + ", " + kindOf(option);
    line += option.sides == KILN_OPTION_RUN       ? ", when a program starts"
            : option.sides == KILN_OPTION_COMPILE ? ", when it is built"
                                                  : ", when it is built or starts";
    lines.push_back(line + (option.help.empty() ? "" : ": " + option.help));
  }
  return lines;
}

bool readSettings(const std::vector<std::string> &texts, const std::vector<const BackendTables *> &backends,
                  std::vector<std::vector<Setting>> &settings, std::string &error) {
  settings.assign(backends.size(), {});
  for (const std::string &text : texts) {
    Setting setting;
    int64_t number = Reader(text, backends).read(text, setting, error);
    if (number < 0)
      return false;
    std::vector<Setting> &its = settings[static_cast<size_t>(number)];
    for (const Setting &other : its)
      if (other.name == setting.name) {
        error = "--backend-option " + text + ": " + backends[static_cast<size_t>(number)]->name() + "." + other.name +
                " was set to '" + other.value + "' before; give it once";
        return false;
      }
    its.push_back(std::move(setting));
  }
  for (std::vector<Setting> &its : settings) // whatever the order, it is the same program
    std::sort(its.begin(), its.end(), [](const Setting &a, const Setting &b) { return a.name < b.name; });
  return true;
}

bool hasOption(const BackendTables &backend, const std::string &text) {
  std::optional<Words> words = wordsOf(text);
  if (!words || (!words->backend.empty() && words->backend != backend.name()))
    return false;
  std::vector<Option> options = optionsOf(backend);
  return std::any_of(options.begin(), options.end(), [&](const Option &one) { return one.name == words->name; });
}

std::string settingText(const std::string &backend, const Setting &setting) {
  return backend + "." + setting.name + "=" + setting.value;
}

std::string settledBefore(const std::string &backend, const std::vector<Setting> &asked,
                          const std::vector<std::pair<std::string, std::string>> &built) {
  for (const Setting &setting : asked) {
    if (setting.sides & KILN_OPTION_RUN)
      continue;
    auto before = std::find_if(built.begin(), built.end(), [&](const auto &one) { return one.first == setting.name; });
    if (before != built.end() && before->second == setting.value)
      continue;
    std::string text = settingText(backend, setting);
    return "--backend-option " + text + ": this is settled when a program is built, and this one was built with " +
           (before == built.end() ? "what holds where nobody sets it" : before->first + "=" + before->second) +
           ": build it again, with --backend-option " + text;
  }
  return "";
}

std::vector<Setting> settingsAtStart(const BackendTables &tables, const std::vector<Setting> &asked,
                                     const std::vector<std::pair<std::string, std::string>> &built) {
  std::vector<Setting> settings = asked;
  for (const Option &option : optionsOf(tables))
    for (const auto &[name, value] : built)
      if (name == option.name && option.sides == bothSides &&
          std::none_of(asked.begin(), asked.end(), [&](const Setting &one) { return one.name == option.name; }))
        settings.push_back({name, value, option.sides});
  return settings;
}

} // namespace kiln
