// What a command prints: a progress line for people, JSON lines for programs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

struct TensorView;

/// Where --json writes: nowhere, standard output, or a file. A file that is there keeps what it has until the first
/// line is written, or until the end of a command that wrote none.
class JsonOutput {
public:
  JsonOutput() = default;
  /// `asked`: was --json given; `path` may be empty (standard output). Throws Error where the file cannot be written.
  JsonOutput(bool asked, const std::string &path);
  ~JsonOutput();
  JsonOutput(const JsonOutput &) = delete;

  explicit operator bool() const { return file_ != nullptr; }
  /// Does it take standard output away from text for people?
  bool ownsStandardOutput() const { return file_ == stdout; }
  void line(std::string_view text);

private:
  void begin();
  std::FILE *file_ = nullptr;
  std::string path_;
  bool begun_ = false;
};

/// An element as it is printed: whole numbers as they are, of others as few digits as have them again.
std::string elementText(const TensorView &view, int64_t element);

/// {"a": 1, ...} built one member at a time.
class JsonLine {
public:
  JsonLine &add(std::string_view key, double value);
  JsonLine &add(std::string_view key, int64_t value);
  JsonLine &add(std::string_view key, std::string_view value);
  /// `text` is JSON already.
  JsonLine &addRaw(std::string_view key, std::string_view text);
  std::string str() const { return text_ + "}"; }

private:
  std::string text_ = "{";
};

/// Text for people: standard output, or standard error where JSON has taken that.
std::FILE *textOutput(const JsonOutput &json);

/// One line that is written over on a terminal, and plain lines now and then elsewhere.
class Progress {
public:
  Progress(std::FILE *file, int64_t first, int64_t total, int64_t every);
  /// `detail`: "loss 2.31  val 2.40". Prints when it is time to.
  void step(int64_t done, const std::string &detail, bool force);
  /// Should the caller go to the trouble of making a detail?
  bool due(int64_t done) const;
  void finish();

private:
  double seconds() const;
  std::FILE *file_;
  int64_t first_, total_, every_;
  bool terminal_, open_ = false;
  double begin_, printed_ = -1;
};

/// "2:05", "1:02:03"
std::string clockText(double seconds);

} // namespace kiln
