// A small reader of command lines in the style `--name value` or `--name=value`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

struct OptionSpec {
  const char *name;  // "steps"
  const char *value; // "N"; null for a flag; "[FILE]" for a value that may be left out
  const char *help;
  bool repeats = false;
};

struct CommandSpec {
  const char *name;
  const char *arguments; // "[FUNCTION]" or ""
  const char *summary;
  std::vector<OptionSpec> options;
  const char *notes = "";
};

class Options {
public:
  /// Throws UsageError naming the option that is unknown, lacks a value or stands twice. --help is among the flags.
  Options(const CommandSpec &spec, const std::vector<std::string> &arguments);

  bool has(const std::string &name) const { return values_.contains(name); }
  std::string text(const std::string &name, const std::string &fallback = "") const;
  std::vector<std::string> list(const std::string &name) const;
  /// Throws UsageError for what is no whole number, or outside the range.
  int64_t integer(const std::string &name, int64_t fallback, int64_t least, int64_t most) const;
  double number(const std::string &name, double fallback) const;
  const std::vector<std::string> &positional() const { return positional_; }

private:
  const OptionSpec *find(const CommandSpec &spec, const std::string &name) const;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

/// The text of --help.
std::string usage(const std::string &program, const CommandSpec &spec);

/// "NAME=VALUE" parted; throws UsageError.
std::pair<std::string, std::string> splitAssignment(const std::string &option, const std::string &text);

} // namespace kiln
