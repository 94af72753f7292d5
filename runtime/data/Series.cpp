// series(path, columns, context, batch, horizon=1, stride=1, group=None, normalise=False, …): windows over rows in
// their order, what was and what comes.
#include "runtime/data/Coding.h"
#include "runtime/data/Columns.h"
#include "runtime/data/Rows.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

class SeriesSource final : public Source {
public:
  SeriesSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  /// Rows of one group, beside each other; those before `train` are trained on, those before `validation` validate.
  struct Stretch {
    size_t begin, train, validation, end;
  };
  void cut(const TableFile &file, size_t first, Split split, std::vector<Stretch> &stretches) const;
  void goOn(const TableFile &file, const std::vector<size_t> &columns, std::span<const Stretch> stretches,
            size_t first);
  void tellShort(const SourceContext &context, const TableFile &file, std::span<const Stretch> stretches,
                 size_t first) const;

  size_t context_, horizon_, stride_, width_ = 0;
  std::vector<float> values_;     // rows of `width_`
  std::vector<size_t> windows_;   // where each begins: training, validation, test
  const Json *missing_ = nullptr; // what stands in a gap
  std::optional<Rows> rows_;
  std::vector<float> block_;
};

/// The file's stretches: all of it, or a group each, whose rows stand beside each other.
void SeriesSource::cut(const TableFile &file, size_t first, Split split, std::vector<Stretch> &stretches) const {
  const Json &options = spec_.options;
  size_t rows = file.table.rows.size();
  std::optional<size_t> group;
  if (const Json *column = options.find("group"))
    group = file.column(*column);
  double validation = splitFraction(options, "validation"), test = splitFraction(options, "test");
  if (validation + test >= 1)
    fail("data '%s': validation and test take all of it", spec_.name.c_str());
  std::vector<std::string> seen;
  for (size_t begin = 0; begin < rows;) {
    size_t end = begin + 1;
    while (end < rows && (!group || file.table.rows[end][*group] == file.table.rows[begin][*group]))
      ++end;
    if (group) {
      const std::string &name = file.table.rows[begin][*group];
      if (std::find(seen.begin(), seen.end(), name) != seen.end())
        file.refuse(begin, *group, "the rows of '" + name + "' do not stand beside each other; sort the file by group");
      seen.push_back(name);
    }
    double size = static_cast<double>(end - begin);
    Stretch stretch{first + begin, first + end, first + end, first + end};
    if (split == Split::Train) {
      stretch.validation = stretch.end - static_cast<size_t>(std::llround(test * size));
      stretch.train = stretch.validation - static_cast<size_t>(std::llround(validation * size));
    } else {
      stretch.train = first + begin;
      if (split == Split::Test)
        stretch.validation = first + begin;
    }
    stretches.push_back(stretch);
    begin = end;
  }
}

