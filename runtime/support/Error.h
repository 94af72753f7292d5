// How a program's failures travel: one exception type that carries one clear sentence for the user.
#pragma once

#include <stdexcept>
#include <string>

namespace kiln {

/// The user's fault or the world's: main() prints the sentence and exits with code 1.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A backend's fault or its device's, in the middle of the work.
class BackendError : public Error {
public:
  using Error::Error;
};

/// Wrong use of the command line: exit code 2.
class UsageError : public Error {
public:
  using Error::Error;
};

/// printf into a string. (printf rather than std::format or fmt: a program's size counts.)
std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

[[noreturn]] void fail(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/// The shortest text that reads back as the same number; "nan", "inf" and "-inf" for the others.
std::string shortest(double value);
std::string shortest(float value);

/// The candidate nearest to `name` by edit distance, for "did you mean"; empty when none is near.
class NearestName {
public:
  explicit NearestName(std::string name) : name_(std::move(name)) {}
  void consider(const std::string &candidate);
  /// " (did you mean 'x'?)" or nothing.
  std::string hint() const;

private:
  std::string name_, best_;
  size_t distance_ = SIZE_MAX;
};

} // namespace kiln
