// A conversation as a model reads it: the texts between its answers.
#pragma once

#include "runtime/text/Tokenizer.h"

#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A date as strftime writes it in the C locale, of the parts that isDateFormat() knows.
std::string dateText(const std::string &format, std::time_t when);
/// Whether a format has text, and of strftime's parts only those that say the same everywhere.
bool isDateFormat(std::string_view format);

/// What a model reads up to its next answer, with places for what is said: "{user}" and "{system}", or "{user|trim}",
/// without the white space around it, and for the day: "{date:%d %b %Y}". "{{" and "}}" are braces.
class TurnText {
public:
  struct Part {
    enum class Kind : uint8_t { Text, User, System, Date } kind;
    bool trimmed;
    std::string text; ///< of a Text; of a Date its format
  };

  /// Null for what is no such text; `why` then says what is wrong with it.
  static std::optional<TurnText> parse(std::string_view text, std::string &why);
  static TurnText of(std::vector<Part> parts);

  const std::vector<Part> &parts() const { return parts_; }
  /// How many places there are of a kind.
  size_t count(Part::Kind kind) const;
  /// The text. `said`: which bytes of it are the user's or the system text's. `date` writes a date of a format: without
  /// it, now, by the clock of this machine.
  std::string fill(std::string_view user, std::string_view system, std::vector<TextRange> &said,
                   const std::function<std::string(const std::string &)> &date = nullptr) const;
  /// As parse() reads it.
  std::string str() const;

private:
  std::vector<Part> parts_;
};

/// What stands before the first answer, before each further one (from the end of the one before), and before the first
/// where there is a system text.
struct ChatTexts {
  TurnText first, next;
  std::optional<TurnText> system;

  /// Null where one is no such text, or has places that it must not have; `why` then says what is wrong. `system`: null
  /// for none.
  static std::optional<ChatTexts> of(const std::string &first, const std::string &next, const std::string *system,
                                     std::string &why);
};

/// Without white space around it.
std::string_view trimmed(std::string_view text);

} // namespace kiln
