// A kernel's extents, values and outputs, written into the rows of the tables.

#include "backends/conformance/Kernel.h"

#include "backends/api/kiln_text.h"

namespace kiln::conformance {

int64_t elements(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

Kernel::Kernel(const std::string &shape) {
#define KILN_SHAPE(number, name, kind)                                                                                 \
  if (shape == #name)                                                                                                  \
    shape_ = number;
#include "backends/api/shapes.inc"
#undef KILN_SHAPE
}

kiln_extent Kernel::extent(int64_t bound) {
  bounds_.push_back(bound);
  return {bound, static_cast<int32_t>(bounds_.size()) - 1};
}

uint32_t Kernel::value(kiln_dtype dtype, Dims dims) {
  values_.push_back({dtype, std::move(dims)});
  return static_cast<uint32_t>(values_.size()) - 1;
}

uint32_t Kernel::input(kiln_dtype dtype, Dims dims) {
  inputs_.push_back(value(dtype, std::move(dims)));
  return inputs_.back();
}

uint32_t Kernel::op(std::string name, std::vector<uint32_t> operands, kiln_dtype dtype, Dims dims,
                    std::vector<Attribute> attributes) {
  uint32_t result = value(dtype, std::move(dims));
  ops_.push_back({std::move(name), std::move(operands), {result}, std::move(attributes), nullptr});
  return result;
}

std::shared_ptr<Kernel> Kernel::region() const {
  auto result = std::make_shared<Kernel>("any");
  result->bounds_ = bounds_;
  return result;
}

std::vector<uint32_t> Kernel::loop(std::vector<uint32_t> operands, std::shared_ptr<Kernel> region, kiln_extent count,
                                   size_t carries, size_t sequences, bool reverse) {
  std::vector<uint32_t> results;
  for (size_t i = 0; i < region->outputs_.size(); ++i) {
    Value made = region->values_[region->outputs_[i]];
    if (i >= carries)
      made.dims.insert(made.dims.begin(), count);
    results.push_back(value(made.dtype, std::move(made.dims)));
  }
  ops_.push_back({"scan",
                  std::move(operands),
                  results,
                  {Attribute::dims("count", {count}), Attribute::number("reverse", reverse),
                   Attribute::number("carries", static_cast<int64_t>(carries)),
                   Attribute::number("sequences", static_cast<int64_t>(sequences))},
                  std::move(region)});
  return results;
}

uint32_t Kernel::another(kiln_dtype dtype, Dims dims) {
  ops_.back().results.push_back(value(dtype, std::move(dims)));
  return ops_.back().results.back();
}

void Kernel::output(uint32_t value, int32_t alias) {
  outputs_.push_back(value);
  alias_.push_back(alias);
}

std::vector<int64_t> Kernel::shape(uint32_t value, const std::vector<int64_t> &extents) const {
  std::vector<int64_t> result;
  for (const kiln_extent &dim : values_[value].dims)
    result.push_back(dim.slot < 0 ? dim.value : extents[static_cast<size_t>(dim.slot)]);
  return result;
}

std::shared_ptr<Kernel> Kernel::of(const kiln_kernel &kernel) {
  auto result = std::make_shared<Kernel>("any");
  result->shape_ = kernel.shape;
  result->bounds_.assign(kernel.extent_bounds, kernel.extent_bounds + kernel.extent_count);
  for (size_t i = 0; i < kernel.value_count; ++i) {
    const ValueRow &row = kernel.values[i];
    result->values_.push_back({row.dtype, Dims(row.dims, row.dims + row.rank)});
  }
  for (size_t i = 0; i < kernel.op_count; ++i) {
    const OpRow &row = kernel.ops[i];
    Op &op = result->ops_.emplace_back();
    op.name = view(row.name);
    op.operands.assign(row.operands, row.operands + row.operand_count);
    op.results.assign(row.results, row.results + row.result_count);
    for (const kiln_attr *attr = row.attrs; attr != row.attrs + row.attr_count; ++attr) {
      Attribute &own = op.attributes.emplace_back();
      own = {std::string(view(attr->name)), attr->kind, attr->integer, std::string(view(attr->string)), {}, {}};
      own.floating = attr->number;
      if (attr->kind == KILN_ATTR_INTS)
        own.ints.assign(attr->ints, attr->ints + attr->count);
      if (attr->kind == KILN_ATTR_EXTENTS)
        own.extents.assign(attr->extents, attr->extents + attr->count);
    }
    if (row.region)
      op.region = of(*row.region);
  }
  result->inputs_.assign(kernel.inputs, kernel.inputs + kernel.input_count);
  result->outputs_.assign(kernel.outputs, kernel.outputs + kernel.output_count);
  result->alias_.assign(kernel.alias, kernel.alias + kernel.output_count);
  return result;
}

std::shared_ptr<Kernel> Kernel::with(const std::vector<std::optional<int64_t>> &extents) const {
  auto result = std::make_shared<Kernel>("any");
  result->shape_ = shape_;
  std::vector<kiln_extent> now;
  for (size_t i = 0; i < bounds_.size(); ++i)
    now.push_back(extents[i] ? fixed(*extents[i]) : result->extent(bounds_[i]));
  auto replace = [&](Dims &dims) {
    for (kiln_extent &dim : dims)
      if (dim.slot >= 0)
        dim = now[static_cast<size_t>(dim.slot)];
  };
  result->values_ = values_;
  result->ops_ = ops_;
  result->inputs_ = inputs_;
  result->outputs_ = outputs_;
  result->alias_ = alias_;
  for (Value &value : result->values_)
    replace(value.dims);
  for (Op &op : result->ops_) {
    for (Attribute &attribute : op.attributes)
      replace(attribute.extents);
    if (op.region)
      op.region = op.region->with(extents);
  }
  return result;
}

std::shared_ptr<Kernel> Kernel::arranged(const std::vector<std::pair<uint32_t, std::vector<int64_t>>> &layouts) const {
  std::shared_ptr<Kernel> result = with(std::vector<std::optional<int64_t>>(bounds_.size()));
  result->shape_ = KILN_SHAPE_ANY;
  for (const auto &[input, order] : layouts) {
    uint32_t plain = result->inputs_[input];
    Dims dims;
    std::vector<int64_t> inverse(order.size());
    for (size_t k = 0; k < order.size(); ++k) {
      dims.push_back(result->dims(plain)[static_cast<size_t>(order[k])]);
      inverse[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
    }
    result->inputs_[input] = result->value(result->dtype(plain), std::move(dims));
    result->ops_.push_front({"transpose",
                             {result->inputs_[input]},
                             {plain},
                             {Attribute::list("permutation", std::move(inverse))},
                             nullptr});
    for (int32_t &alias : result->alias_)
      if (alias == static_cast<int32_t>(input))
        alias = -1;
  }
  return result;
}

const kiln_kernel &Kernel::table(const std::string &name) {
  name_ = name;
  valueRows_.clear();
  opRows_.clear();
  attrRows_.clear();
  for (const Value &value : values_)
    valueRows_.push_back({value.dtype, static_cast<uint32_t>(value.dims.size()), value.dims.data()});
  for (const Op &op : ops_) {
    std::vector<kiln_attr> &rows = attrRows_.emplace_back();
    for (const Attribute &attribute : op.attributes) {
      kiln_attr row{};
      row.size = sizeof row;
      row.kind = attribute.kind;
      row.name = text(attribute.name);
      row.integer = attribute.integer;
      row.number = attribute.floating;
      row.string = text(attribute.string);
      row.count = attribute.kind == KILN_ATTR_INTS ? attribute.ints.size() : attribute.extents.size();
      row.ints = attribute.ints.data();
      row.extents = attribute.extents.data();
      rows.push_back(row);
    }
    OpRow row{};
    row.name = text(op.name);
    row.operand_count = op.operands.size();
    row.operands = op.operands.data();
    row.result_count = op.results.size();
    row.results = op.results.data();
    row.attr_count = rows.size();
    row.attrs = rows.data();
    row.region = op.region ? &op.region->table("") : nullptr;
    row.location = {{"conformance", 11}, 1, static_cast<uint32_t>(opRows_.size()) + 1};
    opRows_.push_back(row);
  }
  table_ = {text(name_),    shape_,          valueRows_.size(), valueRows_.data(), inputs_.size(),
            inputs_.data(), outputs_.size(), outputs_.data(),   opRows_.size(),    opRows_.data(),
            bounds_.size(), bounds_.data(),  alias_.data()};
  return table_;
}

} // namespace kiln::conformance
