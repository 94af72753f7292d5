// Cases out of a model: the kernel is the op alone, its definition the same group taken apart.

#include "frontend/cli/ConformWhole.h"

#include "backends/conformance/Kernel.h"
#include "backends/host/Kernel.h"
#include "backends/host/Registry.h"
#include "frontend/cli/Installed.h"
#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "passes/Claim/Claim.h"
#include "passes/support/Composites.h"
#include "runtime/support/Tensor.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/STLExtras.h"

#include <set>

namespace kiln {

using conformance::Case;

const char conformComposites[] = R"(
model Composites():
    def activations(x: f32[N <= 13, M <= 65]) -> f32[N, M]:
        return relu(x) + silu(x) + softplus(x) + gelu(x) + gelu(x, tanh=True)

    def halves(x: f16[N <= 13, M <= 65]) -> f16[N, M]:
        return relu(x) + silu(x) + softplus(x) + gelu(x) + gelu(x, tanh=True) + softmax(x) + log_softmax(x, axis=0)

    def brains(x: bf16[N <= 13, M <= 65]) -> bf16[N, M]:
        return relu(x) + silu(x) + softplus(x) + gelu(x) + softmax(x) + log_softmax(x)

    def doubles(x: f64[N <= 13, M <= 65]) -> f64[N, M]:
        return relu(x) + silu(x) + softplus(x) + gelu(x) + softmax(x) + log_softmax(x)

    def distributions(x: f32[N <= 13, M <= 65], y: f32[3, N, M], z: f32[M]) -> (f32[N, M], f32[3, N, M], f32[M]):
        return softmax(x) + softmax(x, axis=0) + log_softmax(x) + log_softmax(x, axis=0), softmax(y, axis=1) + log_softmax(y), softmax(z)

    def constants(x: f32[7, 33], s: f32[33], b: f32[33]) -> f32[7, 33]:
        return softmax(x) + log_softmax(x) + layer_norm(x, s, b) + rms_norm(x, s) + gelu(x) + silu(x)

    def norms(x: f32[N <= 13, M <= 65], s: f32[M], b: f32[M], y: f32[3, N, M]) -> (f32[N, M], f32[3, N, M]):
        return layer_norm(x) + layer_norm(x, s, b, epsilon=0.001) + rms_norm(x, s), layer_norm(y, s, b) + rms_norm(y, s)

    def losses(x: f32[N <= 13, M <= 65], t: i32[N], u: i64[N]) -> (f32[N], f32[N], f32[N]):
        plain = cross_entropy(x, t, reduction="none")
        return plain, cross_entropy(x, t, smoothing=0.1, ignore_index=0, reduction="none"), cross_entropy(x, u, reduction="none")

    def queries(q: f32[B <= 2, 3, T <= 17, 8], k: f32[B, 3, S <= 19, 8], v: f32[B, 3, S, 5], m: bool[B, 1, 1, S]) -> f32[B, 3, T, 5]:
        return attention(q, k, v) + attention(q, k, v, mask=m, scale=0.5)
)";

namespace {

class Maker {
public:
  Maker(const std::vector<std::string> &names, uint32_t seed) : names(names), seed(seed) {}

  void add(mlir::Operation *op) {
    std::string name = nameOf(op).str();
    if (!llvm::is_contained(names, name))
      return;
    auto function = op->getParentOfType<mlir::func::FuncOp>();
    GroupOp alone = claim::alone(op), apart = llvm::cast<GroupOp>(alone->clone());
    alone->getBlock()->getOperations().insert(alone->getIterator(), apart);
    host::GroupKernels kernels;
    mlir::FailureOr<host::GroupKernel *> whole = kernels.of(alone);
    if (mlir::succeeded(whole) && known.insert((*whole)->key).second) {
      decompose(apart);
      apart.setShape(GroupShape::any);
      if (mlir::FailureOr<host::GroupKernel *> definition = kernels.of(apart); mlir::succeeded(definition))
        make(name, **whole, **definition, boundsOf(function));
    }
    alone->erase();
    apart->erase();
  }

  std::vector<Case> cases;

private:
  const std::vector<std::string> &names;
  uint32_t seed;
  std::set<std::string> known;

  static void decompose(GroupOp group) {
    for (bool changed = true; changed;) { // a decomposition may hold composites
      changed = false;
      group.getBody().walk([&](mlir::Operation *op) { changed |= expand(op); });
    }
  }

