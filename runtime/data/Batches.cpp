// A safetensors file whose tensors have a leading axis of steps: batch i is row i, and after the last comes the first.
#include "runtime/data/Source.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

namespace kiln {

namespace {

class BatchSource final : public Source {
public:
  BatchSource(const SourceSpec &spec, const std::string &path) : Source(spec), file_(Safetensors::open(path)) {
    std::string problems;
    for (const FieldSpec &field : spec.fields) {
      const TensorView *tensor = file_.find(field.name);
      if (!tensor)
        tensor = file_.find(spec.name + "." + field.name);
      tensors_.push_back(tensor);
      if (!tensor) {
        missing_ += (missing_.empty() ? "'" : ", '") + field.name + "'";
        continue;
      }
      if (tensor->shape.empty() || tensor->shape[0] == 0) {
        problems += "\n  '" + field.name + "' is " + describeType(tensor->dtype, tensor->shape) +
                    ": the leading axis of steps is missing or empty";
        continue;
      }
      if (rows_ >= 0 && rows_ != tensor->shape[0])
        problems += format("\n  '%s' has %lld steps, another field %lld", field.name.c_str(),
                           static_cast<long long>(tensor->shape[0]), static_cast<long long>(rows_));
      rows_ = tensor->shape[0];
      if (!fits(field.type, *tensor))
        problems += "\n  '" + field.name + "': expected a leading axis of steps, then " + field.type.str() +
                    "; found " + describeType(tensor->dtype, tensor->shape);
    }
    if (rows_ < 0)
      problems += "\n  none of its tensors has the name of a field; fields: " + missing_;
    if (!problems.empty())
      fail("%s does not fit data '%s':%s", file_.what().c_str(), spec.name.c_str(), problems.c_str());
  }

  int64_t batches(Split) const override { return rows_; }
  bool hasSplits() const override { return false; }

  void load(Split, int64_t number, std::span<FieldBuffer> fields) override {
    for (size_t f = 0; f < fields.size(); ++f) {
      if (!fields[f].data)
        continue;
      if (!tensors_[f])
        fail("%s does not fit data '%s': it has no tensor '%s'", file_.what().c_str(), spec_.name.c_str(),
             spec_.fields[f].name.c_str());
      const TensorView &tensor = *tensors_[f];
      size_t bytes = tensor.bytes / static_cast<size_t>(rows_);
      storeField(*this, f, fields, tensor.dtype, tensor.data + static_cast<size_t>(number % rows_) * bytes,
                 std::span(tensor.shape).subspan(1));
    }
  }

private:
  static bool fits(const TypeSpec &type, const TensorView &tensor) {
    if (tensor.shape.size() != type.shape.size() + 1)
      return false;
    for (size_t d = 0; d < type.shape.size(); ++d)
      if (std::optional<int64_t> constant = type.shape[d].constant(); constant && *constant != tensor.shape[d + 1])
        return false;
    return mayStandFor(type.dtype, tensor.dtype);
  }

  Safetensors file_;
  std::vector<const TensorView *> tensors_;
  std::string missing_;
  int64_t rows_ = -1;
};

} // namespace

std::unique_ptr<Source> openBatches(const SourceContext &context, const std::string &path) {
  return std::make_unique<BatchSource>(*context.spec, path);
}

} // namespace kiln
