// Texts with places, read, filled and written.
#include "runtime/text/Turns.h"

namespace kiln {

std::string_view trimmed(std::string_view text) {
  constexpr const char *spaces = " \t\n\r\v\f";
  size_t begin = text.find_first_not_of(spaces);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(spaces) + 1 - begin);
}

std::string dateText(const std::string &format, std::time_t when) {
  std::tm parts = {};
  localtime_r(&when, &parts);
  char text[512];
  return std::string(text, std::strftime(text, sizeof text, format.c_str(), &parts));
}

bool isDateFormat(std::string_view format) {
  bool any = false;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] == '{' || format[at] == '}' || format[at] == '\0')
      return false;
    if (format[at] != '%')
      continue;
    ++at;
    if (at == format.size() || std::string_view("YmdBbAajyHMSIpe%").find(format[at]) == std::string_view::npos)
      return false;
    any = true;
  }
  return any && format.size() <= 64;
}

std::optional<TurnText> TurnText::parse(std::string_view text, std::string &why) {
  using Kind = Part::Kind;
  TurnText result;
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c != '{' && c != '}') {
      plain += c;
      continue;
    }
    if (text.substr(at + 1, 1) == text.substr(at, 1)) {
      plain += c;
      ++at;
      continue;
    }
    size_t end = c == '{' ? text.find('}', at) : std::string_view::npos;
    std::string_view place = end == std::string_view::npos ? "" : text.substr(at + 1, end - at - 1);
    bool isTrimmed = place.ends_with("|trim");
    std::string_view name = isTrimmed ? place.substr(0, place.size() - 5) : place;
    bool isDate = place.starts_with("date:") && isDateFormat(place.substr(5));
    if (name != "user" && name != "system" && !isDate) {
      why = "the places of a turn's text are {user}, {system}, {user|trim}, {system|trim} and a date as "
            "{date:%d %b %Y}; this has '" +
            std::string(text.substr(at, end == std::string_view::npos ? 1 : end + 1 - at)) +
            "' (a brace itself is written twice)";
      return std::nullopt;
    }
    if (!plain.empty())
      result.parts_.push_back({Kind::Text, false, std::move(plain)});
    plain.clear();
    if (isDate)
      result.parts_.push_back({Kind::Date, false, std::string(place.substr(5))});
    else
      result.parts_.push_back({name == "user" ? Kind::User : Kind::System, isTrimmed, ""});
    at = end;
  }
  if (!plain.empty())
    result.parts_.push_back({Kind::Text, false, std::move(plain)});
  return result;
}

TurnText TurnText::of(std::vector<Part> parts) {
  TurnText result;
  result.parts_ = std::move(parts);
  return result;
}

size_t TurnText::count(Part::Kind kind) const {
  size_t count = 0;
  for (const Part &part : parts_)
    count += part.kind == kind;
  return count;
}

std::string TurnText::fill(std::string_view user, std::string_view system, std::vector<TextRange> &said,
                           const std::function<std::string(const std::string &)> &date) const {
  std::string text;
  for (const Part &part : parts_) {
    if (part.kind == Part::Kind::Text) {
      text += part.text;
      continue;
    }
    if (part.kind == Part::Kind::Date) {
      text += date ? date(part.text) : dateText(part.text, std::time(nullptr));
      continue;
    }
    std::string_view words = part.kind == Part::Kind::User ? user : system;
    words = part.trimmed ? trimmed(words) : words;
    auto begin = static_cast<uint32_t>(text.size());
    text += words;
    said.push_back({begin, static_cast<uint32_t>(text.size())});
  }
  return text;
}

std::string TurnText::str() const {
  std::string text;
  for (const Part &part : parts_) {
    if (part.kind == Part::Kind::Date) {
      text += "{date:" + part.text + "}";
      continue;
    }
    for (char c : part.text)
      text += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
    if (part.kind != Part::Kind::Text)
      text += std::string(part.kind == Part::Kind::User ? "{user" : "{system") + (part.trimmed ? "|trim}" : "}");
  }
  return text;
}

std::optional<Thoughts> Thoughts::parse(std::string_view text, std::string &why) {
  constexpr std::string_view dots = "…";
  size_t at = text.find(dots);
  std::string_view behind = at == std::string_view::npos ? "" : text.substr(at + dots.size());
  size_t end = behind.find_last_not_of(" \t\n") + 1; // 0 where there is nothing else
  if (at == std::string_view::npos || end == 0 || behind.find(dots) != std::string_view::npos) {
    why = "'thoughts' of a chat are two marks with … between them, \"<think>…</think>\", or … and the mark that an "
          "answer "
          "has to begin with: \"…<|channel|>final<|message|>\"";
    return std::nullopt;
  }
  return Thoughts{std::string(text.substr(0, at)), std::string(behind.substr(0, end)), std::string(behind.substr(end))};
}

std::string_view Thoughts::leftOf(std::string_view answer) const {
  size_t at = answer.rfind(end);
  if (at == std::string_view::npos)
    return answer;
  answer.remove_prefix(at + end.size());
  size_t first = answer.find_first_not_of(spaces);
  return first == std::string_view::npos ? "" : answer.substr(first);
}

size_t Thoughts::lengthBefore(std::string_view text) const {
  size_t at = text.rfind(begin);
  bool isEnd =
      at != std::string_view::npos && text.find_first_not_of(" \t\n", at + begin.size()) == std::string_view::npos;
  return isEnd ? at : text.size();
}

std::optional<ChatTexts> ChatTexts::of(const std::string &first, const std::string &next, const std::string *system,
                                       const std::string *thoughts, std::string &why) {
  auto read = [&](const char *name, const std::string &text, size_t systems) -> std::optional<TurnText> {
    std::optional<TurnText> turn = TurnText::parse(text, why);
    if (turn &&
        (turn->count(TurnText::Part::Kind::User) != 1 || turn->count(TurnText::Part::Kind::System) != systems)) {
      why = std::string("it has {user} once and {system} ") + (systems ? "once" : "not at all");
      turn.reset();
    }
    if (!turn)
      why = std::string("'") + name + "' of a chat: " + why;
    return turn;
  };
  std::optional<TurnText> begin = read("first", first, 0), further = begin ? read("next", next, 0) : std::nullopt, with;
  if (further && system)
    with = read("system", *system, 1);
  if (!further || (system && !with))
    return std::nullopt;
  std::optional<Thoughts> forgotten = thoughts ? Thoughts::parse(*thoughts, why) : std::nullopt;
  if (thoughts && !forgotten)
    return std::nullopt;
  return ChatTexts{std::move(*begin), std::move(*further), std::move(with), std::move(forgotten)};
}

} // namespace kiln
