// Lines and columns of a text, and errors rendered with a caret.

#include "frontend/language/Source.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace kiln::language {

SourceFile::SourceFile(std::string name, std::string text, Role role)
    : name_(std::move(name)), text_(std::move(text)), role_(role) {
  lines_.push_back(0);
  for (uint32_t i = 0; i < text_.size(); ++i)
    if (text_[i] == '\n')
      lines_.push_back(i + 1);
}

uint32_t SourceFile::line(uint32_t offset) const {
  return static_cast<uint32_t>(std::upper_bound(lines_.begin(), lines_.end(), offset) - lines_.begin());
}

// Continuation bytes of UTF-8 do not begin a character.
static bool beginsCharacter(char c) { return (c & 0xC0) != 0x80; }

static uint32_t countCharacters(std::string_view text) {
  return static_cast<uint32_t>(std::count_if(text.begin(), text.end(), beginsCharacter));
}

uint32_t SourceFile::column(uint32_t offset) const {
  uint32_t begin = lineBegin(line(offset));
  return countCharacters(std::string_view(text_).substr(begin, offset - begin)) + 1;
}

uint32_t SourceFile::offset(uint32_t line, uint32_t column) const {
  std::string_view text = lineText(line);
  uint32_t at = 0;
  for (uint32_t seen = 0; at < text.size(); ++at)
    if (beginsCharacter(text[at]) && ++seen == column)
      break;
  return lineBegin(line) + at;
}

std::string_view SourceFile::lineText(uint32_t line) const {
  uint32_t begin = lines_[line - 1];
  uint32_t end = line < lines_.size() ? lines_[line] - 1 : static_cast<uint32_t>(text_.size());
  while (end > begin && (text_[end - 1] == '\r' || text_[end - 1] == '\n'))
    --end;
  return std::string_view(text_).substr(begin, end - begin);
}

Diagnostic &Diagnostic::note(Range range, std::string text) {
  if (range && range != at)
    notes.push_back({range, std::move(text)});
  return *this;
}

Diagnostic &Diagnostic::withHelp(std::string text) {
  help = std::move(text);
  return *this;
}

Diagnostic &Diagnostics::error(Range at, std::string message) {
  if (at && !places_.insert(at).second) {
    scratch_ = {at, std::move(message), {}, {}};
    return scratch_;
  }
  if (errors_.size() >= limit) {
    ++dropped_;
    scratch_ = {};
    return scratch_;
  }
  return errors_.emplace_back(Diagnostic{at, std::move(message), {}, {}});
}

void Diagnostics::clear() {
  errors_.clear();
  warnings_.clear();
  places_.clear();
  dropped_ = 0;
}

Diagnostic &Diagnostics::warning(Range at, std::string message) {
  Diagnostic &diagnostic = warnings_.emplace_back(Diagnostic{at, std::move(message), {}, {}});
  diagnostic.severity = Diagnostic::Severity::Warning;
  return diagnostic;
}

static void renderPlace(std::string &out, const Range &at, const char *severity, const std::string &message) {
  if (!at) {
    out += std::string(severity) + ": " + message + "\n";
    return;
  }
  uint32_t line = at.file->line(at.begin), column = at.file->column(at.begin);
  out += at.file->place(line) + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + severity + ": " +
         message + "\n";
  std::string_view text = at.file->lineText(line);
  // Tabs and control characters would move the caret away from what it points at.
  std::string shown(text.substr(0, 200));
  for (char &c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = ' ';
  if (column > 200)
    return;
  uint32_t begin = at.begin - at.file->lineBegin(line);
  uint32_t end = std::min<uint32_t>(at.end - at.file->lineBegin(line), static_cast<uint32_t>(text.size()));
  uint32_t width = end > begin ? countCharacters(text.substr(begin, end - begin)) : 1;
  out += "  " + shown + "\n  " + std::string(column - 1, ' ') + "^" +
         std::string(std::min<uint32_t>(width > 1 ? width - 1 : 0, 200), '~') + "\n";
}

std::vector<const Diagnostic *> Diagnostics::ordered() const {
  std::vector<const Diagnostic *> order;
  for (const auto *list : {&errors_, &warnings_})
    for (const Diagnostic &diagnostic : *list)
      order.push_back(&diagnostic);
  // The user's own file first, then by place.
  auto key = [](const Diagnostic *diagnostic) {
    const Range &at = diagnostic->at;
    return std::tuple(at.file ? at.file->role() : SourceFile::Role::Own, at.file ? at.file->name() : std::string(),
                      at.begin, at.end, diagnostic->message);
  };
  std::sort(order.begin(), order.end(), [&](const Diagnostic *a, const Diagnostic *b) { return key(a) < key(b); });
  return order;
}

std::string Diagnostics::render() const {
  std::string out;
  for (const Diagnostic *diagnostic : ordered()) {
    bool isError = diagnostic->severity == Diagnostic::Severity::Error;
    renderPlace(out, diagnostic->at, isError ? "error" : "warning", diagnostic->message);
    for (const Note &note : diagnostic->notes)
      renderPlace(out, note.at, "note", note.message);
    if (!diagnostic->help.empty())
      out += "  help: " + diagnostic->help + "\n";
  }
  if (dropped_ > 0)
    out += "error: " + std::to_string(dropped_) + " more errors are not shown\n";
  return out;
}

static char fold(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

/// Insertions, deletions, changes and swaps of neighbours that lead from one to the other, case left aside.
static size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        table[i][j] = i + j;
        continue;
      }
      bool same = fold(a[i - 1]) == fold(b[j - 1]);
      table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  return table[a.size()][b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string> &candidates) {
  std::string best;
  // Edits count double, so that a difference in case alone weighs less than one. Of one or two letters another one is
  // another name.
  size_t allowed = name.size() < 3 ? 0 : std::min<size_t>(name.size() / 3, 2);
  size_t bestDistance = 2 * (allowed + 1);
  for (const std::string &candidate : candidates) {
    size_t distance = 2 * edits(name, candidate);
    for (size_t i = 0; i < std::min(name.size(), candidate.size()); ++i)
      if (name[i] != candidate[i] && fold(name[i]) == fold(candidate[i])) {
        ++distance;
        break;
      }
    if (distance < bestDistance && candidate != name) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

} // namespace kiln::language
