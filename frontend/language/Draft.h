// A function that is still being written: each statement is elaborated as it comes, and tells the types of what it
// sets.
#pragma once

#include "runtime/support/Dim.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln::language {

/// One model with one function. Who writes Kiln (an importer) asks the language itself what its text means, statement
/// by statement; nothing else infers shapes.
class Draft {
public:
  /// `arguments` as they stand in a signature: "x: f32[B, T], y: i64". `bounds`: upper bounds of dimensions.
  Draft(const std::string &arguments, const std::map<std::string, int64_t> &bounds);
  ~Draft();
  Draft(const Draft &) = delete;
  Draft &operator=(const Draft &) = delete;

  struct Type {
    std::string dtype; ///< "f32"
    std::vector<Dim> dims;
  };

  /// A statement of the model's body, as `w = parameter(f32[4])`, or of the function's. Returns what is wrong with it,
  /// in one sentence; empty where nothing is. What was wrong leaves nothing behind.
  std::string declare(const std::string &statement);
  std::string add(const std::string &statement);
  /// The type of a tensor that a statement set, an argument or a parameter; null where the name is none.
  std::optional<Type> typeOf(const std::string &name) const;
  /// Is it shown to be 0 or more, by what is known of the dimensions?
  bool isNonNegative(const Dim &dim) const;
  /// What is wrong with the arguments; empty where nothing is.
  const std::string &failure() const { return failure_; }

  /// What is wrong with a whole text of one model, in one sentence; empty where nothing is.
  static std::string problemOf(const std::string &text, const std::map<std::string, int64_t> &bounds);
  /// The words of the language and the names that are built in or in the standard modules.
  static std::set<std::string> knownNames();

private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string failure_;
};

} // namespace kiln::language
