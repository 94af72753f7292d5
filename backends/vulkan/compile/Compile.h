// The compile side of the Vulkan backend.
#pragma once

#include "kiln_backend.h"

namespace kiln::vulkan {

/// Lives as long as the process.
const kiln_compile_api &compileApi();

} // namespace kiln::vulkan
