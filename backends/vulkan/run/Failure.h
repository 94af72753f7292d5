// What went wrong, as a code and a sentence.
#pragma once

#include "backends/api/kiln_backend.h"
#include <string>

namespace kiln::vulkan {

/// True where something failed: `if (Failure failure = f()) return failure;`.
class [[nodiscard]] Failure {
public:
  Failure() = default;
  Failure(kiln_code code, std::string message) : code_(code), message_(std::move(message)) {}

  explicit operator bool() const { return code_ != KILN_SUCCESS; }
  kiln_code code() const { return code_; }
  const std::string &message() const { return message_; }
  /// Which kernel of the program it concerns; the innermost says it first.
  Failure &&in(uint32_t kernel) && {
    if (kernel_ == KILN_NONE)
      kernel_ = kernel;
    return static_cast<Failure &&>(*this);
  }
  /// Hands it to the caller of the ABI; gives the code.
  int32_t report(kiln_error *error) const;

private:
  kiln_code code_ = KILN_SUCCESS;
  uint32_t kernel_ = KILN_NONE;
  std::string message_;
};

/// As printf.
__attribute__((format(printf, 1, 2))) std::string format(const char *text, ...);

/// "1.5 GiB"
std::string bytesText(uint64_t bytes);

} // namespace kiln::vulkan