  static conformance::Accuracy accuracyOf(kiln_dtype dtype) {
    // Rows of up to 65 elements near 1, through a few functions: some roundings of the accumulator, and of the result.
    return {dtype == KILN_F32 || dtype == KILN_F64 ? 32.0 : 4.0, false, 0, false,
            dtype == KILN_F64    ? 1e-13
            : dtype == KILN_F32  ? 2e-5
            : dtype == KILN_BF16 ? 0.02
                                 : 0.003};
  }

  void make(const std::string &name, const host::GroupKernel &whole, const host::GroupKernel &definition,
            const Bounds &bounds) {
    const kiln_kernel &kernel = whole.kernel;
    kiln_dtype dtype = kernel.values[kernel.outputs[0]].dtype;
    std::string variant = "whole";
    for (size_t i = 0; i < kernel.input_count; ++i) {
      const ValueRow &value = kernel.values[kernel.inputs[i]];
      variant += (i ? ", " : ": ") + host::dtypeName(value.dtype).str() + "[";
      for (uint32_t d = 0; d < value.rank; ++d)
        absl::StrAppend(&variant, d ? " x " : "",
                        value.dims[d].slot < 0 ? absl::StrCat(value.dims[d].value)
                                               : whole.extents[static_cast<size_t>(value.dims[d].slot)].str());
      variant += "]";
    }
    Case made{
        name, variant + attributesOf(kernel.ops[0]), dtype, conformance::Kernel::of(kernel), {}, {}, accuracyOf(dtype)};
    made.definition = conformance::Kernel::of(definition.kernel);
    made.seed = seed + static_cast<uint32_t>(cases.size());
    for (size_t i = 0; i < kernel.input_count; ++i) {
      made.operands.push_back(isFloat(kernel.values[kernel.inputs[i]].dtype)
                                  ? conformance::Operand{conformance::Fill::Range, -2, 2}
                                  : conformance::Operand{conformance::Fill::Index, 0, 1});
    }
    // At the bounds, at 1, and between.
    for (int64_t part : {0, 1, 2, 3})
      addLaunch(made, whole, definition, bounds, part);
    if (!made.launches.empty())
      cases.push_back(std::move(made));
  }

  static std::string attributesOf(const OpRow &op) {
    std::string text;
    for (const kiln_attr *attr = op.attrs; attr != op.attrs + op.attr_count; ++attr) {
      std::string value = attr->kind == KILN_ATTR_INT     ? absl::StrCat(attr->integer)
                          : attr->kind == KILN_ATTR_FLOAT ? absl::StrCat(attr->number)
                                                          : std::string(attr->string.data, attr->string.size);
      absl::StrAppend(&text, ", ", std::string(attr->name.data, attr->name.size), " ", value);
    }
    return text;
  }

  static void addLaunch(Case &made, const host::GroupKernel &whole, const host::GroupKernel &definition,
                        const Bounds &bounds, int64_t part) {
    std::map<std::string, int64_t> symbols;
    int64_t turn = 0;
    for (const auto &[symbol, bound] : bounds)
      symbols[symbol] =
          part == 0   ? bound
          : part == 1 ? 1
                      : std::clamp<int64_t>(bound * (part - 1 + turn++ % 2) / 3, std::min<int64_t>(2, bound), bound);
    conformance::Launch launch;
    for (auto [from, to] : {std::pair(&whole, &launch.extents), std::pair(&definition, &launch.defined)})
      for (const Dim &dim : from->extents)
        to->push_back(dim.evaluate(symbols).value_or(1));
    for (const conformance::Launch &other : made.launches)
      if (other.extents == launch.extents)
        return;
    made.launches.push_back(std::move(launch));
  }
};

} // namespace

absl::StatusOr<std::vector<Case>> wholeCases(const ModelOptions &options, const std::vector<std::string> &names,
                                             uint32_t seed) {
  Compilation compilation(installed(), options);
  if (absl::Status status = compilation.load(); !status.ok())
    return absl::InvalidArgumentError(absl::StrCat(status.message(), compilation.renderedText()));
  if (absl::Status status = compilation.runPasses("train-step"); !status.ok())
    return status;
  Maker maker(names, seed);
  std::vector<mlir::Operation *> ops;
  compilation.module().walk([&](mlir::Operation *op) {
    if (llvm::isa<DecomposableOpInterface>(op) && !op->getParentOfType<CustomOp>())
      ops.push_back(op);
  });
  for (mlir::Operation *op : ops)
    maker.add(op);
  return std::move(maker.cases);
}

} // namespace kiln
