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

/// What a model thinks before it answers, which the turns behind an answer leave out: "<think>…</think>" says between
/// which marks it stands. White space behind the second one, "<think>…</think>\n", is what else is left out there.
/// Without a first one, "…<|channel|>final<|message|>", an answer begins with its thoughts, and later turns keep the
/// mark.
struct Thoughts {
  std::string begin, end, spaces;

  /// Whether the mark is a part of an answer as later turns have it.
  bool keepsMark() const { return begin.empty(); }

  /// Null where there is no mark behind "…"; `why` then says so.
  static std::optional<Thoughts> parse(std::string_view text, std::string &why);
  /// As parse() reads it.
  std::string str() const { return begin + "…" + end + spaces; }

  /// An answer as later turns have it: what stands behind the last end of a thought.
  std::string_view leftOf(std::string_view answer) const;
  /// How long a text up to an answer is without the beginning of thoughts that it may end with.
  size_t lengthBefore(std::string_view text) const;
};

/// What stands before the first answer, before each further one (from the end of the one before), and before the first
/// where there is a system text.
struct ChatTexts {
  TurnText first, next;
  std::optional<TurnText> system;
  std::optional<Thoughts> thoughts; ///< those that are forgotten; else all that was drawn stays

  /// Null where one is no such text, or has places that it must not have; `why` then says what is wrong. `system`,
  /// `thoughts`: null for none.
  static std::optional<ChatTexts> of(const std::string &first, const std::string &next, const std::string *system,
                                     const std::string *thoughts, std::string &why);
};

/// Without white space around it.
std::string_view trimmed(std::string_view text);

} // namespace kiln
