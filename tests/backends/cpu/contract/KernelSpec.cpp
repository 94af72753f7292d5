#include "tests/backends/cpu/contract/Runner.h"

namespace contract {

kiln_string KernelSpec::text(const std::string &s) {
  strings.push_back(s);
  return {strings.back().data(), strings.back().size()};
}

void KernelSpec::extentSlots(const std::vector<Dim> &dims) {
  for (const Dim &dim : dims)
    if (dim.slot >= 0) {
      if (bounds.size() <= static_cast<size_t>(dim.slot))
        bounds.resize(dim.slot + 1, 1);
      bounds[dim.slot] = dim.value;
    }
}

uint32_t KernelSpec::value(kiln_dtype dtype, const std::vector<Dim> &dims) {
  extentSlots(dims);
  std::vector<kiln_extent> &list = extents.emplace_back();
  for (const Dim &dim : dims)
    list.push_back({dim.value, dim.slot});
  types.push_back({dtype, static_cast<uint32_t>(dims.size()), list.data()});
  shapes.push_back(dims);
  return static_cast<uint32_t>(types.size() - 1);
}

uint32_t KernelSpec::input(kiln_dtype dtype, const std::vector<Dim> &dims) {
  inputs.push_back(value(dtype, dims));
  return inputs.back();
}

uint32_t KernelSpec::op(const std::string &name, const std::vector<uint32_t> &operands, uint32_t result,
                        const Ints &intLists, const Numbers &ints) {
  const auto &in = numbers.emplace_back(operands);
  const auto &out = numbers.emplace_back(std::vector<uint32_t>{result});
  auto &attrs = attributes.emplace_back();
  for (const auto &[key, list] : intLists) {
    kiln_attr attr{};
    attr.name = text(key);
    attr.kind = KILN_ATTR_INTS;
    const auto &kept = lists.emplace_back(list);
    attr.count = kept.size();
    attr.ints = kept.data();
    attrs.push_back(attr);
  }
  for (const auto &[key, number] : ints) {
    kiln_attr attr{};
    attr.name = text(key);
    attr.kind = KILN_ATTR_INT;
    attr.integer = number;
    attrs.push_back(attr);
  }
  kiln::OpRow made{};
  made.name = text(name);
  made.operand_count = in.size();
  made.operands = in.data();
  made.result_count = 1;
  made.results = out.data();
  made.attr_count = attrs.size();
  made.attrs = attrs.data();
  ops.push_back(made);
  return result;
}

kiln_kernel KernelSpec::finish(const std::string &name) {
  kiln_kernel kernel{};
  kernel.name = text(name);
  kernel.shape = KILN_SHAPE_CONTRACT;
  kernel.value_count = types.size();
  kernel.values = types.data();
  kernel.input_count = inputs.size();
  kernel.inputs = inputs.data();
  kernel.output_count = outputs.size();
  kernel.outputs = outputs.data();
  kernel.op_count = ops.size();
  kernel.ops = ops.data();
  kernel.extent_count = bounds.size();
  kernel.extent_bounds = bounds.data();
  alias.assign(outputs.size(), -1);
  kernel.alias = alias.data();
  return kernel;
}

} // namespace contract
