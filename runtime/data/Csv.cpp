// csv(path, features, batch, label=None, target=None, separator=",", skip=0, header=False, normalise=False).
#include "runtime/data/Coding.h"
#include "runtime/data/Columns.h"
#include "runtime/data/Rows.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

class CsvSource final : public Source {
public:
  CsvSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  Normalisation measure() const;

  std::vector<size_t> featureColumns_, targetColumns_;
  bool labelled_ = false;
  std::vector<float> features_, targets_;
  std::vector<int32_t> labels_;
  std::optional<Rows> rows_;
  std::vector<float> block_;
  std::vector<int32_t> labelBlock_;
};

CsvSource::CsvSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  Rows::Options rows(spec_, context.seed);
  std::vector<TableFile> files =
      readTables(context, options.booleanOr("header", false), rows.validationRows, rows.testRows);
  if (const Json *features = options.find("features"))
    featureColumns_ = files[0].columns(*features);
  if (const Json *target = options.find("target"))
    targetColumns_ = files[0].columns(*target);
  std::optional<Labels> labels;
  if (const Json *label = options.find("label"))
    labels.emplace(files, files[0].column(*label), context);
  labelled_ = labels.has_value();
  if (labels)
    keepCoding(classesPrefix, "label", textOf(labels->names()));
  for (const TableFile &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row) {
      for (size_t column : featureColumns_)
        features_.push_back(file.number(row, column));
      for (size_t column : targetColumns_)
        targets_.push_back(file.number(row, column));
      if (labels)
        labels_.push_back(labels->of(file, row));
    }
  rows_.emplace(static_cast<int64_t>(files[0].table.rows.size()), rows);
  if (size_t width = featureColumns_.size(); width > 0 && options.booleanOr("normalise", false)) {
    std::optional<Normalisation> given = givenNormalisation(context, "features", width);
    Normalisation normalisation = given ? *given : measure();
    normalisation.apply(features_);
    keepCoding(normalisationPrefix, "features", textOf(normalisation));
  }
  block_.resize(static_cast<size_t>(rows.batch) * std::max(featureColumns_.size(), targetColumns_.size()));
  labelBlock_.resize(static_cast<size_t>(rows.batch));
}

/// By which each feature has mean 0 and deviation 1 over the training rows.
Normalisation CsvSource::measure() const {
  Normalisation result;
  size_t width = featureColumns_.size();
  const std::vector<int32_t> &train = rows_->members(Split::Train);
  for (size_t f = 0; f < width; ++f) {
    double sum = 0, squares = 0, count = static_cast<double>(train.size());
    for (int32_t row : train)
      sum += features_[static_cast<size_t>(row) * width + f];
    double mean = sum / count;
    for (int32_t row : train)
      squares += std::pow(features_[static_cast<size_t>(row) * width + f] - mean, 2);
    result.add(spec_, featureColumns_[f], mean, std::sqrt(squares / count));
  }
  return result;
}

void CsvSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  int64_t count = static_cast<int64_t>(rows.size());
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "label" && labelled_) {
      for (size_t i = 0; i < rows.size(); ++i)
        labelBlock_[i] = labels_[static_cast<size_t>(rows[i])];
      int64_t shape[] = {count};
      storeField(*this, f, fields, KILN_I32, labelBlock_.data(), shape);
      continue;
    }
    const std::vector<float> &values = name == "features" ? features_ : targets_;
    size_t width = name == "features" ? featureColumns_.size() : targetColumns_.size();
    if ((name != "features" && name != "target") || width == 0)
      fail("data '%s': this csv has no field '%s' (its options give features, label and target)", spec_.name.c_str(),
           name.c_str());
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(values.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(rows[i]) * width), width,
                  block_.begin() + static_cast<ptrdiff_t>(i * width));
    int64_t shape[] = {count, static_cast<int64_t>(width)};
    storeField(*this, f, fields, KILN_F32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openCsv(const SourceContext &context) { return std::make_unique<CsvSource>(context); }

const Reader kiln_reader_csv{"csv", openCsv};

} // namespace kiln
