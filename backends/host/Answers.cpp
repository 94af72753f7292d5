#include "backends/host/Answers.h"

#include "backends/host/Cost.h"
#include "ir/Places.h"
#include "passes/Claim/Claim.h"
#include "runtime/backend/Inside.h"

#include "llvm/Support/FormatVariadic.h"

namespace kiln::host {

// Why an operand is too large for the backend; empty where none is.
static std::string tooLarge(const GroupKernel &formed, int64_t limit) {
  const kiln_kernel &kernel = formed.kernel;
  for (size_t i = 0; limit > 0 && i < kernel.input_count + kernel.output_count; ++i) {
    uint32_t value = i < kernel.input_count ? kernel.inputs[i] : kernel.outputs[i - kernel.input_count];
    if (double bytes = bytesOf(kernel, value, formed.extentsAtBounds); bytes > static_cast<double>(limit))
      return llvm::formatv("an operand of {0:f0} bytes, where the backend's limit is {1}: a smaller batch or --bound "
                           "makes it fit",
                           bytes, limit)
          .str();
  }
  return "";
}

const Answer *Answers::ask(GroupOp group, GroupKernel &formed, uint32_t number) {
  const Asked &at = backends_[number];
  formed.kernel.piece = claim::isPiece(group);
  std::string large = tooLarge(formed, at.capabilities.maxBindingBytes);
  auto [found, isNew] = answers_.try_emplace(std::to_string(number) + (large.empty() ? ":" : " too large:") +
                                             (formed.kernel.piece ? "piece:" : "") + formed.key);
  Answer &answer = found->second;
  if (!isNew)
    return &answer;
  std::string error;
  auto entry = group->getParentOfType<mlir::func::FuncOp>();
  AboutEntry about(entry ? std::string_view(entry.getName()) : std::string_view());
  formed.kernel.name = {"k", 1}; // it has none yet
  if (!large.empty())
    answer.refusals.push_back({KILN_NONE, large});
  else if (!at.backend->claim(formed.kernel, at.target, answer, error)) {
    group.emitError() << error;
    return nullptr;
  }
  if (!answer.whole(formed.kernel.op_count))
    refusals_.push_back((stringifyGroupShape(group.getShape()) + formed.title).str() + " at " +
                        locationText(group.getLoc()) + (number ? ", by " + at.backend->name() : std::string()) + ": " +
                        answer.reason());
  return &answer;
}

} // namespace kiln::host
