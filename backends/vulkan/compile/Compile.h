//===- Compile.h - the compile side of the Vulkan backend
//-----------------------------------------------------------===//
#ifndef KILN_BACKENDS_VULKAN_COMPILE_COMPILE_H
#define KILN_BACKENDS_VULKAN_COMPILE_COMPILE_H

#include "kiln_backend.h"

namespace kiln::vulkan {

/// Lives as long as the process.
const kiln_compile_api &compileApi();

} // namespace kiln::vulkan

#endif // KILN_BACKENDS_VULKAN_COMPILE_COMPILE_H
