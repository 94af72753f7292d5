// Lines for people and lines of JSON, as they are written.

#include "runtime/cli/Output.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Tensor.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <exception>
#include <fcntl.h>
#include <unistd.h>

namespace kiln {

std::string elementText(const TensorView &view, int64_t i) {
  if (!isFloat(view.dtype))
    return std::to_string(loadInteger(view.dtype, view.data, i));
  double value = loadNumber(view.dtype, view.data, i);
  return view.dtype == KILN_F64 ? shortest(value) : shortest(static_cast<float>(value));
}

JsonOutput::JsonOutput(bool asked, const std::string &path) : path_(path) {
  if (!asked)
    return;
  if (path.empty()) {
    file_ = stdout;
    return;
  }
  checkUnprotected(path);
  int handle = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  file_ = handle < 0 ? nullptr : fdopen(handle, "w");
  if (!file_)
    fail("cannot write '%s': %s", path.c_str(), describeErrno(errno).c_str());
}

JsonOutput::~JsonOutput() {
  if (!file_ || file_ == stdout)
    return;
  try {
    if (std::uncaught_exceptions() == 0)
      begin();
  } catch (const Error &) { // it is somebody else's: leave it
  }
  std::fclose(file_);
}

/// What was there before goes; not sooner, for by now all is open that the command reads.
void JsonOutput::begin() {
  if (begun_ || path_.empty())
    return;
  begun_ = true;
  checkUnprotected(path_);
  if (ftruncate(fileno(file_), 0) != 0 && errno != EINVAL) // EINVAL: a device or a pipe
    fail("cannot write '%s': %s", path_.c_str(), describeErrno(errno).c_str());
}

void JsonOutput::line(std::string_view text) {
  if (!file_)
    return;
  begin();
  bool written = std::fwrite(text.data(), 1, text.size(), file_) == text.size() && std::fputc('\n', file_) != EOF &&
                 std::fflush(file_) == 0;
  if (!written)
    fail("cannot write '%s': %s", path_.empty() ? "standard output" : path_.c_str(), describeErrno(errno).c_str());
}

JsonLine &JsonLine::addRaw(std::string_view key, std::string_view text) {
  if (text_.size() > 1)
    text_ += ",";
  text_ += jsonQuote(key) + ":";
  text_ += text;
  return *this;
}

JsonLine &JsonLine::add(std::string_view key, double value) { return addRaw(key, jsonNumber(value)); }
JsonLine &JsonLine::add(std::string_view key, int64_t value) { return addRaw(key, std::to_string(value)); }
JsonLine &JsonLine::add(std::string_view key, std::string_view value) { return addRaw(key, jsonQuote(value)); }

std::FILE *textOutput(const JsonOutput &json) { return json.ownsStandardOutput() ? stderr : stdout; }

std::string clockText(double seconds) {
  long long whole = std::llround(seconds);
  if (whole >= 3600)
    return format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  return format("%lld:%02lld", whole / 60, whole % 60);
}

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Progress::Progress(std::FILE *file, int64_t first, int64_t total, int64_t every)
    : file_(file), first_(first), total_(total), every_(every), terminal_(isatty(fileno(file))), begin_(now()) {}

double Progress::seconds() const { return now() - begin_; }

bool Progress::due(int64_t done) const {
  if (terminal_)
    return printed_ < 0 || seconds() - printed_ >= 0.1 || done == total_;
  return done == first_ + 1 || done % every_ == 0 || done == total_;
}

void Progress::step(int64_t done, const std::string &detail, bool force) {
  if (!force && !due(done))
    return;
  double passed = seconds();
  printed_ = passed;
  double rate = passed > 0 ? static_cast<double>(done - first_) / passed : 0;
  double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  std::fprintf(file_, "%sstep %lld/%lld  %s  %.*f steps/s  %s left%s", terminal_ ? "\r" : "",
               static_cast<long long>(done), static_cast<long long>(total_), detail.c_str(), rate < 10 ? 2 : 0, rate,
               clockText(left).c_str(), terminal_ ? "\x1b[K" : "\n");
  std::fflush(file_);
  open_ = terminal_;
}

void Progress::finish() {
  if (open_)
    std::fputc('\n', file_);
  open_ = false;
}

} // namespace kiln
