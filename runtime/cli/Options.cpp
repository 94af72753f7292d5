// Options found and converted, with an error for each way to be wrong.

#include "runtime/cli/Options.h"

#include "runtime/support/Error.h"

#include <charconv>
#include <cstring>

namespace kiln {

const OptionSpec *Options::find(const CommandSpec &spec, const std::string &name) const {
  for (const OptionSpec &option : spec.options)
    if (name == option.name)
      return &option;
  return nullptr;
}

Options::Options(const CommandSpec &spec, const std::vector<std::string> &arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string &argument = arguments[i];
    if (argument == "-h" || argument == "--help") {
      values_["help"] = {""};
      continue;
    }
    if (!argument.starts_with("--")) {
      if (argument.size() > 1 && argument[0] == '-')
        throw UsageError("unknown option '" + argument + "'; '" + spec.name + " --help' lists them");
      positional_.push_back(argument);
      continue;
    }
    size_t equals = argument.find('=');
    std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    const OptionSpec *option = find(spec, name);
    if (!option) {
      NearestName nearest("--" + name);
      for (const OptionSpec &candidate : spec.options)
        nearest.consider(std::string("--") + candidate.name);
      throw UsageError("unknown option '--" + name + "'" + nearest.hint() + "; '" + spec.name + " --help' lists them");
    }
    if (has(name) && !option->repeats)
      throw UsageError("'--" + name + "' stands twice");
    std::string value;
    if (equals != std::string::npos) {
      if (!option->value)
        throw UsageError("'--" + name + "' takes no value");
      value = argument.substr(equals + 1);
    } else if (option->value) {
      bool optional = std::string_view(option->value).ends_with(']'); // [FILE], not [NAME=]FILE
      bool follows = i + 1 < arguments.size() && !(optional && arguments[i + 1].starts_with("--"));
      if (!follows && !optional)
        throw UsageError("'--" + name + "' needs a value: --" + name + " " + option->value);
      if (follows)
        value = arguments[++i];
    }
    values_[name].push_back(value);
  }
}

std::string Options::text(const std::string &name, const std::string &fallback) const {
  auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second.front();
}

std::vector<std::string> Options::list(const std::string &name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

int64_t Options::integer(const std::string &name, int64_t fallback, int64_t least, int64_t most) const {
  if (!has(name))
    return fallback;
  std::string text = this->text(name);
  int64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw UsageError(least == INT64_MIN && most == INT64_MAX
                         ? format("'--%s %s': expected a whole number", name.c_str(), text.c_str())
                         : format("'--%s %s': expected a whole number from %lld to %lld", name.c_str(), text.c_str(),
                                  static_cast<long long>(least), static_cast<long long>(most)));
  return value;
}

double Options::number(const std::string &name, double fallback) const {
  if (!has(name))
    return fallback;
  std::string text = this->text(name);
  double value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    throw UsageError("'--" + name + " " + text + "': expected a number");
  return value;
}

std::string usage(const std::string &program, const CommandSpec &spec) {
  std::string text = "Usage: " + program + " " + spec.name;
  if (spec.arguments[0])
    text += std::string(" ") + spec.arguments;
  text += std::string(" [OPTION]...\n") + spec.summary + "\n\n";
  for (const OptionSpec &option : spec.options) {
    std::string left = std::string("  --") + option.name + (option.value ? std::string(" ") + option.value : "");
    left.resize(std::max<size_t>(left.size() + 2, 26), ' ');
    text += left + option.help + "\n";
  }
  text += "  --help                  this text\n";
  if (spec.notes[0])
    text += std::string("\n") + spec.notes + "\n";
  return text;
}

std::pair<std::string, std::string> splitAssignment(const std::string &option, const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw UsageError("'--" + option + " " + text + "': expected NAME=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

} // namespace kiln
