// A random loss whose batch, the rows along N, is cut into shards as `--shards` cuts it.
#pragma once

#include "ir/Kiln.h"
#include "ir/interpreter/HostTensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <string>

namespace kiln::test {

/// A copy of the module with @shard.gradients of a batch of `rows` rows in so many shards; null where a shard cannot
/// compute its part, which the compiler says.
mlir::OwningOpRef<mlir::ModuleOp> cutIntoShards(mlir::ModuleOp module, int64_t rows, int64_t shards);

/// What the shards' parts of the loss and of the gradients add up to, by name, as the interpreter has them: of totals
/// first, then of what takes these. Where that fails, the reason is in `why`.
std::map<std::string, HostTensor> sumOfShards(mlir::ModuleOp module, mlir::ModuleOp cut, int64_t shards,
                                              const std::map<std::string, HostTensor> &arguments,
                                              const std::map<std::string, int64_t> &symbols, std::string &why);

} // namespace kiln::test
