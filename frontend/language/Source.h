// Source text, ranges in it, and the errors found there.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::language {

/// One file's text. Ranges are byte offsets into it; lines and columns count from 1, columns in characters (UTF-8).
class SourceFile {
public:
  /// The model's own file, one that it takes declarations from, or one of the standard modules', which are built in.
  enum class Role { Own, Imported, Library };

  SourceFile(std::string name, std::string text, Role role = Role::Own);

  const std::string &name() const { return name_; }
  /// What the lines of an imported text come from: "node '/encoder/MatMul'", or nothing.
  void setOrigins(std::vector<std::string> origins) { origins_ = std::move(origins); }
  /// The name as places say it: with what the line comes from.
  std::string place(uint32_t line) const {
    bool known = line >= 1 && line <= origins_.size() && !origins_[line - 1].empty();
    return known ? name_ + " (" + origins_[line - 1] + ")" : name_;
  }
  std::string_view text() const { return text_; }
  Role role() const { return role_; }
  bool isLibrary() const { return role_ == Role::Library; }
  uint32_t line(uint32_t offset) const;
  uint32_t column(uint32_t offset) const;
  /// Where a character is that line() and column() tell; the line's end where it has no such column.
  uint32_t offset(uint32_t line, uint32_t column) const;
  /// The text of a line, without its end.
  std::string_view lineText(uint32_t line) const;
  uint32_t lineBegin(uint32_t line) const { return lines_[line - 1]; }

private:
  std::string name_, text_;
  Role role_;
  std::vector<std::string> origins_;
  std::vector<uint32_t> lines_;
};

/// A piece of a file. Empty when `file` is null.
struct Range {
  const SourceFile *file = nullptr;
  uint32_t begin = 0, end = 0;

  explicit operator bool() const { return file != nullptr; }
  friend bool operator==(const Range &, const Range &) = default;
  friend auto operator<=>(const Range &a, const Range &b) = default;
  /// From the start of `this` to the end of `last`.
  Range to(const Range &last) const { return {file, begin, last.end > begin ? last.end : end}; }
  std::string_view text() const { return file ? file->text().substr(begin, end - begin) : std::string_view(); }
};

struct Note {
  Range at;
  std::string message;
};

struct Diagnostic {
  enum class Severity { Error, Warning };

  Range at;
  std::string message;
  std::vector<Note> notes;
  std::string help;
  Severity severity = Severity::Error;

  Diagnostic &note(Range range, std::string text);
  Diagnostic &withHelp(std::string text);
};

/// The errors of one run. The first error at a place wins, so that a module instantiated twelve times complains once.
class Diagnostics {
public:
  /// Adds an error; the reference stays valid. An error at a range that already has one is dropped (the reference
  /// returned is then to a scratch diagnostic).
  Diagnostic &error(Range at, std::string message);
  /// What does not keep the model from being built, and yet may surprise.
  Diagnostic &warning(Range at, std::string message);
  /// The error that was added last; null where there is none.
  Diagnostic *last() { return errors_.empty() ? nullptr : &errors_.back(); }
  /// The error that was found first; null where there is none.
  const Diagnostic *first() const { return errors_.empty() ? nullptr : &errors_.front(); }
  /// Forgets all of them: what was tried is given up.
  void clear();
  /// For what has been reported in other words.
  Diagnostic &silent() { return scratch_ = {}; }
  bool hasErrors() const { return !errors_.empty(); }
  size_t size() const { return errors_.size(); }
  /// All errors and warnings in the order of the text, the user's own file first.
  std::vector<const Diagnostic *> ordered() const;
  /// All of them in that order, each with its source line, a caret, its notes and its help.
  std::string render() const;

  /// Keeps what ranges point into (a parsed file) alive as long as the errors.
  void keep(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }
  const void *kept() const { return owners_.back().get(); }

  /// At most this many are kept and rendered; the rest are counted.
  static constexpr size_t limit = 100;

private:
  std::deque<Diagnostic> errors_, warnings_;
  std::set<Range> places_;
  Diagnostic scratch_;
  size_t dropped_ = 0;
  std::vector<std::shared_ptr<const void>> owners_;
};

/// The candidate nearest to `name` in edits, when it is near enough to be meant; else empty.
std::string nearest(std::string_view name, const std::vector<std::string> &candidates);

} // namespace kiln::language
