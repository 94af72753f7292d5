// What may have been meant by a name that is not there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::language {

/// How to write what PyTorch calls by this name, a function or a tensor's method; empty where it has the same name
/// here, or none.
std::string_view hereCalled(std::string_view name);
/// The same as a sentence; for names that hereCalled() knows.
std::string hereHint(std::string_view name);

/// How what has PyTorch's name differs from it, where that goes without an error: a default, an order; empty where it
/// does not.
std::string_view otherThan(std::string_view name);

/// What PyTorch's name of an argument is here, where one of these arguments is meant by it.
std::string keywordHint(std::string_view keyword, const std::vector<std::string> &slots);

} // namespace kiln::language
