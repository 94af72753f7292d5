// arrays(path, batch, x=f32[3, 32], y=i32): rows of arrays, whose first axis counts them.
#include "runtime/data/Rows.h"
#include "runtime/files/ArrayFile.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

namespace {

class ArraySource final : public Source {
public:
  ArraySource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  struct File {
    ArrayFile arrays;
    int64_t first = 0, rows = -1;                // of all files' rows, numbered through
    std::vector<const TensorView *> fields = {}; // null for one that it has not
  };
  int64_t add(const std::string &path, const SourceContext &context);
  void copyRow(size_t field, int64_t row, kiln_dtype dtype, uint8_t *to) const;

  std::vector<File> files_;
  int64_t count_ = 0;
  std::optional<Rows> rows_;
  std::vector<uint8_t> block_;
  std::vector<int64_t> shape_;
};

/// Without its batch a field's type is a row's.
static bool fits(const FieldSpec &field, const TensorView &array) {
  const std::vector<Dim> &dims = field.type.shape;
  if (array.shape.size() != dims.size())
    return false;
  for (size_t d = 1; d < dims.size(); ++d)
    if (dims[d].constant() != array.shape[d])
      return false;
  return mayStandFor(field.type.dtype, array.dtype);
}

/// "f32[rows, 4]"
static std::string rowsOf(TypeSpec type) {
  type.shape[0] = Dim::symbol("rows");
  return type.str();
}

int64_t ArraySource::add(const std::string &path, const SourceContext &context) {
  std::vector<std::string> names;
  for (const FieldSpec &field : spec_.fields)
    names.push_back(field.name);
  File file{ArrayFile(findData(path, "the file of data '" + spec_.name + "'", context.folders), names), count_};
  std::string problems, asked;
  for (const FieldSpec &field : spec_.fields) {
    asked += (asked.empty() ? " '" : ", '") + field.name + "'";
    const TensorView *array = file.arrays.find(field.name);
    if (!array)
      continue; // told where it is read
    std::string found = "\n  '" + field.name + "' is " + describeType(array->dtype, array->shape);
    if (!fits(field, *array))
      problems += found + "; " + rowsOf(field.type) + " is expected";
    else if (file.rows >= 0 && file.rows != array->shape[0])
      problems += found + ", another array has " + std::to_string(file.rows) + " rows";
    else
      file.rows = array->shape[0];
  }
  if (file.rows < 0 && problems.empty())
    problems = "\n  it has none of" + asked + "; it has: " + file.arrays.has();
  if (!problems.empty())
    fail("%s does not fit data '%s':%s", file.arrays.what().c_str(), spec_.name.c_str(), problems.c_str());
  count_ += file.rows;
  File &kept = files_.emplace_back(std::move(file));
  for (const std::string &name : names)
    kept.fields.push_back(kept.arrays.find(name));
  return kept.rows;
}

ArraySource::ArraySource(const SourceContext &context) : Source(*context.spec) {
  Rows::Options rows(spec_, context.seed);
  int64_t main = addFiles(context, rows, [&](const std::string &path) { return add(path, context); });
  rows_.emplace(main, rows);
}

void ArraySource::copyRow(size_t field, int64_t row, kiln_dtype dtype, uint8_t *to) const {
  auto file = std::find_if(files_.begin(), files_.end(), [&](const File &one) { return row < one.first + one.rows; });
  const std::string &name = spec_.fields[field].name;
  const TensorView *array = file->fields[field];
  if (!array)
    fail("data '%s': %s has no array '%s'; it has: %s", spec_.name.c_str(), file->arrays.what().c_str(), name.c_str(),
         file->arrays.has().c_str());
  size_t bytes = array->bytes / static_cast<size_t>(file->rows);
  int64_t elements = static_cast<int64_t>(bytes / dtypeSize(array->dtype));
  std::string why;
  const uint8_t *from = array->data + static_cast<size_t>(row - file->first) * bytes;
  if (!convertElements(array->dtype, from, dtype, to, elements, why))
    fail("data '%s': %s: '%s', row %lld: %s", spec_.name.c_str(), file->arrays.what().c_str(), name.c_str(),
         static_cast<long long>(row - file->first), why.c_str());
}

void ArraySource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    shape_.assign(1, static_cast<int64_t>(rows.size()));
    size_t elements = 1;
    for (size_t d = 1; d < spec_.fields[f].type.shape.size(); ++d) {
      shape_.push_back(*spec_.fields[f].type.shape[d].constant());
      elements *= static_cast<size_t>(shape_.back());
    }
    size_t bytes = elements * dtypeSize(fields[f].dtype);
    block_.resize(rows.size() * bytes);
    for (size_t i = 0; i < rows.size(); ++i)
      copyRow(f, rows[i], fields[f].dtype, block_.data() + i * bytes);
    storeField(*this, f, fields, fields[f].dtype, block_.data(), shape_);
  }
}

} // namespace

static std::unique_ptr<Source> openArrays(const SourceContext &context) {
  return std::make_unique<ArraySource>(context);
}

const Reader kiln_reader_arrays{"arrays", openArrays};

} // namespace kiln
