// csv(path, features, batch, label=None, target=None, categories=None, missing=None, …): rows of numbers and of kinds.
#include "runtime/data/Categories.h"
#include "runtime/data/Coding.h"
#include "runtime/data/Columns.h"
#include "runtime/data/Rows.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kiln {

namespace {

class CsvSource final : public Source {
public:
  CsvSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  /// Columns, and the numbers of all rows in them.
  struct Numbers {
    std::vector<size_t> columns;
    std::vector<float> values;
  };
  void readCategories(const std::vector<TableFile> &files, const SourceContext &context);
  void readFeatures(const TableFile &file, size_t row);
  template <typename T>
  void store(size_t field, std::span<FieldBuffer> fields, std::span<const int32_t> rows, const std::vector<T> &values,
             size_t width, kiln_dtype dtype);

  Numbers features_, targets_;
  const Json *missing_ = nullptr; // what stands in place of a feature that there is not: a number, or "mean"
  bool labelled_ = false;
  size_t categoryColumns_ = 0;
  std::vector<int32_t> labels_, categories_;
  std::optional<Rows> rows_;
  std::vector<uint8_t> block_;
};

CsvSource::CsvSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  Rows::Options rows(spec_, context.seed);
  std::vector<TableFile> files =
      readTables(context, options.booleanOr("header", false), rows.validationRows, rows.testRows);
  if (const Json *features = options.find("features"))
    features_.columns = files[0].columns(*features);
  if (const Json *target = options.find("target"))
    targets_.columns = files[0].columns(*target);
  missing_ = options.find("missing");
  std::optional<Labels> labels;
  if (const Json *label = options.find("label"))
    labels.emplace(files, files[0].column(*label), context);
  labelled_ = labels.has_value();
  if (labels)
    keepCoding(classesPrefix, "label", textOf(labels->names()));
  for (const TableFile &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row) {
      readFeatures(file, row);
      for (size_t column : targets_.columns)
        targets_.values.push_back(file.number(row, column));
      if (labels)
        labels_.push_back(labels->of(file, row));
    }
  rows_.emplace(static_cast<int64_t>(files[0].table.rows.size()), rows);
  readCategories(files, context);
  for (auto [field, numbers] : {std::pair("features", &features_), std::pair("target", &targets_)})
    keepNormalisation(context, field, numbers->columns, rows_->members(Split::Train), numbers->values);
}

void CsvSource::readFeatures(const TableFile &file, size_t row) {
  for (size_t column : features_.columns)
    features_.values.push_back(
        file.numberOrGap(row, column, missing_, "; columns of words are named in categories=[…]"));
}

void CsvSource::readCategories(const std::vector<TableFile> &files, const SourceContext &context) {
  const Json *columns = spec_.options.find("categories");
  std::vector<Categories> all;
  for (const Json &column : columns ? columns->array() : std::vector<Json>()) {
    std::string field = "categories." + std::to_string(all.size());
    all.emplace_back(files[0], column, rows_->members(Split::Train), context, field);
    keepCoding(classesPrefix, field, textOf(all.back().names()));
  }
  categoryColumns_ = all.size();
  for (const TableFile &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row)
      for (const Categories &one : all)
        categories_.push_back(one.of(file, row));
}

/// The rows' values, `width` of each row, into a field.
template <typename T>
void CsvSource::store(size_t field, std::span<FieldBuffer> fields, std::span<const int32_t> rows,
                      const std::vector<T> &values, size_t width, kiln_dtype dtype) {
  block_.resize(rows.size() * width * sizeof(T));
  for (size_t i = 0; i < rows.size(); ++i)
    std::memcpy(block_.data() + i * width * sizeof(T), values.data() + static_cast<size_t>(rows[i]) * width,
                width * sizeof(T));
  int64_t shape[] = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(width)};
  size_t rank = spec_.fields[field].name == "label" ? 1 : 2;
  storeField(*this, field, fields, dtype, block_.data(), std::span(shape, rank));
}

void CsvSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    const Numbers *numbers = name == "features" ? &features_ : name == "target" ? &targets_ : nullptr;
    if (name == "label" && labelled_)
      store(f, fields, rows, labels_, 1, KILN_I32);
    else if (name == "categories" && categoryColumns_ > 0)
      store(f, fields, rows, categories_, categoryColumns_, KILN_I32);
    else if (numbers && !numbers->columns.empty())
      store(f, fields, rows, numbers->values, numbers->columns.size(), KILN_F32);
    else
      fail("data '%s': this csv has no field '%s' (its options give features, categories, label and target)",
           spec_.name.c_str(), name.c_str());
  }
}

} // namespace

static std::unique_ptr<Source> openCsv(const SourceContext &context) { return std::make_unique<CsvSource>(context); }

const Reader kiln_reader_csv{"csv", openCsv};

} // namespace kiln