SeriesSource::SeriesSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  context_ = static_cast<size_t>(options.at("context").integer(1, INT32_MAX));
  horizon_ = static_cast<size_t>(options.integerOr("horizon", 1));
  stride_ = static_cast<size_t>(std::max<int64_t>(options.integerOr("stride", 1), 1));
  const Json &wanted = options.at("columns");
  bool named = wanted.isString();
  if (wanted.isArray())
    for (const Json &column : wanted.array())
      named |= column.isString();
  if (const Json *group = options.find("group"))
    named |= group->isString();
  Rows::Options rows(spec_, context.seed);
  int64_t validationRows = 0, testRows = 0;
  std::vector<TableFile> files = readTables(context, options.booleanOr("header", named), validationRows, testRows);
  std::vector<size_t> columns =
      wanted.isInt() ? std::vector<size_t>{files[0].column(wanted)} : files[0].columns(wanted);
  width_ = columns.size();
  missing_ = options.find("missing");
  std::vector<Stretch> stretches;
  size_t validationFiles = splitPaths(options, "validation").size();
  for (size_t i = 0; i < files.size(); ++i) {
    Split split = i == 0 ? Split::Train : i <= validationFiles ? Split::Validation : Split::Test;
    size_t first = values_.size() / width_, before = stretches.size();
    cut(files[i], first, split, stretches);
    if (horizon_ == 0 && i + 1 == files.size())
      tellShort(context, files[i], std::span(stretches).subspan(before), first);
    for (size_t row = 0; row < files[i].table.rows.size(); ++row)
      for (size_t column : columns)
        values_.push_back(files[i].numberOrGap(row, column, missing_));
    if (missing_ && missing_->isString() && missing_->string() == "last")
      goOn(files[i], columns, std::span(stretches).subspan(before), first);
  }
  // A window is of the part that all it foretells lies in; what was may reach back. Where nothing is foretold the last
  // one ends with the newest row, whatever the stride.
  auto add = [&](size_t Stretch::*from, size_t Stretch::*to) {
    size_t before = windows_.size();
    for (const Stretch &stretch : stretches) {
      size_t at = std::max(stretch.begin + context_, stretch.*from), end = stretch.*to;
      if (horizon_ == 0 && at <= end)
        at += (end - at) % stride_;
      for (; stretch.*from < end && at + horizon_ <= end; at += stride_)
        windows_.push_back(at - context_);
    }
    return static_cast<int64_t>(windows_.size() - before);
  };
  int64_t train = add(&Stretch::begin, &Stretch::train);
  rows.validation = rows.test = 0;
  rows.validationRows = add(&Stretch::train, &Stretch::validation);
  rows.testRows = add(&Stretch::validation, &Stretch::end);
  if (train == 0)
    fail("data '%s': %s has no %zu rows beside each other%s (context=%zu%s)", spec_.name.c_str(), files[0].what.c_str(),
         context_ + horizon_, horizon_ > 0 ? " to train on" : "", context_,
         horizon_ > 0 ? (" and horizon=" + std::to_string(horizon_)).c_str() : "");
  rows_.emplace(train, rows);
  std::vector<int32_t> trained;
  for (const Stretch &stretch : stretches)
    for (size_t row = stretch.begin; row < stretch.train; ++row)
      trained.push_back(static_cast<int32_t>(row));
  keepNormalisation(context, "past", columns, trained, values_);
  block_.resize(static_cast<size_t>(rows.batch) * std::max(context_, horizon_) * width_);
}

/// Where windows are the rows of results, which groups have none.
void SeriesSource::tellShort(const SourceContext &context, const TableFile &file, std::span<const Stretch> stretches,
                             size_t first) const {
  const Json *group = spec_.options.find("group");
  size_t found = 0;
  std::string names;
  for (const Stretch &stretch : stretches)
    if (group && stretch.end - stretch.begin < context_ && ++found <= 10)
      names += (names.empty() ? "'" : ", '") + file.table.rows[stretch.begin - first][file.column(*group)] + "'";
  if (found > 0 && found < stretches.size())
    note(context, format("data '%s': %zu of %zu groups have fewer rows than context=%zu, and so no window: %s%s",
                         spec_.name.c_str(), found, stretches.size(), context_, names.c_str(),
                         found > 10 ? format(" and %zu more", found - 10).c_str() : ""));
}

/// What is missing is what the row before it has, in the same stretch.
void SeriesSource::goOn(const TableFile &file, const std::vector<size_t> &columns, std::span<const Stretch> stretches,
                        size_t first) {
  for (const Stretch &stretch : stretches)
    for (size_t row = stretch.begin; row < stretch.end; ++row)
      for (size_t column = 0; column < width_; ++column) {
        float &value = values_[row * width_ + column];
        if (!std::isnan(value))
          continue;
        if (row == stretch.begin)
          file.refuse(row - first, columns[column],
                      "a gap where a series begins, and missing=\"last\": there is none "
                      "before it");
        value = values_[(row - 1) * width_ + column];
      }
}

void SeriesSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    bool past = name == "past";
    if (!past && name != "future")
      fail("data '%s': a series has the fields past and future, not '%s'", spec_.name.c_str(), name.c_str());
    size_t length = past ? context_ : horizon_, shift = past ? 0 : context_;
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(values_.begin() + static_cast<ptrdiff_t>((windows_[static_cast<size_t>(rows[i])] + shift) * width_),
                  length * width_, block_.begin() + static_cast<ptrdiff_t>(i * length * width_));
    int64_t shape[] = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(length), static_cast<int64_t>(width_)};
    storeField(*this, f, fields, KILN_F32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openSeries(const SourceContext &context) {
  return std::make_unique<SeriesSource>(context);
}

const Reader kiln_reader_series{"series", openSeries};

} // namespace kiln
