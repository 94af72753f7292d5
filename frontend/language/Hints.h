// What may have been meant by a name that is not there.
#pragma once

#include <string_view>

namespace kiln::language {

/// How to write what PyTorch calls by this name, a function or a tensor's method; empty where it has the same name
/// here, or none.
std::string_view hereCalled(std::string_view name);

} // namespace kiln::language
